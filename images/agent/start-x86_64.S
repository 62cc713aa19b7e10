/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Entry and system call stub for x86_64 (System V ABI; entry: rsp points at argc). */
	.text
	.globl _start
_start:
	xor	%ebp, %ebp
	mov	%rsp, %rdi
	and	$-16, %rsp
	call	agent_main
	ud2

	.globl agent_syscall
agent_syscall:			/* (nr, args) */
	mov	%rdi, %rax
	mov	%rsi, %r11
	mov	0(%r11), %rdi
	mov	8(%r11), %rsi
	mov	16(%r11), %rdx
	mov	24(%r11), %r10
	mov	32(%r11), %r8
	mov	40(%r11), %r9
	syscall
	ret
	.section .note.GNU-stack,"",%progbits
