// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The kernel's own test kfuncs, bpf_kfunc_call_test*() in net/bpf/test_run.c: part of every kernel from 5.13 to 6.4 with
 * BPF and networking, moved into a test module in 6.5. They are what Debian's 6.1 offers beside conntrack, and the only
 * stock kfuncs that compute with their arguments.
 */
#include "kfunc_case.h"

struct sock;
struct __sk_buff;
struct bpf_sock;
struct prog_test_ref_kfunc {
	int a;
	int b;
} __core;

extern u64 bpf_kfunc_call_test1(struct sock *sk, u64 a, u64 b, u64 c, u64 d) __ksym;
extern u64 bpf_kfunc_call_test2(struct sock *sk, u64 a, u64 b) __ksym;
extern struct sock *bpf_kfunc_call_test3(struct sock *sk) __ksym;
extern u64 bpf_kfunc_call_test4(u64 a, u64 b, u64 c, u64 d) __ksym;
extern struct prog_test_ref_kfunc *bpf_kfunc_call_test_acquire(unsigned long *scalar) __ksym;
extern void bpf_kfunc_call_test_release(struct prog_test_ref_kfunc *p) __ksym;
extern int *bpf_kfunc_call_test_get_rdwr_mem(struct prog_test_ref_kfunc *p, const int rdwr_buf_size) __ksym;
extern int *bpf_kfunc_call_test_get_rdonly_mem(struct prog_test_ref_kfunc *p, const int rdonly_buf_size) __ksym;
extern void bpf_kfunc_call_test_mem_len_pass1(void *mem, int len) __ksym;

static struct bpf_sock *(*bpf_sk_fullsock)(struct bpf_sock *sk) = (void *)95;
static long (*bpf_tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static long (*bpf_loop)(u32 nr, void *callback, void *ctx, u64 flags) = (void *)181;

/* The socket of a test packet, at its offset in struct __sk_buff (include/uapi/linux/bpf.h). */
static __always_inline struct sock *socket_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = *(struct bpf_sock *volatile *)((void *)skb + 168);

	return sk ? (struct sock *)bpf_sk_fullsock(sk) : NULL;
}

SEC("tc")
__description("u64(ptr, u32, u64, u32, u64): five arguments, each in another byte of the sum")
__since("5.13") __until("6.4") __config("NET")
__input(0, 1) __input(1, 0x0200000000000000) __input(2, 0x300) __input(3, 0x0000040000000000)
__success __retval(0)
__observe(0, u64, 0x0200040000000301)
int five_arguments(struct __sk_buff *skb)
{
	struct sock *sk = socket_of(skb);

	if (!sk)
		return -1;
	observed[0] = bpf_kfunc_call_test1(sk, input[0], input[1], input[2], input[3]);
	return 0;
}

SEC("tc")
__description("u32 in positions 2 and 4 with garbage above, the last above 2^31: all 64 bits of the sum")
__since("5.13") __until("6.4") __config("NET")
__input(0, 0xdeadbeef00000001) __input(1, 0) __input(2, 0xdeadbeef80000000) __input(3, 0)
__success __retval(0)
__observe(0, u64, 0x80000001)
int dirty_u32(struct __sk_buff *skb)
{
	struct sock *sk = socket_of(skb);

	if (!sk)
		return -1;
	observed[0] = bpf_kfunc_call_test1(sk, input[0], input[1], input[2], input[3]);
	return 0;
}

SEC("tc")
__description("int(ptr, u32, u32): a sum that is negative as an int")
__since("5.13") __until("6.4") __config("NET")
__input(0, 0xfffffff0) __input(1, 3)
__success __retval(-13)
__observe(0, s32, -13)
int negative(struct __sk_buff *skb)
{
	struct sock *sk = socket_of(skb);

	if (!sk)
		return -1;
	observed[0] = bpf_kfunc_call_test2(sk, input[0], input[1]);
	return observed[0];
}

SEC("tc")
__description("ptr(ptr): the same pointer comes back")
__since("5.13") __until("6.4") __config("NET")
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, u64, 0)
int pointer(struct __sk_buff *skb)
{
	struct sock *sk = socket_of(skb), *same;

	if (!sk)
		return -1;
	same = bpf_kfunc_call_test3(sk);
	/* through memory: pointers of two kinds may not be subtracted */
	observed[0] = (u64)same;
	observed[1] = (u64)sk;
	observed[1] = observed[1] - observed[0];
	return 0;
}

SEC("tc")
__description("long(s8, s16, int, long): negative narrow arguments as a w register holds them")
__since("6.3") __until("6.4") __config("NET")
__input(0, 0xffffffff) __input(1, 0xfffffffe) __input(2, 0xfffffffd) __input(3, -4)
__success __retval(0)
__observe(0, s64, -10)
int signed_arguments(struct __sk_buff *skb)
{
	observed[0] = bpf_kfunc_call_test4(input[0], input[1], input[2], input[3]);
	return 0;
}

SEC("tc")
__description("acquire, read, release")
__since("5.18") __until("6.4") __config("NET")
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, s32, 42)
__observe(2, s32, 108)
int acquire_release(struct __sk_buff *skb)
{
	struct prog_test_ref_kfunc *p;
	unsigned long scalar = 0;

	p = bpf_kfunc_call_test_acquire(&scalar);
	observed[0] = (u64)p;
	if (!p)
		return -1;
	observed[1] = p->a;
	observed[2] = p->b;
	bpf_kfunc_call_test_release(p);
	return 0;
}

SEC("tc")
__description("ptr(ptr, const int): memory of a size, to write and to read; NULL when too large")
__since("6.0") __until("6.4") __config("NET")
__success __retval(0)
__observe(0, s32, 42)
__observe(1, s32, 108)
__observe(2, ptr, NULL)
int memory(struct __sk_buff *skb)
{
	struct prog_test_ref_kfunc *p;
	unsigned long scalar = 0;
	int *q;

	p = bpf_kfunc_call_test_acquire(&scalar);
	if (!p)
		return -1;
	q = bpf_kfunc_call_test_get_rdwr_mem(p, 2 * sizeof(int));
	if (q) {
		q[0] = 42;
		observed[0] = q[0];
	}
	q = bpf_kfunc_call_test_get_rdonly_mem(p, 2 * sizeof(int));
	if (q)
		observed[1] = q[1];
	observed[2] = (u64)bpf_kfunc_call_test_get_rdonly_mem(p, 3 * sizeof(int));
	bpf_kfunc_call_test_release(p);
	return 0;
}

SEC("tc")
__description("void(mem, int size): values live across it on the stack and in registers")
__since("5.18") __until("6.4") __config("NET")
__input(0, 0x1122334455667788)
__success __retval(0)
__observe(0, u64, 0x1122334455667788)
__observe(1, u64, 0x8877665544332211)
int memory_and_size(struct __sk_buff *skb)
{
	u64 kept = input[0];
	volatile u64 slot = __builtin_bswap64(kept);
	u64 buffer[2] = { 1, 2 };

	barrier_var(kept);
	bpf_kfunc_call_test_mem_len_pass1(buffer, sizeof(buffer));
	observed[0] = kept;
	observed[1] = slot;
	return 0;
}

SEC("tc")
__description("r6 to r9 around a call of five arguments")
__since("5.13") __until("6.4") __config("NET")
__success __retval(0)
__observe(0, u64, 0x6666666616666661)
__observe(1, u64, 0x7777777717777771)
__observe(2, u64, 0x8888888818888881)
__observe(3, u64, 0x9999999919999991)
__observe(4, u64, 10)
__naked int live_registers(void)
{
	asm volatile("r1 = *(u64 *)(r1 + 168);"
		     "if r1 == 0 goto 1f;"
		     "call 95;" /* bpf_sk_fullsock */
		     "if r0 == 0 goto 1f;"
		     "r6 = 0x6666666616666661 ll;"
		     "r7 = 0x7777777717777771 ll;"
		     "r8 = 0x8888888818888881 ll;"
		     "r9 = 0x9999999919999991 ll;"
		     "r1 = r0;"
		     "r2 = 1;"
		     "r3 = 2;"
		     "r4 = 3;"
		     "r5 = 4;"
		     "call %[bpf_kfunc_call_test1];"
		     "r1 = %[observed] ll;"
		     "*(u64 *)(r1 + 0) = r6;"
		     "*(u64 *)(r1 + 8) = r7;"
		     "*(u64 *)(r1 + 16) = r8;"
		     "*(u64 *)(r1 + 24) = r9;"
		     "*(u64 *)(r1 + 32) = r0;"
		     "r0 = 0;"
		     "exit;"
		     "1:"
		     "r0 = 1;"
		     "exit;"
		     :
		     : __imm(bpf_kfunc_call_test1), __imm_addr(observed)
		     : __clobber_all);
}

static __noinline int size_in_subprogram(u64 v)
{
	u64 buffer[2] = { v, 2 };

	bpf_kfunc_call_test_mem_len_pass1(buffer, sizeof(buffer));
	return v + 1;
}

SEC("tc")
__description("a call in a sub-program")
__since("5.18") __until("6.4") __config("NET")
__input(0, 41)
__success __retval(42)
int in_subprogram(struct __sk_buff *skb)
{
	return size_in_subprogram(input[0]);
}

static long size_in_callback(u64 index, u64 *sum)
{
	u64 buffer[2] = { index, 2 };

	bpf_kfunc_call_test_mem_len_pass1(buffer, sizeof(buffer));
	*sum += index;
	return 0;
}

SEC("tc")
__description("calls in a callback of bpf_loop")
__since("5.18") __until("6.4") __config("NET")
__input(0, 10)
__success __retval(45)
__observe(0, u64, 10)
int in_callback(struct __sk_buff *skb)
{
	u64 sum = 0;

	observed[0] = bpf_loop(input[0], size_in_callback, &sum, 0);
	return sum;
}

int tail_calls(struct __sk_buff *skb);

struct {
	__uint(type, 3 /* PROG_ARRAY */);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__array(values, int(struct __sk_buff *));
} jumps SEC(".maps") = {
	.values = { [0] = (void *)&tail_calls },
};

SEC("tc")
__description("a kfunc call before each tail call: 1 run and exactly 33 more")
__since("5.18") __until("6.4") __config("NET")
__success __retval(9)
__observe(0, u64, 34)
int tail_calls(struct __sk_buff *skb)
{
	u64 runs = observed[0];
	u64 buffer[2] = { 1, 2 };

	if (runs == KFUNC_UNSET)
		runs = 0;
	observed[0] = runs + 1;
	bpf_kfunc_call_test_mem_len_pass1(buffer, sizeof(buffer));
	bpf_tail_call(skb, &jumps, 0);
	return 9;
}
