// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Stack slots live across a call. The slots are volatile, so each is really stored before and read after the call.
 */
#include "kfunc_case.h"

struct bpf_iter_bits {
	u64 __opaque[2];
} __aligned(8);

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern u64 bpf_iter_bits_new(struct bpf_iter_bits *it, const u64 *words, u64 nr_words) __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __ksym;

SEC("syscall")
__description("the whole frame of 512 bytes, less what the call needs, filled before and summed after an int(int)")
__since("6.10") __config("NET")
__input(0, 0x0101010101010101)
__success __retval(0)
__observe(0, s32, 99)
__observe(1, u64, 0x0101010101010101)
__observe(2, u64, 0x101010101010101)
__observe(3, u64, 0x3838383838383838)
int whole_frame(void *ctx)
{
	volatile u64 slots[56];
	u64 v = input[0], sum = 0;
	int i;

#pragma unroll
	for (i = 0; i < 56; i++)
		slots[i] = v;
	observed[0] = bpf_modify_return_test_tp(99);
	observed[1] = slots[0];
	observed[2] = slots[55];
#pragma unroll
	for (i = 0; i < 56; i++)
		sum += slots[i];
	observed[3] = sum;
	return 0;
}

SEC("syscall")
__description("slots of 8, 16, 32 and 64 bits around calls without result")
__since("6.2")
__input(0, 0x1122334455667788)
__success __retval(0)
__observe(0, u8, 0x88)
__observe(1, u16, 0x7788)
__observe(2, u32, 0x55667788)
__observe(3, u64, 0x1122334455667788)
int narrow_slots(void *ctx)
{
	volatile u8 b = input[0];
	volatile u16 h = input[0];
	volatile u32 w = input[0];
	volatile u64 d = input[0];

	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	observed[0] = b;
	observed[1] = h;
	observed[2] = w;
	observed[3] = d;
	return 0;
}

SEC("syscall")
__description("the callee writes into the program's stack and nowhere next to it")
__since("6.11")
__input(0, 0x1122334455667788) __input(1, 0x8000000000000000)
__success __retval(0)
__observe(0, u64, 0x1122334455667788)
__observe(1, u64, 0x8877665544332211)
__observe(2, s32, 0)
__observe(3, s32, 63)
int written_by_callee(void *ctx)
{
	struct {
		volatile u64 below;
		struct bpf_iter_bits it;
		volatile u64 above;
	} frame;
	u64 word = input[1];
	int *bit;

	frame.below = input[0];
	frame.above = __builtin_bswap64(input[0]);
	observed[2] = bpf_iter_bits_new(&frame.it, &word, 1);
	while (({ POISON_R0; bit = bpf_iter_bits_next(&frame.it); }))
		observed[3] = *bit;
	bpf_iter_bits_destroy(&frame.it);
	observed[0] = frame.below;
	observed[1] = frame.above;
	return 0;
}
