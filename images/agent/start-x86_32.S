/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Entry and system call stub for x86_32 (System V ABI, int $0x80; entry: esp points at argc). */
	.text
	.globl _start
_start:
	xor	%ebp, %ebp
	mov	%esp, %eax
	and	$-16, %esp
	sub	$12, %esp		/* with the argument a multiple of 16 at the call */
	push	%eax
	call	agent_main
	ud2

	.globl agent_syscall
agent_syscall:			/* (nr, args) */
	push	%ebx
	push	%esi
	push	%edi
	push	%ebp
	mov	20(%esp), %eax
	mov	24(%esp), %ebp
	mov	0(%ebp), %ebx
	mov	4(%ebp), %ecx
	mov	8(%ebp), %edx
	mov	12(%ebp), %esi
	mov	16(%ebp), %edi
	mov	20(%ebp), %ebp
	int	$0x80
	pop	%ebp
	pop	%edi
	pop	%esi
	pop	%ebx
	ret
	.section .note.GNU-stack,"",%progbits
