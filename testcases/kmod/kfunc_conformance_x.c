// SPDX-License-Identifier: GPL-2.0
/*
 * One of two modules that are alike but for names, so that their functions have equal BTF ids: only the slot of fd_array tells
 * which is meant.
 */
#include <linux/module.h>

#include "conformance.h"

__bpf_kfunc_start_defs();

__bpf_kfunc u64 kfc_same_x(u32 a1)
{
	KFUNC_RECORD((u64)a1 + 1, 0, (u64)a1);
	return (u64)a1 + 1;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(same_x_ids)
BTF_ID_FLAGS(func, kfc_same_x)
BTF_KFUNCS_END(same_x_ids)

static const struct btf_kfunc_id_set same_x_set = {
	.owner = THIS_MODULE,
	.set = &same_x_ids,
};

static int __init same_x_init(void)
{
	return kfunc_register(&same_x_set);
}

static void __exit same_x_exit(void)
{
}

module_init(same_x_init);
module_exit(same_x_exit);
MODULE_DESCRIPTION("kfuncs whose BTF ids another module has too");
MODULE_LICENSE("GPL");
