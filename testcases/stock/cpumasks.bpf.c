// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * CPU mask kfuncs (kernel/bpf/cpumask.c): void, bool and u32 results; u32 in first position; one, two and three
 * pointers; references. A guest may have one CPU, so only CPU 0 is used. Callable from SYSCALL programs since 6.10.
 */
#include "kfunc_case.h"

struct cpumask;
struct bpf_cpumask;

extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern struct bpf_cpumask *bpf_cpumask_acquire(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_set_cpu(u64 cpu, struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_clear_cpu(u64 cpu, struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_setall(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_clear(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_copy(struct bpf_cpumask *dst, const struct cpumask *src) __ksym;
extern u64 bpf_cpumask_first(const struct cpumask *mask) __ksym;
extern u64 bpf_cpumask_first_zero(const struct cpumask *mask) __ksym;
extern u64 bpf_cpumask_first_and(const struct cpumask *a, const struct cpumask *b) __ksym;
extern u64 bpf_cpumask_weight(const struct cpumask *mask) __ksym;
extern u64 bpf_cpumask_test_cpu(u64 cpu, const struct cpumask *mask) __ksym;
extern u64 bpf_cpumask_test_and_set_cpu(u64 cpu, struct bpf_cpumask *mask) __ksym;
extern u64 bpf_cpumask_test_and_clear_cpu(u64 cpu, struct bpf_cpumask *mask) __ksym;
extern u64 bpf_cpumask_empty(const struct cpumask *mask) __ksym;
extern u64 bpf_cpumask_full(const struct cpumask *mask) __ksym;
extern u64 bpf_cpumask_equal(const struct cpumask *a, const struct cpumask *b) __ksym;
extern u64 bpf_cpumask_intersects(const struct cpumask *a, const struct cpumask *b) __ksym;
extern u64 bpf_cpumask_subset(const struct cpumask *a, const struct cpumask *b) __ksym;
extern u64 bpf_cpumask_and(struct bpf_cpumask *dst, const struct cpumask *a, const struct cpumask *b) __ksym;
extern void bpf_cpumask_or(struct bpf_cpumask *dst, const struct cpumask *a, const struct cpumask *b) __ksym;
extern void bpf_cpumask_xor(struct bpf_cpumask *dst, const struct cpumask *a, const struct cpumask *b) __ksym;
extern u64 bpf_cpumask_populate(struct bpf_cpumask *mask, void *src, size_t src__sz) __ksym;

#define CONST(mask) ((const struct cpumask *)(mask))

SEC("syscall")
__description("ptr(void), void(ptr): create and release")
__since("6.10")
__success __retval(0)
__observe(0, ptr, VALID)
int create_release(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	observed[0] = (u64)mask;
	if (!mask)
		return -1;
	bpf_cpumask_release(mask);
	return 0;
}

SEC("syscall")
__description("ptr(ptr): a second reference is the same pointer and outlives the first")
__since("6.10")
__success __retval(0)
__observe(0, u64, 0)
__observe(1, bool, 1)
int acquire(void *ctx)
{
	struct bpf_cpumask *mask, *second;

	POISON_R0;
	mask = bpf_cpumask_create();
	if (!mask)
		return -1;
	POISON_R0_OTHERWISE;
	second = bpf_cpumask_acquire(mask);
	observed[0] = (u64)mask - (u64)second;
	bpf_cpumask_release(mask);
	bpf_cpumask_set_cpu(0, second);
	observed[1] = bpf_cpumask_test_cpu(0, CONST(second));
	bpf_cpumask_release(second);
	return 0;
}

SEC("syscall")
__description("void(u32, ptr) and bool(u32, ptr): set, test, clear, test")
__since("6.10")
__input(0, 0)
__success __retval(0)
__observe(0, bool, 0)
__observe(1, bool, 1)
__observe(2, bool, 0)
int set_test_clear(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return -1;
	observed[0] = bpf_cpumask_test_cpu(input[0], CONST(mask));
	bpf_cpumask_set_cpu(input[0], mask);
	observed[1] = bpf_cpumask_test_cpu(input[0], CONST(mask));
	bpf_cpumask_clear_cpu(input[0], mask);
	observed[2] = bpf_cpumask_test_cpu(input[0], CONST(mask));
	bpf_cpumask_release(mask);
	return 0;
}

SEC("syscall")
__description("bool(u32, ptr): the old value comes back, the new one is there")
__since("6.10")
__input(0, 0)
__success __retval(0)
__observe(0, bool, 0)
__observe(1, bool, 1)
__observe(2, bool, 1)
__observe(3, bool, 0)
int test_and_change(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return -1;
	observed[0] = bpf_cpumask_test_and_set_cpu(input[0], mask);
	observed[1] = bpf_cpumask_test_and_set_cpu(input[0], mask);
	observed[2] = bpf_cpumask_test_and_clear_cpu(input[0], mask);
	observed[3] = bpf_cpumask_test_and_clear_cpu(input[0], mask);
	bpf_cpumask_release(mask);
	return 0;
}

SEC("syscall")
__description("a CPU number out of range is ignored: u32 above 2^31")
__since("6.10")
__input(0, 0x80000000) __input(1, 0xffffffff)
__success __retval(0)
__observe(0, bool, 0)
__observe(1, bool, 0)
__observe(2, bool, 1)
int cpu_out_of_range(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return -1;
	bpf_cpumask_set_cpu(input[0], mask);
	bpf_cpumask_set_cpu(input[1], mask);
	observed[0] = bpf_cpumask_test_cpu(input[0], CONST(mask));
	observed[1] = bpf_cpumask_test_and_set_cpu(input[1], mask);
	observed[2] = bpf_cpumask_empty(CONST(mask));
	bpf_cpumask_release(mask);
	return 0;
}

SEC("syscall")
__description("u32(ptr): first, weight")
__since("6.10")
__success __retval(0)
__observe(0, u32, 0)
__observe(1, u32, 0)
__observe(2, u32, 0)
__observe(3, u32, 1)
int first_and_weight(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return -1;
	observed[0] = bpf_cpumask_first_zero(CONST(mask));
	observed[1] = bpf_cpumask_weight(CONST(mask));
	bpf_cpumask_set_cpu(0, mask);
	observed[2] = bpf_cpumask_first(CONST(mask));
	observed[3] = bpf_cpumask_weight(CONST(mask));
	bpf_cpumask_release(mask);
	return 0;
}

SEC("syscall")
__description("bool(ptr): empty and full, after void(ptr): setall and clear")
__since("6.10")
__success __retval(0)
__observe(0, bool, 1)
__observe(1, bool, 0)
__observe(2, bool, 0)
__observe(3, bool, 1)
__observe(4, bool, 1)
int empty_and_full(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return -1;
	observed[0] = bpf_cpumask_empty(CONST(mask));
	observed[1] = bpf_cpumask_full(CONST(mask));
	bpf_cpumask_setall(mask);
	observed[2] = bpf_cpumask_empty(CONST(mask));
	observed[3] = bpf_cpumask_full(CONST(mask));
	bpf_cpumask_clear(mask);
	observed[4] = bpf_cpumask_empty(CONST(mask));
	bpf_cpumask_release(mask);
	return 0;
}

SEC("syscall")
__description("bool(ptr, ptr): equal, intersects, subset; the order of the arguments counts")
__since("6.10")
__success __retval(0)
__observe(0, bool, 0)
__observe(1, bool, 0)
__observe(2, bool, 1)
__observe(3, bool, 0)
__observe(4, bool, 1)
__observe(5, bool, 1)
__observe(6, u32, 0)
int compare(void *ctx)
{
	struct bpf_cpumask *one = bpf_cpumask_create(), *none;

	if (!one)
		return -1;
	none = bpf_cpumask_create();
	if (!none) {
		bpf_cpumask_release(one);
		return -2;
	}
	bpf_cpumask_set_cpu(0, one);
	observed[0] = bpf_cpumask_equal(CONST(one), CONST(none));
	observed[1] = bpf_cpumask_intersects(CONST(one), CONST(none));
	observed[2] = bpf_cpumask_subset(CONST(none), CONST(one));
	observed[3] = bpf_cpumask_subset(CONST(one), CONST(none));
	bpf_cpumask_copy(none, CONST(one));
	observed[4] = bpf_cpumask_equal(CONST(one), CONST(none));
	observed[5] = bpf_cpumask_intersects(CONST(one), CONST(none));
	observed[6] = bpf_cpumask_first_and(CONST(one), CONST(none));
	bpf_cpumask_release(none);
	bpf_cpumask_release(one);
	return 0;
}

SEC("syscall")
__description("bool(ptr, ptr, ptr) and void(ptr, ptr, ptr): and, or, xor")
__since("6.10")
__success __retval(0)
__observe(0, bool, 0)
__observe(1, bool, 1)
__observe(2, u32, 1)
__observe(3, u32, 0)
int combine(void *ctx)
{
	struct bpf_cpumask *one, *none, *result;

	one = bpf_cpumask_create();
	if (!one)
		return -1;
	none = bpf_cpumask_create();
	if (!none)
		goto release_one;
	result = bpf_cpumask_create();
	if (!result)
		goto release_none;
	bpf_cpumask_set_cpu(0, one);
	observed[0] = bpf_cpumask_and(result, CONST(one), CONST(none));
	observed[1] = bpf_cpumask_and(result, CONST(one), CONST(one));
	bpf_cpumask_clear(result);
	bpf_cpumask_or(result, CONST(none), CONST(one));
	observed[2] = bpf_cpumask_weight(CONST(result));
	bpf_cpumask_xor(result, CONST(result), CONST(one));
	observed[3] = bpf_cpumask_weight(CONST(result));
	bpf_cpumask_release(result);
release_none:
	bpf_cpumask_release(none);
release_one:
	bpf_cpumask_release(one);
	return 0;
}

/* 8192 CPUs are the most that any architecture supports in a distribution's kernel: 1024 bytes always suffice. */
static u64 bits[128];

SEC("syscall")
__description("int(ptr, mem, size): filled from memory, and refused when the memory is too small")
__since("6.15")
__success __retval(0)
__observe(0, s32, 0)
__observe(1, bool, 1)
__observe(2, u32, 1)
__observe(3, s32, -13)
int populate(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return -1;
	bits[0] = 1;
	observed[0] = bpf_cpumask_populate(mask, bits, sizeof(bits));
	observed[1] = bpf_cpumask_test_cpu(0, CONST(mask));
	observed[2] = bpf_cpumask_weight(CONST(mask));
	/* smaller than a long, and no mask is smaller than that */
	observed[3] = bpf_cpumask_populate(mask, bits, 3);
	bpf_cpumask_release(mask);
	return 0;
}
