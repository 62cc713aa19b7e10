// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Kfuncs without a result: RCU, preemption, interrupts; and the resilient spin lock, whose result is 0 or a negative
 * int. A value is carried across each call, so that a call that returns to the wrong place or drops a register shows.
 */
#include "kfunc_case.h"

struct bpf_res_spin_lock {
	u32 val;
} __aligned(4);

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void bpf_preempt_disable(void) __ksym;
extern void bpf_preempt_enable(void) __ksym;
extern void bpf_local_irq_save(unsigned long *flags) __ksym;
extern void bpf_local_irq_restore(unsigned long *flags) __ksym;
extern int bpf_res_spin_lock(struct bpf_res_spin_lock *lock) __ksym;
extern void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock) __ksym;
extern int bpf_res_spin_lock_irqsave(struct bpf_res_spin_lock *lock, unsigned long *flags) __ksym;
extern void bpf_res_spin_unlock_irqrestore(struct bpf_res_spin_lock *lock, unsigned long *flags) __ksym;

struct guarded {
	struct bpf_res_spin_lock lock;
	u32 count;
};

struct {
	__uint(type, 2 /* ARRAY */);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct guarded);
} guarded_map SEC(".maps");

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;

SEC("syscall")
__description("void(void): an RCU section")
__since("6.2")
__input(0, 0x1122334455667788)
__success __retval(0)
__observe(0, u64, 0x1122334455667788)
__observe(1, u64, 0x1122334455667789)
int rcu(void *ctx)
{
	u64 v = input[0];

	barrier_var(v);
	bpf_rcu_read_lock();
	observed[0] = v;
	bpf_rcu_read_unlock();
	observed[1] = v + 1;
	return 0;
}

SEC("syscall")
__description("void(void): nested sections without preemption")
__since("6.10")
__input(0, 0x1122334455667788)
__success __retval(0)
__observe(0, u64, 0x1122334455667788)
__observe(1, u64, 0x1122334455667789)
__observe(2, u64, 0x112233445566778a)
int preemption(void *ctx)
{
	u64 v = input[0];

	barrier_var(v);
	bpf_preempt_disable();
	bpf_preempt_disable();
	observed[0] = v;
	bpf_preempt_enable();
	observed[1] = v + 1;
	bpf_preempt_enable();
	observed[2] = v + 2;
	return 0;
}

SEC("syscall")
__description("void(ptr): interrupt flags are kept on the program's stack, innermost restored first")
__since("6.14")
__input(0, 0x1122334455667788)
__success __retval(0)
__observe(0, u64, 0x1122334455667788)
__observe(1, u64, 0x1122334455667789)
int interrupts(void *ctx)
{
	unsigned long outer, inner;
	u64 v = input[0];

	barrier_var(v);
	bpf_local_irq_save(&outer);
	bpf_local_irq_save(&inner);
	observed[0] = v;
	bpf_local_irq_restore(&inner);
	bpf_local_irq_restore(&outer);
	observed[1] = v + 1;
	return 0;
}

SEC("tc")
__description("int(ptr) and void(ptr): a free lock is taken (0)")
__since("6.15")
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u32, 1)
int resilient_lock(void *ctx)
{
	struct guarded *g;
	u32 key = 0;
	int err;

	g = bpf_map_lookup_elem(&guarded_map, &key);
	if (!g)
		return -1;
	err = bpf_res_spin_lock(&g->lock);
	observed[0] = err;
	if (err)
		return -2;
	g->count++;
	observed[1] = g->count;
	bpf_res_spin_unlock(&g->lock);
	return 0;
}

SEC("tc")
__description("int(ptr, ptr) and void(ptr, ptr): the lock with interrupts off")
__since("6.15")
__success __retval(0)
__observe(0, s32, 0)
__observe(1, u32, 1)
int resilient_lock_irq(void *ctx)
{
	unsigned long flags;
	struct guarded *g;
	u32 key = 1;
	int err;

	g = bpf_map_lookup_elem(&guarded_map, &key);
	if (!g)
		return -1;
	err = bpf_res_spin_lock_irqsave(&g->lock, &flags);
	observed[0] = err;
	if (err)
		return -2;
	g->count++;
	observed[1] = g->count;
	bpf_res_spin_unlock_irqrestore(&g->lock, &flags);
	return 0;
}
