// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Red-black trees of allocated objects. bpf_rbtree_add_impl() takes five arguments, two of them hidden, and calls back
 * into the program to compare: a kfunc that is on the stack while BPF code runs above it.
 */
#include "kfunc_case.h"

struct bpf_rb_root {
	u64 __opaque[2];
} __aligned(8);
struct bpf_rb_node {
	u64 __opaque[4];
} __aligned(8);
struct bpf_spin_lock {
	u32 val;
};

struct item {
	u64 key;
	struct bpf_rb_node node;
};

extern void *bpf_obj_new_impl(u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *p, void *meta) __ksym;
extern u64 bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       bool (less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta, u64 off) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern struct bpf_rb_node *bpf_rbtree_root(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_left(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern struct bpf_rb_node *bpf_rbtree_right(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;

static long (*bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;

#define new_item() ((struct item *)bpf_obj_new_impl(__builtin_btf_type_id(*(struct item *)0, 0 /* local */), NULL))
#define item_of(n) ((struct item *)((void *)(n) - __builtin_offsetof(struct item, node)))
#define private(name) SEC(".bss." #name) __attribute__((visibility("hidden"))) __aligned(8)

private(A) struct bpf_spin_lock lock;
private(A) struct bpf_rb_root root __contains(item, node);

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return item_of(a)->key < item_of(b)->key;
}

static __always_inline u64 add(u64 key)
{
	struct item *i = new_item();
	u64 err;

	if (!i)
		return -1;
	i->key = key;
	bpf_spin_lock(&lock);
	err = bpf_rbtree_add_impl(&root, &i->node, less, NULL, 0);
	bpf_spin_unlock(&lock);
	return err;
}

/* Takes the smallest object out and gives its key, or all ones. */
static __always_inline u64 take_first(void)
{
	struct bpf_rb_node *n;
	struct item *i;
	u64 key;

	bpf_spin_lock(&lock);
	n = bpf_rbtree_first(&root);
	if (!n) {
		bpf_spin_unlock(&lock);
		return -1;
	}
	n = bpf_rbtree_remove(&root, n);
	bpf_spin_unlock(&lock);
	if (!n)
		return -2;
	i = item_of(n);
	key = i->key;
	bpf_obj_drop_impl(i, NULL);
	return key;
}

static __always_inline int sorted(void)
{
	observed[0] = add(input[0]);
	observed[1] = add(input[1]);
	observed[2] = add(input[2]);
	observed[3] = take_first();
	observed[4] = take_first();
	observed[5] = take_first();
	observed[6] = take_first();
	return 0;
}

SEC("syscall")
__description("five arguments and a callback: three objects come out sorted, by all 64 bits of their keys")
__since("6.10")
__input(0, 0x200000000) __input(1, 0x300000001) __input(2, 0x100000007)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, s32, 0)
__observe(2, s32, 0)
__observe(3, u64, 0x100000007)
__observe(4, u64, 0x200000000)
__observe(5, u64, 0x300000001)
__observe(6, u64, -1)
int sort(void *ctx)
{
	return sorted();
}

SEC("tc")
__description("the same from SCHED_CLS")
__since("6.4")
__input(0, 0x200000000) __input(1, 0x300000001) __input(2, 0x100000007)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, s32, 0)
__observe(2, s32, 0)
__observe(3, u64, 0x100000007)
__observe(4, u64, 0x200000000)
__observe(5, u64, 0x300000001)
__observe(6, u64, -1)
int sort_from_tc(void *ctx)
{
	return sorted();
}

SEC("syscall")
__description("ptr(ptr) and ptr(ptr, ptr): root, left and right; NULL below a leaf")
__since("6.16")
__input(0, 20) __input(1, 10) __input(2, 30)
__success __retval(0)
__observe(0, u64, 20)
__observe(1, u64, 10)
__observe(2, u64, 30)
__observe(3, ptr, NULL)
int walk(void *ctx)
{
	struct bpf_rb_node *top, *n;

	if (add(input[0]) || add(input[1]) || add(input[2]))
		return -1;
	bpf_spin_lock(&lock);
	top = bpf_rbtree_root(&root);
	if (top) {
		observed[0] = item_of(top)->key;
		n = bpf_rbtree_left(&root, top);
		if (n) {
			observed[1] = item_of(n)->key;
			observed[3] = (u64)bpf_rbtree_left(&root, n);
		}
		n = bpf_rbtree_right(&root, top);
		if (n)
			observed[2] = item_of(n)->key;
	}
	bpf_spin_unlock(&lock);
	return 0;
}
