// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Memory cgroup kfuncs (mm/bpf_memcontrol.c, since 7.0): a pointer out of nothing, and unsigned long results of an enum or
 * an int, all ones when the number names nothing.
 */
#include "kfunc_case.h"

struct mem_cgroup;

extern struct mem_cgroup *bpf_get_root_mem_cgroup(void) __ksym;
extern void bpf_put_mem_cgroup(struct mem_cgroup *memcg) __ksym;
extern u64 bpf_mem_cgroup_vm_events(struct mem_cgroup *memcg, u64 event) __ksym;
extern u64 bpf_mem_cgroup_memory_events(struct mem_cgroup *memcg, u64 event) __ksym;
extern u64 bpf_mem_cgroup_page_state(struct mem_cgroup *memcg, u64 index) __ksym;

SEC("syscall")
__description("ptr(void), and unsigned long(ptr, enum) with every bit set")
__since("7.0") __config("MEMCG")
__input(0, 0x7fffffff)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, ulong, -1)
__observe(2, ulong, -1)
__observe(3, ulong, -1)
int out_of_range(void *ctx)
{
	struct mem_cgroup *root = bpf_get_root_mem_cgroup();

	observed[0] = (u64)root;
	if (!root)
		return -1;
	observed[1] = bpf_mem_cgroup_vm_events(root, input[0]);
	observed[2] = bpf_mem_cgroup_memory_events(root, input[0]);
	observed[3] = bpf_mem_cgroup_page_state(root, input[0]);
	bpf_put_mem_cgroup(root);
	return 0;
}

SEC("syscall")
__description("an enum of 0 under garbage: no low memory event has ever happened to the root")
__since("7.0") __config("MEMCG")
__input(0, 0xdeadbeef00000000)
__success __retval(0)
__observe(0, u64, 0)
int dirty_enum(void *ctx)
{
	struct mem_cgroup *root = bpf_get_root_mem_cgroup();

	if (!root)
		return -1;
	observed[0] = bpf_mem_cgroup_memory_events(root, input[0]);
	bpf_put_mem_cgroup(root);
	return 0;
}
