// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Calls out of sub-programs: the JIT makes a program with sub-programs in several passes and has to find the kfunc's
 * prototype in each of them.
 */
#include "kfunc_case.h"

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern u64 bpf_strchr(const char *s, u64 c) __ksym;

static __noinline u64 leaf(u64 v)
{
	u64 kept = v ^ 0x5555555555555555;

	barrier_var(kept);
	observed[0] = bpf_modify_return_test_tp(v);
	observed[1] = kept;
	return observed[0] + 1;
}

static __noinline u64 middle(u64 v)
{
	volatile u64 slot = v + 0x1000000000;
	u64 r = leaf(v);

	observed[2] = slot;
	return r + 1;
}

/* A global function is verified on its own. */
__attribute__((weak, noinline)) int global_leaf(u64 v)
{
	return bpf_modify_return_test_tp(v);
}

SEC("syscall")
__description("a call in a sub-program, whose caller keeps values across it")
__since("6.10") __config("NET")
__input(0, 0x77) __input(1, 0x1122334455667788)
__success __retval(0x78)
__observe(0, s32, 0x77)
__observe(1, u64, 0x5555555555555522)
__observe(3, u64, 0x1122334455667788)
int one_level(void *ctx)
{
	u64 kept = input[1], r;

	barrier_var(kept);
	r = leaf(input[0]);
	observed[3] = kept;
	return r;
}

SEC("syscall")
__description("a call two levels down")
__since("6.10") __config("NET")
__input(0, 0x77) __input(1, 0x1122334455667788)
__success __retval(0x79)
__observe(0, s32, 0x77)
__observe(1, u64, 0x5555555555555522)
__observe(2, u64, 0x1000000077)
__observe(3, u64, 0x1122334455667788)
int two_levels(void *ctx)
{
	u64 kept = input[1], r;

	barrier_var(kept);
	r = middle(input[0]);
	observed[3] = kept;
	return r;
}

SEC("syscall")
__description("a call in a global function; its int result goes through a second return")
__since("6.10") __config("NET")
__input(0, -5)
__success __retval(-5)
__observe(0, s32, -5)
int global(void *ctx)
{
	int r = global_leaf(input[0]);

	observed[0] = r;
	return r;
}

static const char text[] = "abcdef";

static __noinline u64 index_of(u64 c)
{
	return bpf_strchr(text, c);
}

SEC("syscall")
__description("the same kfunc in the main program and in a sub-program")
__since("6.17")
__input(0, 0x63) __input(1, 0x65)
__success __retval(0)
__observe(0, s32, 2)
__observe(1, s32, 4)
__observe(2, s32, 2)
int both_levels(void *ctx)
{
	observed[0] = bpf_strchr(text, input[0]);
	observed[1] = index_of(input[1]);
	observed[2] = bpf_strchr(text, input[0]);
	return 0;
}

static __noinline u64 locked(u64 v)
{
	bpf_rcu_read_lock();
	v += 3;
	bpf_rcu_read_unlock();
	return v;
}

SEC("syscall")
__description("a sub-program whose only calls have no result: its own result must survive them")
__since("6.2")
__input(0, 0x100000000)
__success __retval(3)
__observe(0, u64, 0x100000003)
int result_survives(void *ctx)
{
	observed[0] = locked(input[0]);
	return observed[0];
}
