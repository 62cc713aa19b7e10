// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Dynptr kfuncs (kernel/bpf/helpers.c): bool, int, u32 or u64 and pointer results; memory with its size; five
 * arguments. Offsets and sizes are u32 up to 6.18 and u64 since 6.19, and so is the result of bpf_dynptr_size().
 *
 * bpf_dynptr_size() of an empty dynptr is (T)-EINVAL: the only kfunc of a stock kernel that returns a u32 above 2^31.
 */
#include "kfunc_case.h"

struct __sk_buff;
struct xdp_md;
struct bpf_dynptr {
	u64 __opaque[2];
} __aligned(8);

extern u64 bpf_dynptr_is_null(const struct bpf_dynptr *p) __ksym;
extern u64 bpf_dynptr_is_rdonly(const struct bpf_dynptr *p) __ksym;
extern u64 bpf_dynptr_size(const struct bpf_dynptr *p) __ksym;
extern u64 bpf_dynptr_adjust(const struct bpf_dynptr *p, u64 start, u64 end) __ksym;
extern u64 bpf_dynptr_clone(const struct bpf_dynptr *p, struct bpf_dynptr *clone) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *p, u64 offset, void *buffer, u64 buffer__szk) __ksym;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *p, u64 offset, void *buffer, u64 buffer__szk) __ksym;
extern u64 bpf_dynptr_copy(struct bpf_dynptr *dst, u64 dst_off, struct bpf_dynptr *src, u64 src_off, u64 size) __ksym;
extern u64 bpf_dynptr_memset(struct bpf_dynptr *p, u64 offset, u64 size, u64 val) __ksym;
extern u64 bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *p) __ksym;
extern u64 bpf_dynptr_from_xdp(struct xdp_md *xdp, u64 flags, struct bpf_dynptr *p) __ksym;

static long (*bpf_dynptr_from_mem)(void *data, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)197;

static u8 memory[64];
static u8 other[64];

SEC("syscall")
__description("bool(ptr), u64(ptr): a dynptr over memory")
__since("6.5")
__success __retval(0)
__observe(0, bool, 0)
__observe(1, bool, 0)
__observe(2, u32, 64)
int over_memory(void *ctx)
{
	struct bpf_dynptr p;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	observed[0] = bpf_dynptr_is_null(&p);
	observed[1] = bpf_dynptr_is_rdonly(&p);
	observed[2] = bpf_dynptr_size(&p);
	return 0;
}

SEC("syscall")
__description("u32 result above 2^31: the size of an empty dynptr is (u32)-EINVAL")
__since("6.5")
__success __retval(0)
__observe(0, bool, 1)
__observe(1, u32, 0xffffffea)
int empty(void *ctx)
{
	struct bpf_dynptr p;

	/* Unknown flags: the helper makes an empty dynptr. */
	bpf_dynptr_from_mem(memory, sizeof(memory), 1, &p);
	observed[0] = bpf_dynptr_is_null(&p);
	observed[1] = bpf_dynptr_size(&p);
	return 0;
}

SEC("syscall")
__description("u64 result: all 64 bits of (u64)-EINVAL")
__since("6.19")
__success __retval(0)
__observe(0, u64, 0xffffffffffffffea)
int empty_64(void *ctx)
{
	struct bpf_dynptr p;

	bpf_dynptr_from_mem(memory, sizeof(memory), 1, &p);
	observed[0] = bpf_dynptr_size(&p);
	return 0;
}

SEC("syscall")
__description("int(ptr, u64, u64): narrowed, and refused with -EINVAL and -ERANGE")
__since("6.5")
__input(0, 8) __input(1, 24) __input(2, 65)
__success __retval(0)
__observe(0, s32, -22)
__observe(1, s32, -34)
__observe(2, s32, 0)
__observe(3, u32, 16)
int adjust(void *ctx)
{
	struct bpf_dynptr p;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	observed[0] = bpf_dynptr_adjust(&p, input[1], input[0]);
	observed[1] = bpf_dynptr_adjust(&p, input[0], input[2]);
	observed[2] = bpf_dynptr_adjust(&p, input[0], input[1]);
	observed[3] = bpf_dynptr_size(&p);
	return 0;
}

SEC("syscall")
__description("u64 arguments keep their upper half: 2^32 is not 0")
__since("6.19")
__input(0, 0x100000000)
__success __retval(0)
__observe(0, s32, -34)
__observe(1, s32, -22)
__observe(2, u64, 64)
int adjust_above_32_bits(void *ctx)
{
	struct bpf_dynptr p;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	observed[0] = bpf_dynptr_adjust(&p, 0, input[0]);
	observed[1] = bpf_dynptr_adjust(&p, input[0], 1);
	observed[2] = bpf_dynptr_size(&p);
	return 0;
}

SEC("syscall")
__description("u32 arguments with garbage above them")
__since("6.5") __until("6.18")
__input(0, 0xdeadbeef00000008) __input(1, 0xdeadbeef00000018)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u32, 16)
int adjust_dirty(void *ctx)
{
	struct bpf_dynptr p;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	observed[0] = bpf_dynptr_adjust(&p, input[0], input[1]);
	observed[1] = bpf_dynptr_size(&p);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr): a clone, and -EINVAL for a clone of nothing")
__since("6.5")
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u32, 64)
__observe(2, s32, -22)
__observe(3, bool, 1)
int clone(void *ctx)
{
	struct bpf_dynptr p, q, r, s;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	observed[0] = bpf_dynptr_clone(&p, &q);
	observed[1] = bpf_dynptr_size(&q);
	bpf_dynptr_from_mem(memory, sizeof(memory), 1, &r);
	observed[2] = bpf_dynptr_clone(&r, &s);
	observed[3] = bpf_dynptr_is_null(&s);
	return 0;
}

SEC("syscall")
__description("ptr(ptr, u64, mem, size): the pointer leads to the bytes; out of range is NULL")
__since("6.5")
__input(0, 8) __input(1, 61)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, u32, 0x44332211)
__observe(2, ptr, NULL)
int slice(void *ctx)
{
	struct bpf_dynptr p;
	u32 buffer = 0, *q;

	*(volatile u32 *)&memory[8] = 0x44332211;
	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	q = bpf_dynptr_slice(&p, input[0], &buffer, 4);
	observed[0] = (u64)q;
	if (!q)
		return -1;
	observed[1] = *q;
	observed[2] = (u64)bpf_dynptr_slice(&p, input[1], &buffer, 4);
	return 0;
}

SEC("tc")
__description("ptr(ptr, u64, mem, size): written through the returned pointer")
__since("6.5")
__input(0, 16) __input(1, 0x0badcafe)
__success __retval(0)
__observe(0, u32, 0x0badcafe)
int slice_to_write(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	u32 buffer = 0, *q;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	q = bpf_dynptr_slice_rdwr(&p, input[0], &buffer, 4);
	if (!q)
		return -1;
	*q = input[1];
	observed[0] = *(volatile u32 *)&memory[16];
	return 0;
}

SEC("syscall")
__description("five arguments: int(ptr, u64, ptr, u64, u64); each one matters")
__since("6.16")
__input(0, 4) __input(1, 8) __input(2, 3) __input(3, 62)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, 0x00cccbca00000000)
__observe(2, s32, -7)
int copy(void *ctx)
{
	struct bpf_dynptr p, q;

	*(volatile u64 *)&memory[8] = 0xd1d0cfcecdcccbcaULL;
	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	bpf_dynptr_from_mem(other, sizeof(other), 0, &q);
	/* bytes 8, 9 and 10 of memory go to bytes 4, 5 and 6 of other */
	observed[0] = bpf_dynptr_copy(&q, input[0], &p, input[1], input[2]);
	observed[1] = *(volatile u64 *)&other[0];
	observed[2] = bpf_dynptr_copy(&q, input[3], &p, input[1], input[2]);
	return 0;
}

SEC("syscall")
__description("u8 in fourth position: int(ptr, u64, u64, u8)")
__since("6.17")
__input(0, 2) __input(1, 3) __input(2, 0xc3)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, 0x000000c3c3c30000)
int fill(void *ctx)
{
	struct bpf_dynptr p;

	bpf_dynptr_from_mem(memory, sizeof(memory), 0, &p);
	observed[0] = bpf_dynptr_memset(&p, input[0], input[1], input[2]);
	observed[1] = *(volatile u64 *)&memory[0];
	return 0;
}

SEC("tc")
__description("int(ctx, u64, ptr) and a slice of a packet")
__since("6.4")
__input(0, 20)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u64, 0)
__observe(2, s32, -22)
int from_skb(struct __sk_buff *skb)
{
	struct bpf_dynptr p, q;
	u64 buffer = 0, *slice, direct = 0;

	observed[0] = bpf_dynptr_from_skb(skb, 0, &p);
	slice = bpf_dynptr_slice(&p, input[0], &buffer, sizeof(buffer));
	if (!slice)
		return -1;
	((long (*)(void *, u32, void *, u32))26 /* bpf_skb_load_bytes */)(skb, 20, &direct, sizeof(direct));
	observed[1] = *slice - direct;
	observed[2] = bpf_dynptr_from_skb(skb, 1, &q);
	return 0;
}

SEC("tc")
__description("u32(ptr): the size of a packet's dynptr is the packet's length")
__since("6.5")
__success __retval(0)
__observe(0, u32, 0)
__observe(1, bool, 0)
int size_of_skb(struct __sk_buff *skb)
{
	struct bpf_dynptr p;

	bpf_dynptr_from_skb(skb, 0, &p);
	observed[0] = bpf_dynptr_size(&p) - *(volatile u32 *)skb /* len */;
	observed[1] = bpf_dynptr_is_rdonly(&p);
	return 0;
}

SEC("xdp")
__description("int(ctx, u64, ptr): a dynptr over an XDP frame")
__since("6.5")
__success __retval(2)
__observe(0, s32, 0)
__observe(1, u32, 0)
__observe(2, bool, 0)
__observe(3, s32, -22)
int from_xdp(struct xdp_md *xdp)
{
	struct bpf_dynptr p, q;

	observed[0] = bpf_dynptr_from_xdp(xdp, 0, &p);
	observed[1] = bpf_dynptr_size(&p) -
		      ((u64(*)(void *))188 /* bpf_xdp_get_buff_len */)(xdp);
	observed[2] = bpf_dynptr_is_null(&p);
	observed[3] = bpf_dynptr_from_xdp(xdp, 1, &q);
	return 2 /* XDP_PASS */;
}
