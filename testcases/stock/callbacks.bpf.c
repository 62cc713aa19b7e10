// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * kfunc calls in callbacks: functions of the program that the kernel calls. The values the main program keeps across the
 * helper, and those the callback keeps across the kfunc, are both looked at.
 */
#include "kfunc_case.h"

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;
extern u64 bpf_strchr(const char *s, u64 c) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_for_each_map_elem)(void *map, void *callback, void *ctx, u64 flags) = (void *)164;
static long (*bpf_loop)(u32 nr, void *callback, void *ctx, u64 flags) = (void *)181;

struct {
	__uint(type, 2 /* ARRAY */);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} elements SEC(".maps");

struct state {
	u64 sum;
	u64 calls;
};

static long add_echo(u64 index, struct state *s)
{
	u64 kept = index + 0x100000000;

	barrier_var(kept);
	s->sum += (u32)bpf_modify_return_test_tp(index * 2);
	s->calls++;
	observed[3] = kept;
	return 0;
}

SEC("syscall")
__description("bpf_loop: ten calls, their sum, and the count that bpf_loop returns")
__since("6.10") __config("NET")
__input(0, 10) __input(1, 0x1122334455667788)
__success __retval(0)
__observe(0, u64, 10)
__observe(1, u64, 90)
__observe(2, u64, 10)
__observe(3, u64, 0x100000009)
__observe(4, u64, 0x1122334455667788)
int loop(void *ctx)
{
	struct state s = {};
	u64 kept = input[1];

	barrier_var(kept);
	observed[0] = bpf_loop(input[0], add_echo, &s, 0);
	observed[1] = s.sum;
	observed[2] = s.calls;
	observed[4] = kept;
	return 0;
}

static long stop_at_negative(u64 index, struct state *s)
{
	/* 3 - index: negative in the fourth round */
	s->calls++;
	return (int)bpf_modify_return_test_tp(3 - index) < 0;
}

SEC("syscall")
__description("a callback's result comes from a kfunc's negative result")
__since("6.10") __config("NET")
__input(0, 100)
__success __retval(0)
__observe(0, u64, 5)
__observe(1, u64, 5)
int loop_stops(void *ctx)
{
	struct state s = {};

	observed[0] = bpf_loop(input[0], stop_at_negative, &s, 0);
	observed[1] = s.calls;
	return 0;
}

static long per_element(void *map, u32 *key, u64 *value, struct state *s)
{
	s->sum += (u32)bpf_modify_return_test_tp(*value);
	s->calls += *key;
	return 0;
}

SEC("tc")
__description("bpf_for_each_map_elem: four calls, one for each element")
__since("6.10") __config("NET")
__input(0, 100)
__success __retval(0)
__observe(0, s64, 4)
__observe(1, u64, 406)
__observe(2, u64, 6)
int for_each(void *ctx)
{
	struct state s = {};
	u32 i;

	for (i = 0; i < 4; i++) {
		u64 value = input[0] + i;
		u32 key = i;

		bpf_map_update_elem(&elements, &key, &value, 0);
	}
	observed[0] = bpf_for_each_map_elem(&elements, per_element, &s, 0);
	observed[1] = s.sum;
	observed[2] = s.calls;
	return 0;
}

static const char text[] = "0123456789";

static long find_digit(u64 index, struct state *s)
{
	s->sum = s->sum * 10 + (u32)bpf_strchr(text, '0' + index);
	return 0;
}

SEC("syscall")
__description("bpf_loop with a kfunc that loops itself")
__since("6.17")
__input(0, 10)
__success __retval(0)
__observe(0, u64, 123456789)
int loop_strings(void *ctx)
{
	struct state s = {};

	bpf_loop(input[0], find_digit, &s, 0);
	observed[0] = s.sum;
	return 0;
}
