// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Results by C type. r0 holds a pattern before each call, so a result that is not delivered, or only in part, shows. Only
 * the bits of the type are judged: nobody extends a result (kernel/bpf/fixups.c, opt_subreg_zext_lo32_rnd_hi32()).
 */
#include "kfunc_case.h"

struct bpf_cpumask;
struct cpumask;
struct cgroup;
struct task_struct;
struct bpf_map;
struct kmem_cache;
struct bpf_dynptr {
	u64 __opaque[2];
} __aligned(8);

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_set_cpu(u64 cpu, struct bpf_cpumask *mask) __ksym;
extern u64 bpf_cpumask_test_cpu(u64 cpu, const struct cpumask *mask) __ksym;
extern u64 bpf_cpumask_first(const struct cpumask *mask) __ksym;
extern u64 bpf_dynptr_is_null(const struct bpf_dynptr *p) __ksym;
extern u64 bpf_dynptr_size(const struct bpf_dynptr *p) __ksym;
extern u64 bpf_dynptr_adjust(const struct bpf_dynptr *p, u64 start, u64 end) __ksym;
extern struct cgroup *bpf_cgroup_from_id(u64 id) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;
extern u64 bpf_task_under_cgroup(struct task_struct *task, struct cgroup *ancestor) __ksym;
extern u64 bpf_map_sum_elem_count(const struct bpf_map *map) __ksym;
extern struct kmem_cache *bpf_get_kmem_cache(u64 addr) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static long (*bpf_dynptr_from_mem)(void *data, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)197;

static u8 memory[0x40];

struct {
	__uint(type, 1 /* HASH */);
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, u64);
} table SEC(".maps");

SEC("syscall")
__description("bool: false and true")
__since("6.10")
__success __retval(0)
__observe(0, bool, 0)
__observe(1, bool, 1)
int boolean(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return -1;
	POISON_R0;
	observed[0] = bpf_cpumask_test_cpu(0, (const struct cpumask *)mask);
	bpf_cpumask_set_cpu(0, mask);
	POISON_R0;
	observed[1] = bpf_cpumask_test_cpu(0, (const struct cpumask *)mask);
	bpf_cpumask_release(mask);
	return 0;
}

SEC("syscall")
__description("bool as a condition: the program narrows it as C does, and branches")
__since("6.5")
__success __retval(0)
__observe(0, u64, 0x11)
__observe(1, u64, 0x22)
int boolean_branch(void *ctx)
{
	struct bpf_dynptr some, none;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &some);
	bpf_dynptr_from_mem(memory, sizeof(memory), 1, &none);
	POISON_R0;
	observed[0] = (bpf_dynptr_is_null(&some) & 0xff) ? 0x10 : 0x11;
	POISON_R0;
	observed[1] = (bpf_dynptr_is_null(&none) & 0xff) ? 0x22 : 0x20;
	return 0;
}

SEC("syscall")
__description("int: 0, positive, -1, INT_MIN")
__since("6.10") __config("NET")
__input(0, 0) __input(1, 1) __input(2, -1) __input(3, 0x80000000)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, s32, 1)
__observe(2, s32, -1)
__observe(3, s32, -2147483648)
int integer(void *ctx)
{
	POISON_R0;
	observed[0] = bpf_modify_return_test_tp(input[0]);
	POISON_R0;
	observed[1] = bpf_modify_return_test_tp(input[1]);
	POISON_R0;
	observed[2] = bpf_modify_return_test_tp(input[2]);
	POISON_R0;
	observed[3] = bpf_modify_return_test_tp(input[3]);
	return 0;
}

SEC("syscall")
__description("int: a negative errno, compared as a C program does")
__since("6.5")
__input(0, 1000)
__success __retval(-34)
__observe(0, s32, -34)
__observe(1, u64, 0x33)
int negative_errno(void *ctx)
{
	struct bpf_dynptr p;
	int err;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	POISON_R0;
	err = bpf_dynptr_adjust(&p, 0, input[0]);
	observed[0] = err;
	observed[1] = err < 0 ? 0x33 : 0x30;
	return err;
}

SEC("syscall")
__description("u32: 0, small, and above 2^31")
__since("6.10")
__success __retval(0)
__observe(0, u32, 0)
__observe(1, u32, 64)
__observe(2, u32, 0xffffffea)
int unsigned_integer(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();
	struct bpf_dynptr p, q;

	if (!mask)
		return -1;
	bpf_cpumask_set_cpu(0, mask);
	POISON_R0;
	observed[0] = bpf_cpumask_first((const struct cpumask *)mask);
	bpf_cpumask_release(mask);
	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	bpf_dynptr_from_mem(memory, sizeof(memory), 1, &q);
	POISON_R0;
	observed[1] = bpf_dynptr_size(&p);
	POISON_R0;
	observed[2] = bpf_dynptr_size(&q);
	return 0;
}

SEC("syscall")
__description("s64: the number of elements of a map")
__since("6.6")
__success __retval(0)
__observe(0, s64, 0)
__observe(1, s64, 3)
int signed_64(void *ctx)
{
	u64 value = 1;
	u32 i;

	POISON_R0;
	observed[0] = bpf_map_sum_elem_count((const struct bpf_map *)&table);
	for (i = 0; i < 3; i++) {
		u32 key = i;

		bpf_map_update_elem(&table, &key, &value, 0);
	}
	POISON_R0;
	observed[1] = bpf_map_sum_elem_count((const struct bpf_map *)&table);
	return 0;
}

SEC("syscall")
__description("long: 1")
__since("6.10") __config("CGROUPS")
__success __retval(0)
__observe(0, long, 1)
int long_integer(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct cgroup *root = bpf_cgroup_from_id(1);

	if (!root)
		return -1;
	POISON_R0;
	observed[0] = bpf_task_under_cgroup(task, root);
	bpf_cgroup_release(root);
	return 0;
}

SEC("syscall")
__description("u64: all ones but a few, in 64 bits")
__since("6.19")
__success __retval(0)
__observe(0, u64, 0xffffffffffffffea)
__observe(1, u64, 64)
int unsigned_64(void *ctx)
{
	struct bpf_dynptr p, q;

	bpf_dynptr_from_mem(memory, sizeof(memory), 1, &p);
	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &q);
	POISON_R0;
	observed[0] = bpf_dynptr_size(&p);
	POISON_R0;
	observed[1] = bpf_dynptr_size(&q);
	return 0;
}

SEC("syscall")
__description("pointer: all 64 bits, and NULL is 0 in all of them")
__since("6.10") __config("CGROUPS")
__input(0, 1) __input(1, 0x7fffffff00000001)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, ptr, NULL)
int pointer(void *ctx)
{
	struct cgroup *cgrp;

	POISON_R0;
	cgrp = bpf_cgroup_from_id(input[0]);
	observed[0] = (u64)cgrp;
	if (cgrp)
		bpf_cgroup_release(cgrp);
	POISON_R0;
	cgrp = bpf_cgroup_from_id(input[1]);
	observed[1] = (u64)cgrp;
	if (cgrp)
		bpf_cgroup_release(cgrp);
	return 0;
}

SEC("syscall")
__description("ptr(u64): the slab cache of an object given by its address; NULL for an address that is none")
__since("6.14")
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, ptr, NULL)
int pointer_from_address(void *ctx)
{
	struct kmem_cache *cache;
	u64 addr;

	/* through memory, which makes a number of the pointer */
	observed[2] = (u64)bpf_get_current_task_btf();
	addr = observed[2];
	POISON_R0;
	cache = bpf_get_kmem_cache(addr);
	observed[0] = (u64)cache;
	POISON_R0;
	cache = bpf_get_kmem_cache(0);
	observed[1] = (u64)cache;
	return 0;
}

SEC("syscall")
__description("void: a call without result leaves the others' results alone")
__since("6.10") __config("NET")
__input(0, 0x7654321)
__success __retval(0)
__observe(0, s32, 0x7654321)
int nothing(void *ctx)
{
	u64 r = bpf_modify_return_test_tp(input[0]);

	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	observed[0] = r;
	return 0;
}
