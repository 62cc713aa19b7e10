/* SPDX-License-Identifier: GPL-2.0 */
/* Entries of the functions in special.c. A module registers one set only, which is in kfuncs.c. */
BTF_ID_FLAGS(func, kfc_clobber)
BTF_ID_FLAGS(func, kfc_stack)
BTF_ID_FLAGS(func, kfc_recurse)
BTF_ID_FLAGS(func, kfc_sleep, KF_SLEEPABLE)
BTF_ID_FLAGS(func, kfc_mem)
BTF_ID_FLAGS(func, kfc_mem_last)
BTF_ID_FLAGS(func, kfc_acquire, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, kfc_release, KF_RELEASE)
BTF_ID_FLAGS(func, kfc_object_id, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, kfc_liar_u32)
BTF_ID_FLAGS(func, kfc_liar_ret)
BTF_ID_FLAGS(func, kfc_breaks_saved)
