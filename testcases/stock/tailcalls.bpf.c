// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Tail calls and kfunc calls in one program. On several architectures the tail-call counter lives in a register that a C
 * call may destroy (riscv64 and loongarch64: a6), so after a kfunc call the count must still be exact: 33 tail calls
 * (MAX_TAIL_CALL_CNT) happen, the 34th falls through.
 */
#include "kfunc_case.h"

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;

static long (*bpf_tail_call)(void *ctx, void *map, u32 index) = (void *)12;

struct __sk_buff;

int loops_with_kfunc(struct __sk_buff *ctx);
int target(struct __sk_buff *ctx);

struct {
	__uint(type, 3 /* PROG_ARRAY */);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(u32));
	__array(values, int(struct __sk_buff *));
} jumps SEC(".maps") = {
	.values = {
		[0] = (void *)&loops_with_kfunc,
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

SEC("tc")
__description("a kfunc call before each tail call: 1 run and exactly 33 more")
__since("6.10") __config("NET")
__success __retval(9)
__observe(0, u64, 34)
__observe(1, s32, 33)
int loops_with_kfunc(struct __sk_buff *ctx)
{
	u64 runs = observed[0];

	if (runs == KFUNC_UNSET)
		runs = 0;
	observed[1] = bpf_modify_return_test_tp(runs);
	observed[0] = runs + 1;
	bpf_tail_call(ctx, &jumps, 0);
	return 9;
}

SEC("tc")
__description("a kfunc call before the tail call and one in its target")
__since("6.10") __config("NET")
__success __retval(5)
__observe(2, s32, 0x2222)
__observe(3, s32, 0x3333)
int into_target(struct __sk_buff *ctx)
{
	observed[2] = bpf_modify_return_test_tp(0x2222);
	bpf_tail_call(ctx, &jumps, 1);
	return 1;
}

SEC("tc")
__description("a tail call to an empty slot after a kfunc call falls through; a kfunc call follows")
__since("6.10") __config("NET")
__success __retval(1)
__observe(2, s32, 0x2222)
__observe(3, s32, 0x4444)
int empty_slot(struct __sk_buff *ctx)
{
	observed[2] = bpf_modify_return_test_tp(0x2222);
	bpf_tail_call(ctx, &jumps, 3);
	observed[3] = bpf_modify_return_test_tp(0x4444);
	return 1;
}
