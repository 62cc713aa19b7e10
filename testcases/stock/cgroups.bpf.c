// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Cgroup kfuncs (kernel/bpf/helpers.c): ptr(u64), ptr(ptr, int), long(ptr, ptr). The root of the default hierarchy has
 * id 1 whether cgroup2 is mounted or not, level 0, and every task is below it.
 */
#include "kfunc_case.h"

struct cgroup {
	int level;
} __core;
struct task_struct;

extern struct cgroup *bpf_cgroup_from_id(u64 id) __ksym;
extern struct cgroup *bpf_cgroup_acquire(struct cgroup *cgrp) __ksym;
extern struct cgroup *bpf_cgroup_ancestor(struct cgroup *cgrp, u64 level) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;
extern u64 bpf_task_under_cgroup(struct task_struct *task, struct cgroup *ancestor) __ksym;
extern struct cgroup *bpf_task_get_cgroup1(struct task_struct *task, u64 hierarchy) __ksym;

static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;

SEC("syscall")
__description("ptr(u64): the root cgroup")
__since("6.10") __config("CGROUPS")
__input(0, 1)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, s32, 0)
int from_id(void *ctx)
{
	struct cgroup *cgrp = bpf_cgroup_from_id(input[0]);

	observed[0] = (u64)cgrp;
	if (!cgrp)
		return -1;
	observed[1] = cgrp->level;
	bpf_cgroup_release(cgrp);
	return 0;
}

SEC("syscall")
__description("ptr(u64): no cgroup has this id, whose low half is the root's; all 64 bits must arrive")
__since("6.10") __config("CGROUPS")
__input(0, 0xdeadbeef00000001)
__success __retval(0)
__observe(0, ptr, NULL)
int from_id_null(void *ctx)
{
	struct cgroup *cgrp;

	POISON_R0;
	cgrp = bpf_cgroup_from_id(input[0]);
	observed[0] = (u64)cgrp;
	if (cgrp)
		bpf_cgroup_release(cgrp);
	return 0;
}

SEC("syscall")
__description("ptr(ptr, int): ancestor at level 0, NULL at -1 and at 1")
__since("6.10") __config("CGROUPS")
__input(0, 0) __input(1, -1) __input(2, 1)
__success __retval(0)
__observe(0, u64, 0)
__observe(1, ptr, NULL)
__observe(2, ptr, NULL)
int ancestor(void *ctx)
{
	struct cgroup *root, *cgrp;

	POISON_R0;
	root = bpf_cgroup_from_id(1);
	if (!root)
		return -1;
	POISON_R0_OTHERWISE;
	cgrp = bpf_cgroup_ancestor(root, input[0]);
	if (cgrp) {
		observed[0] = (u64)cgrp - (u64)root;
		bpf_cgroup_release(cgrp);
	}
	POISON_R0;
	cgrp = bpf_cgroup_ancestor(root, input[1]);
	observed[1] = (u64)cgrp;
	if (cgrp)
		bpf_cgroup_release(cgrp);
	POISON_R0;
	cgrp = bpf_cgroup_ancestor(root, input[2]);
	observed[2] = (u64)cgrp;
	if (cgrp)
		bpf_cgroup_release(cgrp);
	bpf_cgroup_release(root);
	return 0;
}

SEC("syscall")
__description("ptr(ptr): a second reference is the same pointer")
__since("6.10") __config("CGROUPS")
__success __retval(0)
__observe(0, u64, 0)
int acquire(void *ctx)
{
	struct cgroup *root, *second;

	POISON_R0;
	root = bpf_cgroup_from_id(1);
	if (!root)
		return -1;
	POISON_R0_OTHERWISE;
	second = bpf_cgroup_acquire(root);
	if (second) {
		observed[0] = (u64)second - (u64)root;
		bpf_cgroup_release(second);
	}
	bpf_cgroup_release(root);
	return 0;
}

SEC("syscall")
__description("long(ptr, ptr): every task is under the root")
__since("6.10") __config("CGROUPS")
__success __retval(0)
__observe(0, long, 1)
int task_under(void *ctx)
{
	struct cgroup *root = bpf_cgroup_from_id(1);

	if (!root)
		return -1;
	observed[0] = bpf_task_under_cgroup(bpf_get_current_task_btf(), root);
	bpf_cgroup_release(root);
	return 0;
}

SEC("syscall")
__description("ptr(ptr, int): there is no hierarchy of that number")
__since("6.10") __config("CGROUPS")
__input(0, 0x7fffffff)
__success __retval(0)
__observe(0, ptr, NULL)
int no_such_hierarchy(void *ctx)
{
	struct cgroup *cgrp = bpf_task_get_cgroup1(bpf_get_current_task_btf(), input[0]);

	observed[0] = (u64)cgrp;
	if (cgrp)
		bpf_cgroup_release(cgrp);
	return 0;
}
