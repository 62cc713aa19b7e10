// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Linked lists of allocated objects. bpf_obj_new_impl() and friends take a type id that the verifier replaces by a size,
 * and hidden arguments that it fills in. In the kernel since 6.2 and under these names since 6.4; callable from SYSCALL
 * programs since 6.10, from SCHED_CLS before.
 */
#include "kfunc_case.h"

struct bpf_list_head {
	u64 __opaque[2];
} __aligned(8);
struct bpf_list_node {
	u64 __opaque[3];
} __aligned(8);
struct bpf_spin_lock {
	u32 val;
};

struct item {
	struct bpf_list_node node;
	u64 value;
};

extern void *bpf_obj_new_impl(u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *p, void *meta) __ksym;
extern u64 bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off) __ksym;
extern u64 bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_back(struct bpf_list_head *head) __ksym;

static long (*bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;

#define new_item() ((struct item *)bpf_obj_new_impl(__builtin_btf_type_id(*(struct item *)0, 0 /* local */), NULL))
#define item_of(n) ((struct item *)((void *)(n) - __builtin_offsetof(struct item, node)))
#define private(name) SEC(".bss." #name) __attribute__((visibility("hidden"))) __aligned(8)

private(A) struct bpf_spin_lock lock;
private(A) struct bpf_list_head head __contains(item, node);

static __always_inline u64 push(u64 value, bool front)
{
	struct item *i = new_item();
	u64 err;

	if (!i)
		return -1;
	i->value = value;
	bpf_spin_lock(&lock);
	if (front)
		err = bpf_list_push_front_impl(&head, &i->node, NULL, 0);
	else
		err = bpf_list_push_back_impl(&head, &i->node, NULL, 0);
	bpf_spin_unlock(&lock);
	return err;
}

static __always_inline u64 pop(bool front)
{
	struct bpf_list_node *n;
	struct item *i;
	u64 value;

	bpf_spin_lock(&lock);
	if (front)
		n = bpf_list_pop_front(&head);
	else
		n = bpf_list_pop_back(&head);
	bpf_spin_unlock(&lock);
	if (!n)
		return 0;
	i = item_of(n);
	value = i->value;
	bpf_obj_drop_impl(i, NULL);
	return value;
}

static __always_inline int order(void)
{
	observed[0] = push(input[0], true);
	observed[1] = push(input[1], true);
	observed[2] = push(input[2], false);
	observed[3] = pop(true);
	observed[4] = pop(false);
	observed[5] = pop(true);
	observed[6] = pop(true);
	return 0;
}

SEC("syscall")
__description("ptr(u64, ptr) and void(ptr, ptr): an object is allocated, written, read and dropped")
__since("6.10")
__input(0, 0x0102030405060708)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, u64, 0x0102030405060708)
int object(void *ctx)
{
	struct item *i = new_item();

	observed[0] = (u64)i;
	if (!i)
		return -1;
	i->value = input[0];
	observed[1] = *(volatile u64 *)&i->value;
	bpf_obj_drop_impl(i, NULL);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr, ptr, u64): three objects pushed, popped in the right order, then NULL")
__since("6.10")
__input(0, 0x11) __input(1, 0x22) __input(2, 0x33)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, s32, 0)
__observe(2, s32, 0)
__observe(3, u64, 0x22)
__observe(4, u64, 0x33)
__observe(5, u64, 0x11)
__observe(6, u64, 0)
int push_and_pop(void *ctx)
{
	return order();
}

SEC("tc")
__description("the same from SCHED_CLS")
__since("6.4")
__input(0, 0x11) __input(1, 0x22) __input(2, 0x33)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, s32, 0)
__observe(2, s32, 0)
__observe(3, u64, 0x22)
__observe(4, u64, 0x33)
__observe(5, u64, 0x11)
__observe(6, u64, 0)
int push_and_pop_from_tc(void *ctx)
{
	return order();
}

SEC("syscall")
__description("ptr(ptr): front and back without taking them out")
__since("6.16")
__input(0, 0x11) __input(1, 0x22)
__success __retval(0)
__observe(0, u64, 0x11)
__observe(1, u64, 0x22)
__observe(2, u64, 0x11)
__observe(3, u64, 0x22)
int front_and_back(void *ctx)
{
	struct bpf_list_node *n;

	if (push(input[0], false) || push(input[1], false))
		return -1;
	bpf_spin_lock(&lock);
	n = bpf_list_front(&head);
	if (n)
		observed[0] = item_of(n)->value;
	n = bpf_list_back(&head);
	if (n)
		observed[1] = item_of(n)->value;
	bpf_spin_unlock(&lock);
	observed[2] = pop(true);
	observed[3] = pop(true);
	return 0;
}
