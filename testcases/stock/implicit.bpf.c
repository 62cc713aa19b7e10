// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * kfuncs with implicit arguments (KF_IMPLICIT_ARGS, since 7.2): the program passes fewer arguments than the function has,
 * and the verifier adds the rest, so the prototype in the kernel's BTF is not the one the JIT has to follow.
 */
#include "kfunc_case.h"

struct bpf_list_head {
	u64 __opaque[2];
} __aligned(8);
struct bpf_list_node {
	u64 __opaque[3];
} __aligned(8);
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
	struct bpf_list_node node;
	u64 value;
};

struct leaf {
	u64 key;
	struct bpf_rb_node node;
};

extern void *bpf_obj_new(u64 local_type_id) __ksym;
extern void bpf_obj_drop(void *p) __ksym;
extern u64 bpf_list_push_back(struct bpf_list_head *head, struct bpf_list_node *node) __ksym;
extern u64 bpf_list_empty(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern u64 bpf_rbtree_add(struct bpf_rb_root *root, struct bpf_rb_node *node,
			  bool (less)(struct bpf_rb_node *a, const struct bpf_rb_node *b)) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;

static long (*bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;

#define new(T) ((struct T *)bpf_obj_new(__builtin_btf_type_id(*(struct T *)0, 0 /* local */)))
#define of(T, n) ((struct T *)((void *)(n) - __builtin_offsetof(struct T, node)))
#define private(name) SEC(".bss." #name) __attribute__((visibility("hidden"))) __aligned(8)

private(A) struct bpf_spin_lock lock;
private(A) struct bpf_list_head head __contains(item, node);
private(B) struct bpf_spin_lock tree_lock;
private(B) struct bpf_rb_root root __contains(leaf, node);

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return of(leaf, a)->key < of(leaf, b)->key;
}

SEC("syscall")
__description("ptr(u64 [, ptr]) and void(ptr [, ptr])")
__since("7.2")
__input(0, 0x0102030405060708)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, u64, 0x0102030405060708)
int object(void *ctx)
{
	struct item *i = new(item);

	observed[0] = (u64)i;
	if (!i)
		return -1;
	i->value = input[0];
	observed[1] = *(volatile u64 *)&i->value;
	bpf_obj_drop(i);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr [, ptr, u64]) and bool(ptr)")
__implicit
__since("7.2")
__input(0, 0x0102030405060708)
__success __retval(0)
__observe(0, bool, 1)
__observe(1, s32, 0)
__observe(2, bool, 0)
__observe(3, u64, 0x0102030405060708)
int list(void *ctx)
{
	struct item *i = new(item);
	struct bpf_list_node *n;

	if (!i)
		return -1;
	i->value = input[0];
	bpf_spin_lock(&lock);
	observed[0] = bpf_list_empty(&head);
	observed[1] = bpf_list_push_back(&head, &i->node);
	observed[2] = bpf_list_empty(&head);
	n = bpf_list_pop_front(&head);
	bpf_spin_unlock(&lock);
	if (!n)
		return -2;
	i = of(item, n);
	observed[3] = i->value;
	bpf_obj_drop(i);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr, callback [, ptr, u64]): five arguments, two of them implicit")
__implicit
__since("7.2")
__input(0, 0x200000000) __input(1, 0x100000007)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, s32, 0)
__observe(2, u64, 0x100000007)
int tree(void *ctx)
{
	struct leaf *a = new(leaf), *b;
	struct bpf_rb_node *n;

	if (!a)
		return -1;
	b = new(leaf);
	if (!b) {
		bpf_obj_drop(a);
		return -2;
	}
	a->key = input[0];
	b->key = input[1];
	bpf_spin_lock(&tree_lock);
	observed[0] = bpf_rbtree_add(&root, &a->node, less);
	observed[1] = bpf_rbtree_add(&root, &b->node, less);
	n = bpf_rbtree_first(&root);
	if (!n) {
		bpf_spin_unlock(&tree_lock);
		return -3;
	}
	n = bpf_rbtree_remove(&root, n);
	bpf_spin_unlock(&tree_lock);
	if (!n)
		return -4;
	a = of(leaf, n);
	observed[2] = a->key;
	bpf_obj_drop(a);
	return 0;
}
