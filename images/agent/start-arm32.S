/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Entry and system call stub for arm32 (AAPCS, EABI system calls; entry: sp points at argc). */
	.syntax	unified
	.arm
	.text
	.globl _start
_start:
	mov	r0, sp
	bic	sp, sp, #7
	bl	agent_main
	udf	#0

	.globl agent_syscall
agent_syscall:			/* (nr, args) */
	push	{r4, r5, r7, lr}
	mov	r7, r0
	mov	r12, r1
	ldm	r12, {r0, r1, r2, r3, r4, r5}
	svc	#0
	pop	{r4, r5, r7, pc}
	.section .note.GNU-stack,"",%progbits
