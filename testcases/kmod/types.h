/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The types of parameters and results, each with how it is declared (P_), widened (V_) and named in C (T_). A pointer whose
 * value alone is looked at has a name that ends in __ign: the verifier then takes any number for it.
 */
#ifndef KFUNC_CONFORMANCE_TYPES_H
#define KFUNC_CONFORMANCE_TYPES_H

#include <linux/limits.h>

/* The negative enumerator makes it signed, in C and in BTF. */
enum kfc_senum {
	KFC_SENUM_LEAST = INT_MIN,
	KFC_SENUM_MINUS_ONE = -1,
	KFC_SENUM_MOST = INT_MAX,
};

enum kfc_uenum {
	KFC_UENUM_ZERO = 0,
	KFC_UENUM_MOST = UINT_MAX,
};

#define T_s8 s8
#define T_u8 u8
#define T_bool bool
#define T_char char
#define T_s16 s16
#define T_u16 u16
#define T_s32 s32
#define T_u32 u32
#define T_s64 s64
#define T_u64 u64
#define T_senum enum kfc_senum
#define T_uenum enum kfc_uenum

#define P_s8(n) s8 a##n
#define P_u8(n) u8 a##n
#define P_bool(n) bool a##n
#define P_char(n) char a##n
#define P_s16(n) s16 a##n
#define P_u16(n) u16 a##n
#define P_s32(n) s32 a##n
#define P_u32(n) u32 a##n
#define P_s64(n) s64 a##n
#define P_u64(n) u64 a##n
#define P_senum(n) enum kfc_senum a##n
#define P_uenum(n) enum kfc_uenum a##n
#define P_ptr(n) void *a##n##__ign

/*
 * The conversion that C makes, and nothing that would make the value narrow again: the callee trusts its caller. On the way
 * the parameter is compared with itself after it went through memory: where the psABI says what stands above a narrow
 * parameter, compilers compare whole registers, so that what stands there and should not is seen even of a type whose
 * conversion would hide it (u32 of riscv64 and loongarch64, which travels sign-extended).
 */
#define KFUNC_WIDENED(type, n, name, widened)                                                              \
	({                                                                                                 \
		type volatile stored = name;                                                               \
		if (stored != name)                                                                        \
			differs |= KFUNC_DIFFERS(n);                                                       \
		(u64)(widened);                                                                            \
	})
#define V_s8(n) KFUNC_WIDENED(T_s8, n, a##n, a##n)
#define V_u8(n) KFUNC_WIDENED(T_u8, n, a##n, a##n)
#define V_bool(n) KFUNC_WIDENED(T_bool, n, a##n, a##n)
#define V_char(n) KFUNC_WIDENED(T_char, n, a##n, a##n)
#define V_s16(n) KFUNC_WIDENED(T_s16, n, a##n, a##n)
#define V_u16(n) KFUNC_WIDENED(T_u16, n, a##n, a##n)
#define V_s32(n) KFUNC_WIDENED(T_s32, n, a##n, a##n)
#define V_u32(n) KFUNC_WIDENED(T_u32, n, a##n, a##n)
#define V_s64(n) KFUNC_WIDENED(T_s64, n, a##n, a##n)
#define V_u64(n) KFUNC_WIDENED(T_u64, n, a##n, a##n)
#define V_uenum(n) KFUNC_WIDENED(T_uenum, n, a##n, a##n)
#define V_senum(n) KFUNC_WIDENED(T_senum, n, a##n, (s64)a##n)
#define V_ptr(n) KFUNC_WIDENED(void *, n, a##n##__ign, (unsigned long)a##n##__ign)

#endif
