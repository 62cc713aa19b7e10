// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * kfunc calls in loops and many call sites in one program.
 */
#include "kfunc_case.h"

struct bpf_cpumask;

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

SEC("syscall")
__description("a loop that runs fifty times around one call site")
__since("6.10") __config("NET")
__input(0, 50) __input(1, 0x100000000)
__success __retval(0)
__observe(0, u64, 1225)
__observe(1, u64, 0x100000032)
__observe(2, s32, 49)
int one_site(void *ctx)
{
	u64 n = input[0], kept = input[1], sum = 0, i;

	for (i = 0; i < 64 && i < n; i++) {
		u64 r = bpf_modify_return_test_tp(i);

		sum += (u32)r;
		kept++;
		observed[2] = r;
	}
	observed[0] = sum;
	observed[1] = kept;
	return 0;
}

SEC("syscall")
__description("sixty-four call sites in a row")
__since("6.10") __config("NET")
__input(0, 1000)
__success __retval(0)
__observe(0, u64, 66016)
int many_sites(void *ctx)
{
	u64 n = input[0], sum = 0, i;

#pragma clang loop unroll(full)
	for (i = 0; i < 64; i++)
		sum += (u32)bpf_modify_return_test_tp(n + i);
	observed[0] = sum;
	return 0;
}

SEC("syscall")
__description("two kfuncs and a helper by turns: each call goes where it should")
__since("6.10") __config("NET")
__input(0, 3)
__success __retval(0)
__observe(0, s32, 3)
__observe(1, ptr, VALID)
__observe(2, s32, 4)
__observe(3, ptr, VALID)
__observe(4, s32, 5)
int by_turns(void *ctx)
{
	static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
	struct bpf_cpumask *mask;
	u64 n = input[0];

	observed[0] = bpf_modify_return_test_tp(n);
	mask = bpf_cpumask_create();
	observed[1] = (u64)mask;
	if (mask)
		bpf_cpumask_release(mask);
	bpf_ktime_get_ns();
	observed[2] = bpf_modify_return_test_tp(n + 1);
	bpf_rcu_read_lock();
	bpf_ktime_get_ns();
	bpf_rcu_read_unlock();
	mask = bpf_cpumask_create();
	observed[3] = (u64)mask;
	if (mask)
		bpf_cpumask_release(mask);
	observed[4] = bpf_modify_return_test_tp(n + 2);
	return 0;
}

SEC("syscall")
__description("a thousand acquisitions and releases, none lost")
__since("6.10")
__input(0, 1000)
__success __retval(0)
__observe(0, u64, 1000)
int references(void *ctx)
{
	u64 n = input[0], got = 0, i;

	for (i = 0; i < 1024 && i < n; i++) {
		struct bpf_cpumask *mask = bpf_cpumask_create();

		if (!mask)
			break;
		got++;
		bpf_cpumask_release(mask);
	}
	observed[0] = got;
	return 0;
}
