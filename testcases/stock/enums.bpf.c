// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * An enum as an argument. bpf_send_signal_task(task, int sig, enum pid_type type, u64 value), kernel/trace/bpf_trace.c:
 * a type that is neither PIDTYPE_PID (0) nor PIDTYPE_TGID (1) is -EINVAL; after that a kernel thread is refused with
 * -EPERM. Pid 2 is kthreadd, so the result tells which enum value arrived, and no signal is ever sent.
 */
#include "kfunc_case.h"

struct task_struct;

extern struct task_struct *bpf_task_from_pid(u64 pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern u64 bpf_send_signal_task(struct task_struct *task, u64 sig, u64 type, u64 value) __ksym;

static __always_inline int send_twice(void)
{
	struct task_struct *p = bpf_task_from_pid(2);

	if (!p)
		return -1;
	observed[0] = bpf_send_signal_task(p, 0, input[0], 0);
	observed[1] = bpf_send_signal_task(p, 0, input[1], 0);
	bpf_task_release(p);
	return 0;
}

SEC("syscall")
__description("int(ptr, int, enum, u64): the enum decides between -EPERM and -EINVAL")
__since("6.13") __config("BPF_EVENTS")
__input(0, 1) __input(1, 3)
__success __retval(0)
__observe(0, s32, -1)
__observe(1, s32, -22)
int valid_and_invalid(void *ctx)
{
	return send_twice();
}

SEC("syscall")
__description("the same with garbage in the upper half of the enum")
__since("6.13") __config("BPF_EVENTS")
__input(0, 0xdeadbeef00000001) __input(1, 0xdeadbeef00000003)
__success __retval(0)
__observe(0, s32, -1)
__observe(1, s32, -22)
int valid_and_invalid_dirty(void *ctx)
{
	return send_twice();
}

SEC("syscall")
__description("an enum value with the highest bit set is not a valid one")
__since("6.13") __config("BPF_EVENTS")
__input(0, 0) __input(1, 0xffffffff80000001)
__success __retval(0)
__observe(0, s32, -1)
__observe(1, s32, -22)
int highest_bit(void *ctx)
{
	return send_twice();
}
