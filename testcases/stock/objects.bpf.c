// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Allocated objects beyond lists and trees: reference counts, per-CPU objects, kernel pointers kept in a map.
 */
#include "kfunc_case.h"

struct bpf_refcount {
	u32 __opaque[1];
} __aligned(4);

struct shared {
	u64 value;
	struct bpf_refcount ref;
};

struct counter {
	u64 value;
};

/* A kptr must point to a complete type; what is in it does not matter. */
struct bpf_cpumask {
	u32 usage;
};
struct cpumask;

extern void *bpf_obj_new_impl(u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *p, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *p, void *meta) __ksym;
extern void *bpf_percpu_obj_new_impl(u64 local_type_id, void *meta) __ksym;
extern void bpf_percpu_obj_drop_impl(void *p, void *meta) __ksym;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_set_cpu(u64 cpu, struct bpf_cpumask *mask) __ksym;
extern u64 bpf_cpumask_test_cpu(u64 cpu, const struct cpumask *mask) __ksym;

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static void *(*bpf_kptr_xchg)(void *dst, void *ptr) = (void *)194;

#define new(T) ((struct T *)bpf_obj_new_impl(__builtin_btf_type_id(*(struct T *)0, 0 /* local */), NULL))

struct slot {
	struct bpf_cpumask __kptr *mask;
};

struct {
	__uint(type, 2 /* ARRAY */);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("syscall")
__description("ptr(ptr, ptr): a second reference is the same object, and outlives the first")
__since("6.10")
__input(0, 0x1020304050607080)
__success __retval(0)
__observe(0, u64, 0)
__observe(1, u64, 0x1020304050607080)
int refcount(void *ctx)
{
	struct shared *a = new(shared), *b;

	if (!a)
		return -1;
	a->value = input[0];
	b = bpf_refcount_acquire_impl(a, NULL);
	if (!b) {
		bpf_obj_drop_impl(a, NULL);
		return -2;
	}
	observed[0] = (u64)a - (u64)b;
	bpf_obj_drop_impl(a, NULL);
	observed[1] = *(volatile u64 *)&b->value;
	bpf_obj_drop_impl(b, NULL);
	return 0;
}

SEC("syscall")
__description("ptr(u64, ptr) and void(ptr, ptr): a per-CPU object")
__since("6.10")
__success __retval(0)
__observe(0, ptr, VALID)
int percpu(void *ctx)
{
	struct counter __attribute__((btf_type_tag("percpu_kptr"))) *c;

	c = bpf_percpu_obj_new_impl(__builtin_btf_type_id(*(struct counter *)0, 0 /* local */), NULL);
	observed[0] = (u64)c;
	if (!c)
		return -1;
	bpf_percpu_obj_drop_impl((void *)c, NULL);
	return 0;
}

SEC("syscall")
__description("an acquired pointer kept in a map and taken out again")
__since("6.10")
__success __retval(0)
__observe(0, ptr, NULL)
__observe(1, ptr, VALID)
__observe(2, bool, 1)
__observe(3, ptr, NULL)
int kept_in_map(void *ctx)
{
	struct bpf_cpumask *mask, *old;
	struct slot *slot;
	u32 key = 0;

	slot = bpf_map_lookup_elem(&slots, &key);
	if (!slot)
		return -1;
	mask = bpf_cpumask_create();
	if (!mask)
		return -2;
	bpf_cpumask_set_cpu(0, mask);
	old = bpf_kptr_xchg(&slot->mask, mask);
	observed[0] = (u64)old;
	if (old)
		bpf_cpumask_release(old);
	old = bpf_kptr_xchg(&slot->mask, NULL);
	if (!old)
		return -3;
	observed[1] = (u64)old;
	observed[2] = bpf_cpumask_test_cpu(0, (const struct cpumask *)old);
	bpf_cpumask_release(old);
	old = bpf_kptr_xchg(&slot->mask, NULL);
	observed[3] = (u64)old;
	if (old)
		bpf_cpumask_release(old);
	return 0;
}
