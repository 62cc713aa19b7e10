// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Arguments narrower than the register they travel in, with garbage above: the callee must see (T)value. What it takes
 * differs by architecture: nothing on x86-64 and arm64, sign extension of 32-bit values on riscv64 and loongarch64, full
 * extension on s390x and powerpc64. The garbage comes from a map, so the verifier cannot fold it away, and the kfuncs are
 * declared with wide parameters here, so the compiler does not narrow it.
 *
 * See also enums, keys, echo, iterators and dynptrs, which have dirty arguments of their own kind.
 */
#include "kfunc_case.h"

struct bpf_cpumask;
struct cpumask;
struct cgroup;
struct task_struct;
struct bpf_dynptr {
	u64 __opaque[2];
} __aligned(8);
struct bpf_iter_task {
	u64 __opaque[3];
} __aligned(8);
struct bpf_wq {
	u64 __opaque[2];
} __aligned(8);

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;
extern u64 bpf_strchr(const char *s, u64 c) __ksym;
extern u64 bpf_strchrnul(const char *s, u64 c) __ksym;
extern u64 bpf_strnchr(const char *s, size_t count, u64 c) __ksym;
extern u64 bpf_strrchr(const char *s, u64 c) __ksym;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_set_cpu(u64 cpu, struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_clear_cpu(u64 cpu, struct bpf_cpumask *mask) __ksym;
extern u64 bpf_cpumask_test_cpu(u64 cpu, const struct cpumask *mask) __ksym;
extern u64 bpf_cpumask_test_and_set_cpu(u64 cpu, struct bpf_cpumask *mask) __ksym;
extern struct task_struct *bpf_task_from_pid(u64 pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern struct cgroup *bpf_cgroup_from_id(u64 id) __ksym;
extern struct cgroup *bpf_cgroup_ancestor(struct cgroup *cgrp, u64 level) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;
extern u64 bpf_dynptr_memset(struct bpf_dynptr *p, u64 offset, u64 size, u64 val) __ksym;
extern u64 bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, u64 flags) __ksym;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern u64 bpf_wq_init(struct bpf_wq *wq, void *map, u64 flags) __ksym;
extern u64 bpf_wq_start(struct bpf_wq *wq, u64 flags) __ksym;

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_dynptr_from_mem)(void *data, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)197;

static const char banana[] = "banana";
static u8 memory[16];

SEC("syscall")
__description("char in second position: garbage in bits 8 to 31, in 32 to 63, in all of them")
__since("6.17")
__input(0, 0x00000000cafebe6e) __input(1, 0xdeadbeef0000006e) __input(2, 0xffffffffffffff6e)
__success __retval(0)
__observe(0, s32, 2)
__observe(1, s32, 2)
__observe(2, s32, 2)
int char_second(void *ctx)
{
	observed[0] = bpf_strchr(banana, input[0]);
	observed[1] = bpf_strchr(banana, input[1]);
	observed[2] = bpf_strchr(banana, input[2]);
	return 0;
}

SEC("syscall")
__description("char 0 under garbage is still the end of the string")
__since("6.17")
__input(0, 0xdeadbeefcafebe00)
__success __retval(0)
__observe(0, s32, 6)
__observe(1, s32, 6)
int char_nul(void *ctx)
{
	observed[0] = bpf_strchr(banana, input[0]);
	observed[1] = bpf_strchrnul(banana, input[0]);
	return 0;
}

SEC("syscall")
__description("char in third position")
__since("6.17")
__input(0, 0x00000000cafebe6e) __input(1, 0xdeadbeefcafebe6e)
__success __retval(0)
__observe(0, s32, 2)
__observe(1, s32, 2)
int char_third(void *ctx)
{
	observed[0] = bpf_strnchr(banana, 6, input[0]);
	observed[1] = bpf_strnchr(banana, 6, input[1]);
	return 0;
}

SEC("syscall")
__description("int in second position: only the lower half counts, and all of it")
__since("6.17")
__input(0, 0xdeadbeef00000061) __input(1, 0x0000000000000161)
__success __retval(0)
__observe(0, s32, 5)
__observe(1, s32, -2)
int int_second(void *ctx)
{
	observed[0] = bpf_strrchr(banana, input[0]);
	/* 0x161 is no char: bpf_strrchr() compares ints */
	observed[1] = bpf_strrchr(banana, input[1]);
	return 0;
}

SEC("syscall")
__description("int alone: both signs under both kinds of garbage")
__since("6.10") __config("NET")
__input(0, 0xdeadbeef12345678) __input(1, 0xdeadbeefedcba988) __input(2, 0x12345678edcba988) __input(3, 0xffffffff12345678)
__success __retval(0)
__observe(0, s32, 0x12345678)
__observe(1, s32, 0xedcba988)
__observe(2, s32, 0xedcba988)
__observe(3, s32, 0x12345678)
int int_first(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(input[0]);
	observed[1] = bpf_modify_return_test_tp(input[1]);
	observed[2] = bpf_modify_return_test_tp(input[2]);
	observed[3] = bpf_modify_return_test_tp(input[3]);
	return 0;
}

SEC("syscall")
__description("s32 in first position: a pid is found under garbage, a negative one is not")
__since("6.10")
__input(0, 0x5a5a5a5a00000000) __input(1, 0x00000000ffffffff) __input(2, 0x5a5a5a5a80000001)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, ptr, NULL)
__observe(2, ptr, NULL)
int s32_first(void *ctx)
{
	u64 pid = (u32)bpf_get_current_pid_tgid();
	struct task_struct *p;

	p = bpf_task_from_pid(input[0] | pid);
	observed[0] = (u64)p;
	if (p)
		bpf_task_release(p);
	p = bpf_task_from_pid(input[1]);
	observed[1] = (u64)p;
	if (p)
		bpf_task_release(p);
	p = bpf_task_from_pid(input[2]);
	observed[2] = (u64)p;
	if (p)
		bpf_task_release(p);
	return 0;
}

SEC("syscall")
__description("u32 in first position: CPU 0 under garbage is set and tested, a large one stays out of range")
__since("6.10")
__input(0, 0xdeadbeef00000000) __input(1, 0xdeadbeef80000000) __input(2, 0xffffffff00000000)
__success __retval(0)
__observe(0, bool, 0)
__observe(1, bool, 1)
__observe(2, bool, 0)
__observe(3, bool, 1)
__observe(4, bool, 0)
int u32_first(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();
	const struct cpumask *m = (const struct cpumask *)mask;

	if (!mask)
		return -1;
	observed[0] = bpf_cpumask_test_cpu(input[0], m);
	bpf_cpumask_set_cpu(input[0], mask);
	observed[1] = bpf_cpumask_test_cpu(input[2], m);
	observed[2] = bpf_cpumask_test_cpu(input[1], m);
	observed[3] = bpf_cpumask_test_and_set_cpu(input[2], mask);
	bpf_cpumask_clear_cpu(input[2], mask);
	observed[4] = bpf_cpumask_test_cpu(input[0], m);
	bpf_cpumask_release(mask);
	return 0;
}

SEC("syscall")
__description("int in second position behind a pointer: level 0 under garbage is the root, level -1 is nothing")
__since("6.10") __config("CGROUPS")
__input(0, 0xdeadbeef00000000) __input(1, 0x00000000ffffffff) __input(2, 0x12345678ffffffff)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, ptr, NULL)
__observe(2, ptr, NULL)
int int_second_level(void *ctx)
{
	struct cgroup *root = bpf_cgroup_from_id(1), *cgrp;

	if (!root)
		return -1;
	cgrp = bpf_cgroup_ancestor(root, input[0]);
	observed[0] = (u64)cgrp;
	if (cgrp)
		bpf_cgroup_release(cgrp);
	cgrp = bpf_cgroup_ancestor(root, input[1]);
	observed[1] = (u64)cgrp;
	if (cgrp)
		bpf_cgroup_release(cgrp);
	cgrp = bpf_cgroup_ancestor(root, input[2]);
	observed[2] = (u64)cgrp;
	if (cgrp)
		bpf_cgroup_release(cgrp);
	bpf_cgroup_release(root);
	return 0;
}

SEC("syscall")
__description("u8 in fourth position")
__since("6.17")
__input(0, 0xdeadbeefcafebe7f)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, 0x007f7f7f7f7f7f00)
int u8_fourth(void *ctx)
{
	struct bpf_dynptr p;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	observed[0] = bpf_dynptr_memset(&p, 1, 6, input[0]);
	observed[1] = *(volatile u64 *)memory;
	return 0;
}

SEC("syscall")
__description("u32 in third position: flags of 0 under garbage are no flags")
__since("6.7")
__input(0, 0xdeadbeef00000000)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, NONZERO)
int u32_third(void *ctx)
{
	struct bpf_iter_task it;
	u64 found = 0;

	bpf_rcu_read_lock();
	observed[0] = bpf_iter_task_new(&it, NULL, input[0]);
	while (({ POISON_R0; bpf_iter_task_next(&it); }))
		found++;
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	observed[1] = found;
	return 0;
}

struct work {
	u64 value;
	struct bpf_wq wq;
};

struct {
	__uint(type, 2 /* ARRAY */);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct work);
} works SEC(".maps");

SEC("syscall")
__description("unsigned int behind two pointers: no flags, and unknown flags (-EINVAL)")
__since("6.10")
__input(0, 0xdeadbeef00000000) __input(1, 0xdeadbeef00000001)
__success __retval(0)
__observe(0, s32, -22)
__observe(1, s32, 0)
__observe(2, s32, -16)
__observe(3, s32, -22)
int uint_third(void *ctx)
{
	struct work *w;
	u32 key = 0;

	w = bpf_map_lookup_elem(&works, &key);
	if (!w)
		return -1;
	observed[0] = bpf_wq_init(&w->wq, &works, input[1]);
	observed[1] = bpf_wq_init(&w->wq, &works, input[0]);
	/* a second time: -EBUSY */
	observed[2] = bpf_wq_init(&w->wq, &works, input[0]);
	observed[3] = bpf_wq_start(&w->wq, input[1]);
	return 0;
}
