// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Tail calls, sub-programs and kfunc calls in one program. To mix the first two takes a promise of the JIT of its own,
 * bpf_jit_supports_subprog_tailcalls(): these architectures made it before 6.10; riscv64 and others did later.
 */
#include "kfunc_case.h"

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;

static long (*bpf_tail_call)(void *ctx, void *map, u32 index) = (void *)12;

struct __sk_buff;

int loops(struct __sk_buff *ctx);
int target(struct __sk_buff *ctx);

struct {
	__uint(type, 3 /* PROG_ARRAY */);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(u32));
	__array(values, int(struct __sk_buff *));
} jumps SEC(".maps") = {
	.values = {
		[0] = (void *)&loops,
		[1] = (void *)&target,
	},
};

SEC("tc")
__helper
int target(struct __sk_buff *ctx)
{
	observed[3] = bpf_modify_return_test_tp(0x3333);
	return 5;
}

static __noinline u64 call_in_subprogram(u64 v)
{
	return bpf_modify_return_test_tp(v);
}

SEC("tc")
__description("the kfunc call is in a sub-program of the program that tail-calls")
__since("6.10") __config("NET") __arch("x86_64") __arch("arm64") __arch("s390x")
__success __retval(9)
__observe(0, u64, 34)
__observe(1, s32, 33)
int loops(struct __sk_buff *ctx)
{
	u64 runs = observed[0];

	if (runs == KFUNC_UNSET)
		runs = 0;
	observed[1] = call_in_subprogram(runs);
	observed[0] = runs + 1;
	bpf_tail_call(ctx, &jumps, 0);
	return 9;
}

/* Tail call out of a sub-program, with a kfunc call before it there and one after it in the caller. */
static __noinline int jump(struct __sk_buff *ctx)
{
	volatile int ret = 2;

	observed[2] = bpf_modify_return_test_tp(0x2222);
	bpf_tail_call(ctx, &jumps, 1);
	return ret;
}

SEC("tc")
__description("a tail call out of a sub-program returns to the caller, whose registers are intact")
__since("6.10") __config("NET") __arch("x86_64") __arch("arm64") __arch("s390x")
__input(0, 0x1122334455667788)
__success __retval(5)
__observe(2, s32, 0x2222)
__observe(3, s32, 0x3333)
__observe(4, s32, 0x5555)
__observe(5, u64, 0x1122334455667788)
int out_of_subprogram(struct __sk_buff *ctx)
{
	u64 kept = input[0];
	int r;

	barrier_var(kept);
	r = jump(ctx);
	observed[4] = bpf_modify_return_test_tp(0x5555);
	observed[5] = kept;
	return r;
}
