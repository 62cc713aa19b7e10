// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * kfuncs of the extensible scheduler that work without a scheduler loaded (kernel/sched/ext): u32(void), u64(void),
 * s32(ptr), bool(ptr).
 */
#include "kfunc_case.h"

struct task_struct;
struct cpumask;

extern u64 scx_bpf_nr_cpu_ids(void) __ksym;
extern u64 scx_bpf_now(void) __ksym;
extern u64 scx_bpf_task_running(const struct task_struct *p) __ksym;
extern u64 scx_bpf_task_cpu(const struct task_struct *p) __ksym;
extern const struct cpumask *scx_bpf_get_online_cpumask(void) __ksym;
extern void scx_bpf_put_cpumask(const struct cpumask *mask) __ksym;
extern u64 bpf_cpumask_test_cpu(u64 cpu, const struct cpumask *mask) __ksym;

static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;

SEC("syscall")
__description("bool(ptr) and s32(ptr): the current task is running, on this CPU")
__since("6.12") __config("SCHED_CLASS_EXT")
__success __retval(0)
__observe(0, bool, 1)
__observe(1, s32, 0)
int current(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	observed[0] = scx_bpf_task_running(task);
	observed[1] = (u32)scx_bpf_task_cpu(task) - bpf_get_smp_processor_id();
	return 0;
}

SEC("syscall")
__description("ptr(void) and void(ptr): this CPU is online; u32(void): its number is below the limit")
__since("6.12") __config("SCHED_CLASS_EXT")
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, bool, 1)
__observe(2, bool, 1)
int cpus(void *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();
	const struct cpumask *online = scx_bpf_get_online_cpumask();

	observed[0] = (u64)online;
	observed[1] = bpf_cpumask_test_cpu(cpu, online);
	scx_bpf_put_cpumask(online);
	observed[2] = cpu < (u32)scx_bpf_nr_cpu_ids();
	return 0;
}

SEC("syscall")
__description("u64(void): a clock that does not go back")
__since("6.14") __config("SCHED_CLASS_EXT")
__success __retval(0)
__observe(0, u64, NONZERO)
__observe(1, bool, 1)
int clock(void *ctx)
{
	u64 first = scx_bpf_now(), second = scx_bpf_now();

	observed[0] = first;
	observed[1] = second >= first;
	return 0;
}
