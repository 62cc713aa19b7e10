// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * bpf_modify_return_test_tp() (net/bpf/test_run.c): `int f(int nonce)`, the only kfunc of a stock kernel that gives its
 * argument back. Before it does, it fires the tracepoint bpf_trigger_tp with the value: a watcher on it shows what the
 * callee received, independently of what it returned.
 *
 * The tracepoint machinery passes an int as (u64)(u32)nonce (CAST_TO_U64 in include/trace/bpf_probe.h), so the
 * watcher's value is exact in its low 32 bits.
 */
#include "kfunc_case.h"

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;

SEC("raw_tp/bpf_trigger_tp")
__helper
int watcher(u64 *ctx)
{
	observed[8] = ctx[0];
	observed[9] = input[7] + 1;
	return 0;
}

SEC("syscall")
__description("int(int): the argument comes back")
__since("6.10") __config("NET")
__input(0, 0x12345678)
__success __retval(0x12345678)
__observe(0, s32, 0x12345678)
int positive(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	return observed[0];
}

SEC("syscall")
__description("int(int): a negative number, sign-extended as C would pass it")
__since("6.10") __config("NET")
__input(0, -1234)
__success __retval(-1234)
__observe(0, s32, -1234)
int negative(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	return observed[0];
}

SEC("syscall")
__description("int(int): a negative number, zero-extended as a w register holds it")
__since("6.10") __config("NET")
__input(0, 0xfffffb2e)
__success __retval(-1234)
__observe(0, s32, -1234)
int negative_zero_extended(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	return observed[0];
}

SEC("syscall")
__description("int(int): the smallest and the largest int")
__since("6.10") __config("NET")
__input(0, 0x80000000) __input(1, 0x7fffffff)
__success __retval(0)
__observe(0, s32, -2147483648)
__observe(1, s32, 2147483647)
int extremes(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	observed[1] = bpf_modify_return_test_tp(input[1]);
	return 0;
}

SEC("syscall")
__description("what the callee saw: a raw tracepoint fired by the kfunc shows its argument")
__since("6.10") __config("NET")
__input(0, 0x5eed5eed) __input(7, 41)
__success __retval(0)
__observe(0, s32, 0x5eed5eed)
__observe(8, s32, 0x5eed5eed)
__observe(9, u64, 42)
__attach(watcher)
int seen_by_callee(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	return 0;
}

SEC("syscall")
__description("what the callee saw of a negative argument with garbage above it")
__since("6.10") __config("NET")
__input(0, 0x7777777780000001) __input(7, 41)
__success __retval(0)
__observe(0, s32, 0x80000001)
__observe(8, s32, 0x80000001)
__observe(9, u64, 42)
__attach(watcher)
int seen_by_callee_dirty(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	return 0;
}

SEC("tc")
__description("the same call from SCHED_CLS")
__since("6.10") __config("NET")
__input(0, 0x00c0ffee)
__success __retval(0x00c0ffee)
__observe(0, s32, 0x00c0ffee)
int from_tc(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	return observed[0];
}

SEC("xdp")
__description("the same call from XDP")
__since("6.10") __config("NET")
__input(0, 0x00c0ffee)
__success __retval(2)
__observe(0, s32, 0x00c0ffee)
int from_xdp(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	return 2 /* XDP_PASS */;
}

SEC("raw_tp/sys_enter")
__description("the same call from RAW_TRACEPOINT")
__since("6.10") __config("NET")
__input(0, 0x00c0ffee)
__success __retval(0x00c0ffee)
__observe(0, s32, 0x00c0ffee)
int from_raw_tp(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	return observed[0];
}
