/* SPDX-License-Identifier: GPL-2.0 */
/*
 * void kfunc_watch_call(void *function, void *context, const void *insns, struct kfunc_run *run)
 *
 * Calls function(context, insns) with a known value in every register that the psABI gives to the caller, and the stack
 * pointer noted. Stores to run: the result, a bit for each of these registers that came back changed, by how much the
 * stack pointer moved. Not reentrant: watch.c lets one in at a time, and where things are is kept in memory, since no register
 * can be trusted afterwards.
 */
#include <linux/linkage.h>

	.bss
	.balign 8
watch_run:	.skip 8
watch_sp:	.skip 8

	.text

#if defined(CONFIG_X86_64)

SYM_FUNC_START(kfunc_watch_call)
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	sub	$8, %rsp
	mov	%rcx, watch_run(%rip)
	mov	%rsp, watch_sp(%rip)
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	$0x5afe0001, %rbx
	mov	$0x5afe0002, %rbp
	mov	$0x5afe0003, %r12
	mov	$0x5afe0004, %r13
	mov	$0x5afe0005, %r14
	mov	$0x5afe0006, %r15
	call	*%rax
	mov	watch_run(%rip), %rcx
	mov	%rax, 0(%rcx)
	xor	%eax, %eax
	xor	%edx, %edx
	cmp	$0x5afe0001, %rbx
	setne	%al
	or	%rax, %rdx
	cmp	$0x5afe0002, %rbp
	setne	%al
	shl	$1, %eax
	or	%rax, %rdx
	xor	%eax, %eax
	cmp	$0x5afe0003, %r12
	setne	%al
	shl	$2, %eax
	or	%rax, %rdx
	xor	%eax, %eax
	cmp	$0x5afe0004, %r13
	setne	%al
	shl	$3, %eax
	or	%rax, %rdx
	xor	%eax, %eax
	cmp	$0x5afe0005, %r14
	setne	%al
	shl	$4, %eax
	or	%rax, %rdx
	xor	%eax, %eax
	cmp	$0x5afe0006, %r15
	setne	%al
	shl	$5, %eax
	or	%rax, %rdx
	mov	%rdx, 8(%rcx)
	mov	%rsp, %rdx
	sub	watch_sp(%rip), %rdx
	mov	%rdx, 16(%rcx)
	mov	watch_sp(%rip), %rsp
	add	$8, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	RET
SYM_FUNC_END(kfunc_watch_call)

#elif defined(CONFIG_X86_32)

/* regparm(3): function in eax, context in edx, insns in ecx, run on the stack. */
SYM_FUNC_START(kfunc_watch_call)
	push	%ebp
	push	%ebx
	push	%esi
	push	%edi
	mov	20(%esp), %ebx
	mov	%ebx, watch_run
	mov	%esp, watch_sp
	mov	%eax, %ebx
	mov	%edx, %eax
	mov	%ecx, %edx
	mov	%ebx, %ecx
	mov	$0x5afe0001, %ebx
	mov	$0x5afe0002, %ebp
	mov	$0x5afe0003, %esi
	mov	$0x5afe0004, %edi
	call	*%ecx
	mov	watch_run, %ecx
	mov	%eax, 0(%ecx)
	mov	%edx, 4(%ecx)
	xor	%edx, %edx
	xor	%eax, %eax
	cmp	$0x5afe0001, %ebx
	setne	%al
	or	%eax, %edx
	xor	%eax, %eax
	cmp	$0x5afe0002, %ebp
	setne	%al
	shl	$1, %eax
	or	%eax, %edx
	xor	%eax, %eax
	cmp	$0x5afe0003, %esi
	setne	%al
	shl	$2, %eax
	or	%eax, %edx
	xor	%eax, %eax
	cmp	$0x5afe0004, %edi
	setne	%al
	shl	$3, %eax
	or	%eax, %edx
	mov	%edx, 8(%ecx)
	movl	$0, 12(%ecx)
	mov	%esp, %edx
	sub	watch_sp, %edx
	mov	%edx, 16(%ecx)
	movl	$0, 20(%ecx)
	mov	watch_sp, %esp
	pop	%edi
	pop	%esi
	pop	%ebx
	pop	%ebp
	RET
SYM_FUNC_END(kfunc_watch_call)

#elif defined(CONFIG_ARM64)

SYM_FUNC_START(kfunc_watch_call)
	hint	#34			/* bti c */
	stp	x29, x30, [sp, #-96]!
	mov	x29, sp
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	adrp	x9, watch_run
	add	x9, x9, :lo12:watch_run
	mov	x10, sp
	stp	x3, x10, [x9]
	mov	x16, x0
	mov	x0, x1
	mov	x1, x2
	mov	x19, #0x5a01
	mov	x20, #0x5a02
	mov	x21, #0x5a03
	mov	x22, #0x5a04
	mov	x23, #0x5a05
	mov	x24, #0x5a06
	mov	x25, #0x5a07
	mov	x26, #0x5a08
	mov	x27, #0x5a09
	mov	x28, #0x5a0a
	/* x29 must stay a frame pointer: an exception in BPF walks the stack. It is checked like the others. */
	blr	x16
	adrp	x9, watch_run
	add	x9, x9, :lo12:watch_run
	ldp	x3, x10, [x9]
	mov	x12, xzr
	.macro	differs register, value, bit
	mov	x11, #\value
	cmp	\register, x11
	cset	x11, ne
	orr	x12, x12, x11, lsl #\bit
	.endm
	differs	x19, 0x5a01, 0
	differs	x20, 0x5a02, 1
	differs	x21, 0x5a03, 2
	differs	x22, 0x5a04, 3
	differs	x23, 0x5a05, 4
	differs	x24, 0x5a06, 5
	differs	x25, 0x5a07, 6
	differs	x26, 0x5a08, 7
	differs	x27, 0x5a09, 8
	differs	x28, 0x5a0a, 9
	cmp	x29, x10
	cset	x11, ne
	orr	x12, x12, x11, lsl #10
	mov	x11, sp
	sub	x11, x11, x10
	stp	x0, x12, [x3]
	str	x11, [x3, #16]
	mov	sp, x10
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret
SYM_FUNC_END(kfunc_watch_call)

#elif defined(CONFIG_RISCV) && defined(CONFIG_64BIT)

/* The loader of modules refuses what relaxation leaves behind; the kernel asks for none with an option clang 19 does not know. */
	.option	norelax

SYM_FUNC_START(kfunc_watch_call)
	addi	sp, sp, -112
	sd	ra, 0(sp)
	sd	s0, 8(sp)
	sd	s1, 16(sp)
	sd	s2, 24(sp)
	sd	s3, 32(sp)
	sd	s4, 40(sp)
	sd	s5, 48(sp)
	sd	s6, 56(sp)
	sd	s7, 64(sp)
	sd	s8, 72(sp)
	sd	s9, 80(sp)
	sd	s10, 88(sp)
	sd	s11, 96(sp)
	la	t0, watch_run
	sd	a3, 0(t0)
	sd	sp, 8(t0)
	mv	t1, a0
	mv	a0, a1
	mv	a1, a2
	li	s0, 0x5a01
	li	s1, 0x5a02
	li	s2, 0x5a03
	li	s3, 0x5a04
	li	s4, 0x5a05
	li	s5, 0x5a06
	li	s6, 0x5a07
	li	s7, 0x5a08
	li	s8, 0x5a09
	li	s9, 0x5a0a
	li	s10, 0x5a0b
	li	s11, 0x5a0c
	jalr	t1
	la	t0, watch_run
	ld	a3, 0(t0)
	ld	t1, 8(t0)
	li	t3, 0
	.macro	differs register, value, bit
	li	t2, \value
	xor	t2, t2, \register
	snez	t2, t2
	slli	t2, t2, \bit
	or	t3, t3, t2
	.endm
	differs	s0, 0x5a01, 0
	differs	s1, 0x5a02, 1
	differs	s2, 0x5a03, 2
	differs	s3, 0x5a04, 3
	differs	s4, 0x5a05, 4
	differs	s5, 0x5a06, 5
	differs	s6, 0x5a07, 6
	differs	s7, 0x5a08, 7
	differs	s8, 0x5a09, 8
	differs	s9, 0x5a0a, 9
	differs	s10, 0x5a0b, 10
	differs	s11, 0x5a0c, 11
	sub	t2, sp, t1
	sd	a0, 0(a3)
	sd	t3, 8(a3)
	sd	t2, 16(a3)
	mv	sp, t1
	ld	ra, 0(sp)
	ld	s0, 8(sp)
	ld	s1, 16(sp)
	ld	s2, 24(sp)
	ld	s3, 32(sp)
	ld	s4, 40(sp)
	ld	s5, 48(sp)
	ld	s6, 56(sp)
	ld	s7, 64(sp)
	ld	s8, 72(sp)
	ld	s9, 80(sp)
	ld	s10, 88(sp)
	ld	s11, 96(sp)
	addi	sp, sp, 112
	ret
SYM_FUNC_END(kfunc_watch_call)

#elif defined(CONFIG_LOONGARCH) && defined(CONFIG_64BIT)

SYM_FUNC_START(kfunc_watch_call)
	addi.d	$sp, $sp, -96
	st.d	$ra, $sp, 0
	st.d	$fp, $sp, 8
	st.d	$s0, $sp, 16
	st.d	$s1, $sp, 24
	st.d	$s2, $sp, 32
	st.d	$s3, $sp, 40
	st.d	$s4, $sp, 48
	st.d	$s5, $sp, 56
	st.d	$s6, $sp, 64
	st.d	$s7, $sp, 72
	st.d	$s8, $sp, 80
	la.pcrel $t0, watch_run
	st.d	$a3, $t0, 0
	st.d	$sp, $t0, 8
	move	$t1, $a0
	move	$a0, $a1
	move	$a1, $a2
	li.w	$fp, 0x5a01
	li.w	$s0, 0x5a02
	li.w	$s1, 0x5a03
	li.w	$s2, 0x5a04
	li.w	$s3, 0x5a05
	li.w	$s4, 0x5a06
	li.w	$s5, 0x5a07
	li.w	$s6, 0x5a08
	li.w	$s7, 0x5a09
	li.w	$s8, 0x5a0a
	jirl	$ra, $t1, 0
	la.pcrel $t0, watch_run
	ld.d	$a3, $t0, 0
	ld.d	$t1, $t0, 8
	move	$t3, $zero
	.macro	differs register, value, bit
	li.w	$t2, \value
	xor	$t2, $t2, \register
	sltu	$t2, $zero, $t2
	slli.d	$t2, $t2, \bit
	or	$t3, $t3, $t2
	.endm
	differs	$fp, 0x5a01, 0
	differs	$s0, 0x5a02, 1
	differs	$s1, 0x5a03, 2
	differs	$s2, 0x5a04, 3
	differs	$s3, 0x5a05, 4
	differs	$s4, 0x5a06, 5
	differs	$s5, 0x5a07, 6
	differs	$s6, 0x5a08, 7
	differs	$s7, 0x5a09, 8
	differs	$s8, 0x5a0a, 9
	sub.d	$t2, $sp, $t1
	st.d	$a0, $a3, 0
	st.d	$t3, $a3, 8
	st.d	$t2, $a3, 16
	move	$sp, $t1
	ld.d	$ra, $sp, 0
	ld.d	$fp, $sp, 8
	ld.d	$s0, $sp, 16
	ld.d	$s1, $sp, 24
	ld.d	$s2, $sp, 32
	ld.d	$s3, $sp, 40
	ld.d	$s4, $sp, 48
	ld.d	$s5, $sp, 56
	ld.d	$s6, $sp, 64
	ld.d	$s7, $sp, 72
	ld.d	$s8, $sp, 80
	addi.d	$sp, $sp, 96
	jr	$ra
SYM_FUNC_END(kfunc_watch_call)

#endif /* none for other architectures: KFUNC_KNOWS_REGISTERS */
