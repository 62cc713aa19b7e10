/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Entry and system call stub for riscv64 (entry: sp points at argc). gp is not set: the agent is linked without relaxation. */
	.option	norelax
	.text
	.globl _start
_start:
	mv	a0, sp
	andi	sp, sp, -16
	call	agent_main
	ebreak

	.globl agent_syscall
agent_syscall:			/* (nr, args) */
	mv	a7, a0
	mv	t0, a1
	ld	a0, 0(t0)
	ld	a1, 8(t0)
	ld	a2, 16(t0)
	ld	a3, 24(t0)
	ld	a4, 32(t0)
	ld	a5, 40(t0)
	ecall
	ret
	.section .note.GNU-stack,"",%progbits
