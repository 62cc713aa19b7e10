// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Controls about loading: a kfunc that no kernel has, a program the verifier refuses although success is claimed, one it
 * accepts although failure is claimed, and refusals for another reason than the one that is claimed. But for the first they
 * call no kfunc, so that they hold on every kernel.
 */
#include "kfunc_case.h"

extern int kfunc_conformance_no_kernel_has_this(void) __ksym;

/* Out of the frame: refused by every verifier, with EACCES (13) and "invalid … stack …". */
#define WRITE_ABOVE_THE_FRAME                                                                                          \
	asm volatile("*(u64 *)(r10 + 8) = r10;"                                                                        \
		     "r0 = 0;"                                                                                         \
		     "exit;" ::: __clobber_all)

SEC("syscall")
__description("a kfunc that does not exist")
__success __retval(0)
__must("kfunc_absent") __must_say("kfunc_conformance_no_kernel_has_this")
int absent_kfunc(void *ctx)
{
	return kfunc_conformance_no_kernel_has_this();
}

SEC("syscall")
__description("a program that the verifier refuses, said to be fine")
__success __retval(0)
__must("rejected") __must_say("stack")
__naked int refused(void)
{
	WRITE_ABOVE_THE_FRAME;
}

SEC("syscall")
__description("a right program, said to be refused")
__failure __errno(22)
__must("rejected") __must_say("accepted")
int accepted(void *ctx)
{
	return 0;
}

SEC("syscall")
__description("refused, but not with the words that are claimed")
__failure __msg("kfunc-conformance: the verifier never says this")
__must("rejected") __must_say("stack")
__naked int other_words(void)
{
	WRITE_ABOVE_THE_FRAME;
}

SEC("syscall")
__description("refused with the words that are claimed, but in another order")
__failure __msg("processed") __msg("stack R10")
__must("rejected") __must_say("stack")
__naked int other_order(void)
{
	WRITE_ABOVE_THE_FRAME;
}

SEC("syscall")
__description("refused, but not with the errno that is claimed")
__failure __errno(7)
__must("rejected") __must_say("stack")
__naked int other_errno(void)
{
	WRITE_ABOVE_THE_FRAME;
}
