/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Entry and system call stub for arm64 (AAPCS64; entry: sp points at argc and is 16-byte aligned). */
	.text
	.globl _start
_start:
	mov	x29, #0
	mov	x0, sp
	and	x1, x0, #-16
	mov	sp, x1
	bl	agent_main
	brk	#0

	.globl agent_syscall
agent_syscall:			/* (nr, args) */
	mov	x8, x0
	mov	x9, x1
	ldp	x0, x1, [x9]
	ldp	x2, x3, [x9, #16]
	ldp	x4, x5, [x9, #32]
	svc	#0
	ret
	.section .note.GNU-stack,"",%progbits
