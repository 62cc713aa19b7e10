// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Task kfuncs (kernel/bpf/helpers.c): a pointer or NULL out of an s32, references taken and given back. The task looked for
 * is the one that runs the program: pid 1, the agent, in a guest. Callable from SYSCALL programs since 6.10.
 */
#include "kfunc_case.h"

struct task_struct {
	int pid;
	int tgid;
} __core;

extern struct task_struct *bpf_task_from_pid(u64 pid) __ksym;
extern struct task_struct *bpf_task_from_vpid(u64 vpid) __ksym;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;

static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;

SEC("syscall")
__description("ptr(s32): a task that exists, and its fields read through the pointer")
__since("6.10")
__success __retval(1)
__observe(0, ptr, VALID)
__observe(1, s32, 0)
__observe(2, s32, 0)
int from_pid(void *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct task_struct *p = bpf_task_from_pid((u32)pid_tgid);

	observed[0] = (u64)p;
	if (!p)
		return -1;
	observed[1] = p->pid - (u32)pid_tgid;
	observed[2] = p->tgid - (pid_tgid >> 32);
	bpf_task_release(p);
	return 1;
}

SEC("syscall")
__description("ptr(s32): NULL for a negative pid and for one above PID_MAX_LIMIT")
__since("6.10")
__input(0, -1) __input(1, 0x7fffffff)
__success __retval(0)
__observe(0, ptr, NULL)
__observe(1, ptr, NULL)
int from_pid_null(void *ctx)
{
	struct task_struct *p;

	POISON_R0;
	p = bpf_task_from_pid(input[0]);
	observed[0] = (u64)p;
	if (p)
		bpf_task_release(p);
	POISON_R0;
	p = bpf_task_from_pid(input[1]);
	observed[1] = (u64)p;
	if (p)
		bpf_task_release(p);
	return 0;
}

SEC("syscall")
__description("ptr(s32): all 64 bits of the pointer are those of the current task")
__since("6.10")
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, u64, 0)
int from_pid_is_current(void *ctx)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct task_struct *p = bpf_task_from_pid((u32)bpf_get_current_pid_tgid());

	observed[0] = (u64)p;
	if (!p)
		return -1;
	observed[1] = (u64)p - (u64)current;
	bpf_task_release(p);
	return 0;
}

SEC("syscall")
__description("ptr(ptr): acquire gives back the very pointer")
__since("6.10")
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, u64, 0)
int acquire_release(void *ctx)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct task_struct *p = bpf_task_acquire(current);

	observed[0] = (u64)p;
	if (!p)
		return -1;
	observed[1] = (u64)p - (u64)current;
	bpf_task_release(p);
	return 0;
}

SEC("syscall")
__description("ptr(s32): a task by its number in the namespace of the current one")
__since("6.14")
__success __retval(0)
__observe(0, ptr, VALID)
int from_vpid(void *ctx)
{
	struct task_struct *p = bpf_task_from_vpid((u32)bpf_get_current_pid_tgid());

	observed[0] = (u64)p;
	if (p)
		bpf_task_release(p);
	return 0;
}

SEC("syscall")
__description("two references held at once, released in the other order")
__since("6.10")
__success __retval(0)
__observe(0, s32, 0)
__observe(1, s32, 0)
__observe(2, u64, 0)
int two_references(void *ctx)
{
	u32 pid = bpf_get_current_pid_tgid();
	struct task_struct *a, *b;

	a = bpf_task_from_pid(pid);
	if (!a)
		return -1;
	b = bpf_task_acquire(a);
	if (!b) {
		bpf_task_release(a);
		return -2;
	}
	observed[2] = (u64)a - (u64)b;
	observed[0] = b->pid - pid;
	bpf_task_release(a);
	observed[1] = b->pid - pid;
	bpf_task_release(b);
	return 0;
}
