// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Controls about loading: a kfunc that no kernel has, programs the verifier refuses although success is claimed, programs
 * it accepts although failure is claimed, and refusals for another reason than the one that is claimed.
 */
#include "kfunc_case.h"

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern int kfunc_conformance_no_kernel_has_this(void) __ksym;

SEC("syscall")
__description("a kfunc that does not exist")
__success __retval(0)
__must("kfunc_absent") __must_say("kfunc_conformance_no_kernel_has_this")
int absent_kfunc(void *ctx)
{
	return kfunc_conformance_no_kernel_has_this();
}

SEC("syscall")
__description("a program that leaves an RCU section open, said to be fine")
__since("6.2") __success __retval(0)
__must("rejected") __must_say("bpf_rcu_read")
int refused(void *ctx)
{
	bpf_rcu_read_lock();
	observed[0] = 1;
	return 0;
}

SEC("syscall")
__description("an unaligned store to the stack's end, said to be fine: no kfunc is involved")
__success __retval(0)
__must("rejected")
__naked int refused_without_kfunc(void)
{
	asm volatile("*(u64 *)(r10 + 8) = r1;"
		     "r0 = 0;"
		     "exit;" ::: __clobber_all);
}

SEC("syscall")
__description("a right program, said to be refused")
__since("6.2") __failure
__must("rejected")
int accepted(void *ctx)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}

SEC("syscall")
__description("refused, but not with the words that are claimed")
__since("6.2") __failure __msg("kfunc-conformance: the verifier never says this")
__must("rejected")
int other_words(void *ctx)
{
	bpf_rcu_read_lock();
	observed[0] = 1;
	return 0;
}

SEC("syscall")
__description("refused, but not with the errno that is claimed")
__since("6.2") __failure __errno(7)
__must("rejected")
int other_errno(void *ctx)
{
	bpf_rcu_read_lock();
	observed[0] = 1;
	return 0;
}
