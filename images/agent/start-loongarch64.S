/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Entry and system call stub for loongarch64 (LP64S; entry: $sp points at argc). */
	.text
	.globl _start
_start:
	move	$a0, $sp
	bstrins.d $sp, $zero, 3, 0
	bl	agent_main
	break	0

	.globl agent_syscall
agent_syscall:			/* (nr, args) */
	move	$a7, $a0
	move	$t0, $a1
	ld.d	$a0, $t0, 0
	ld.d	$a1, $t0, 8
	ld.d	$a2, $t0, 16
	ld.d	$a3, $t0, 24
	ld.d	$a4, $t0, 32
	ld.d	$a5, $t0, 40
	syscall	0
	ret
	.section .note.GNU-stack,"",%progbits
