// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Open-coded iterators: new, next, destroy. Those over bits, tasks and cgroups are real calls on every kernel;
 * bpf_iter_num_* is inlined by newer verifiers and would prove nothing.
 */
#include "kfunc_case.h"

struct bpf_iter_bits {
	u64 __opaque[2];
} __aligned(8);
struct bpf_iter_task {
	u64 __opaque[3];
} __aligned(8);
struct bpf_iter_css {
	u64 __opaque[3];
} __aligned(8);
struct cgroup_subsys_state {
	int id;
} __core;
struct cgroup {
	struct cgroup_subsys_state self;
} __core;
struct task_struct {
	int pid;
} __core;

extern u64 bpf_iter_bits_new(struct bpf_iter_bits *it, const u64 *words, u64 nr_words) __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __ksym;
extern u64 bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, u64 flags) __ksym;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym;
extern u64 bpf_iter_css_new(struct bpf_iter_css *it, struct cgroup_subsys_state *start, u64 flags) __ksym;
extern struct cgroup_subsys_state *bpf_iter_css_next(struct bpf_iter_css *it) __ksym;
extern void bpf_iter_css_destroy(struct bpf_iter_css *it) __ksym;
extern struct cgroup *bpf_cgroup_from_id(u64 id) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;

/* The end is NULL in all 64 bits of the result. */
#define NEXT(iterator, it) ({ POISON_R0; bpf_iter_##iterator##_next(it); })

/* Walks `nr` words: the number of bits, their sum, and the last one. */
static __always_inline void walk_bits(const u64 *words, u64 nr)
{
	struct bpf_iter_bits it;
	u64 count = 0, sum = 0, last = 0;
	int *bit;

	observed[0] = bpf_iter_bits_new(&it, words, nr);
	while ((bit = NEXT(bits, &it))) {
		count++;
		sum += *bit;
		last = *bit;
	}
	bpf_iter_bits_destroy(&it);
	observed[1] = count;
	observed[2] = sum;
	observed[3] = last;
}

SEC("syscall")
__description("int(ptr, ptr, u32) and int *(ptr): the bits of one word")
__since("6.11")
__input(0, 0x8000000000000012) __input(1, 1)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, 3)
__observe(2, u64, 68)
__observe(3, u64, 63)
int bits(void *ctx)
{
	u64 word = input[0];

	walk_bits(&word, input[1]);
	return 0;
}

SEC("syscall")
__description("the bits of three words, copied to allocated memory")
__since("6.11")
__input(0, 1) __input(1, 0x100000000) __input(2, 0x8000000000000000) __input(3, 3)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, 3)
__observe(2, u64, 287)
__observe(3, u64, 191)
int bits_of_many_words(void *ctx)
{
	u64 words[3] = { input[0], input[1], input[2] };

	walk_bits(words, input[3]);
	return 0;
}

SEC("syscall")
__description("no words: -EINVAL and no bits")
__since("6.11")
__input(0, -1) __input(1, 0)
__success __retval(0)
__observe(0, s32, -22)
__observe(1, u64, 0)
__observe(2, u64, 0)
int bits_of_nothing(void *ctx)
{
	u64 word = input[0];

	walk_bits(&word, input[1]);
	return 0;
}

SEC("syscall")
__description("too many words: -E2BIG for a u32 above 2^31")
__since("6.12")
__input(0, -1) __input(1, 0x80000001)
__success __retval(0)
__observe(0, s32, -7)
__observe(1, u64, 0)
int bits_of_too_much(void *ctx)
{
	u64 word = input[0];

	walk_bits(&word, input[1]);
	return 0;
}

SEC("syscall")
__description("the same iterator with garbage above the u32")
__since("6.11")
__input(0, 0x11) __input(1, 0xdeadbeef00000001)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, 2)
__observe(2, u64, 4)
__observe(3, u64, 4)
int bits_dirty(void *ctx)
{
	u64 word = input[0];

	walk_bits(&word, input[1]);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr, u32) and ptr(ptr): all processes, the current one among them once")
__since("6.7")
__input(0, 0 /* BPF_TASK_ITER_ALL_PROCS */)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, 1)
int processes(void *ctx)
{
	u64 self = bpf_get_current_pid_tgid() >> 32, found = 0;
	struct bpf_iter_task it;
	struct task_struct *task;

	bpf_rcu_read_lock();
	observed[0] = bpf_iter_task_new(&it, NULL, input[0]);
	while ((task = NEXT(task, &it)))
		found += (u32)task->pid == self;
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	observed[1] = found;
	return 0;
}

SEC("syscall")
__description("unknown flags: -EINVAL and no task")
__since("6.7")
__input(0, 0xdeadbeef00000007)
__success __retval(0)
__observe(0, s32, -22)
__observe(1, u64, 0)
int processes_refused(void *ctx)
{
	struct bpf_iter_task it;
	u64 found = 0;

	bpf_rcu_read_lock();
	observed[0] = bpf_iter_task_new(&it, NULL, input[0]);
	while (NEXT(task, &it))
		found++;
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	observed[1] = found;
	return 0;
}

SEC("syscall")
__description("cgroups above the root: the root alone")
__since("6.10") __config("CGROUPS")
__input(0, 4 /* BPF_CGROUP_ITER_ANCESTORS_UP */)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, 1)
__observe(2, u64, 0)
int cgroups(void *ctx)
{
	struct cgroup *root;
	struct cgroup_subsys_state *css;
	struct bpf_iter_css it;
	u64 count = 0, distance = 1;

	POISON_R0_OTHERWISE;
	root = bpf_cgroup_from_id(1);
	if (!root)
		return -1;
	bpf_rcu_read_lock();
	observed[0] = bpf_iter_css_new(&it, &root->self, input[0]);
	while ((css = NEXT(css, &it))) {
		count++;
		distance = (u64)css - (u64)&root->self;
	}
	bpf_iter_css_destroy(&it);
	bpf_rcu_read_unlock();
	bpf_cgroup_release(root);
	observed[1] = count;
	observed[2] = distance;
	return 0;
}
