// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * bpf_arena_alloc_pages(map, addr, u32 page_cnt, int node_id, u64 flags): five arguments, a narrow signed one in fourth
 * position that is -1 (NUMA_NO_NODE) in ordinary use. On loongarch64 before 6.19 this very call crashed the kernel.
 *
 * A user address is given with map_extra, so nobody has to mmap() the arena. Arenas need JIT support of their own: riscv64
 * has it only with Zacas.
 */
#include "kfunc_case.h"

extern u64 bpf_arena_alloc_pages(void *map, void *addr, u64 page_cnt, u64 node_id, u64 flags) __ksym;

#define __arch_with_arenas __arch("x86_64") __arch("arm64") __arch("loongarch64") __arch("s390x")

struct {
	__uint(type, 33 /* ARENA */);
	__uint(map_flags, 1 << 10 /* BPF_F_MMAPABLE */);
	__uint(max_entries, 100);
	__ulong(map_extra, 0x100000000000ULL);
} arena SEC(".maps");

/* One page that exists, then two requests that must fail. */
#define __observe_pages                                                                                                \
	__observe(0, ptr, VALID)                                                                                       \
	__observe(1, ptr, NULL)                                                                                        \
	__observe(2, ptr, NULL)

static __always_inline int allocate(void)
{
	observed[0] = bpf_arena_alloc_pages(&arena, NULL, input[0], input[1], 0);
	/* more pages than the arena has */
	observed[1] = bpf_arena_alloc_pages(&arena, NULL, input[2], input[1], 0);
	/* unknown flags */
	observed[2] = bpf_arena_alloc_pages(&arena, NULL, input[0], input[1], input[3]);
	return 0;
}

SEC("syscall")
__description("node -1 as C passes it")
__since("6.11") __arch_with_arenas
__input(0, 1) __input(1, -1) __input(2, 101) __input(3, 1)
__success __retval(0)
__observe_pages
int any_node(void *ctx)
{
	return allocate();
}

SEC("syscall")
__description("node -1 zero-extended: 0x00000000ffffffff is the same int")
__since("6.11") __arch_with_arenas
__input(0, 1) __input(1, 0xffffffff) __input(2, 101) __input(3, 1)
__success __retval(0)
__observe_pages
int any_node_zero_extended(void *ctx)
{
	return allocate();
}

SEC("syscall")
__description("garbage above the u32 and the int")
__since("6.11") __arch_with_arenas
__input(0, 0xdeadbeef00000001) __input(1, 0x12345678ffffffff) __input(2, 0xdeadbeef00000065) __input(3, 1)
__success __retval(0)
__observe_pages
int dirty(void *ctx)
{
	return allocate();
}
