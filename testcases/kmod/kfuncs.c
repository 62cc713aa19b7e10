// SPDX-License-Identifier: GPL-2.0
/*
 * The functions that are made from their types (kfuncs.list.h). Each records what it received. Nothing narrows a parameter
 * before it is widened: that the callee trusts its caller as the psABI lets it is the point.
 */
#include "conformance.h"
#include "types.h"

#define KFUNC_REC(name, params, ...)                                                                       \
	__bpf_kfunc void kfc_rec_##name params                                                             \
	{                                                                                                  \
		u32 differs = 0;                                                                           \
		const u64 args[] = { __VA_ARGS__ };                                                        \
		kfunc_record_add(__func__, kfunc_frame(), args, __builtin_strcmp(#name, "0") ? ARRAY_SIZE(args) : 0, \
				 differs, 0);                                                                    \
	}

#define RET(type)                                                                                          \
	__bpf_kfunc T_##type kfc_ret_##type(u64 value)                                                     \
	{                                                                                                  \
		T_##type result = (T_##type)value;                                                         \
		kfunc_record_add(__func__, kfunc_frame(), &value, 1, 0, (u64)result);                      \
		return result;                                                                             \
	}

#define KFUNC_MIX(type, number, params, mixed, ...)                                                        \
	__bpf_kfunc T_##type kfc_mix_##type##_##number params                                              \
	{                                                                                                  \
		u32 differs = 0;                                                                           \
		const u64 args[] = { __VA_ARGS__ };                                                        \
		T_##type result = (T_##type)(mixed);                                                       \
		kfunc_record_add(__func__, kfunc_frame(), args, ARRAY_SIZE(args), differs, (u64)result);   \
		return result;                                                                             \
	}

__bpf_kfunc_start_defs();

#define KFUNC_DEFINE
#include "arity.h"
#include "kfuncs.list.h"
#undef KFUNC_DEFINE

typedef u8 kfc_byte;
typedef kfc_byte kfc_octet;
typedef enum kfc_senum kfc_choice;
typedef volatile s32 kfc_volatile;

__bpf_kfunc void kfc_rec_typedefs(kfc_octet a1, const u16 a2, kfc_volatile a3, const kfc_choice a4,
				  const void *const a5__ign)
{
	const u64 args[] = { (u64)a1, (u64)a2, (u64)a3, (u64)(s64)a4, (u64)(unsigned long)a5__ign };

	kfunc_record_add(__func__, kfunc_frame(), args, ARRAY_SIZE(args), 0, 0);
}

__bpf_kfunc_end_defs();

#ifndef KF_TRUSTED_ARGS
#define KF_TRUSTED_ARGS 0 /* every pointer argument is trusted, since 7.0 */
#endif

#include "undef.h"
BTF_KFUNCS_START(kfunc_ids)
#include "arity.h"
#include "kfuncs.list.h"
#include "special.list.h"
BTF_ID_FLAGS(func, kfc_rec_typedefs)
BTF_KFUNCS_END(kfunc_ids)

const struct btf_kfunc_id_set kfunc_set = {
	.owner = THIS_MODULE,
	.set = &kfunc_ids,
};
