/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RECn and MIXn for functions of n arguments: with KFUNC_DEFINE the functions, else their entries in a set.
 */
#ifdef KFUNC_DEFINE
#define REC0(name) KFUNC_REC(name, (void), 0)
#define REC1(name, A) \
	KFUNC_REC(name, (P_##A(1)), V_##A(1))
#define REC2(name, A, B) \
	KFUNC_REC(name, (P_##A(1), P_##B(2)), V_##A(1), V_##B(2))
#define REC3(name, A, B, C) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3)), V_##A(1), V_##B(2), V_##C(3))
#define REC4(name, A, B, C, D) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3), P_##D(4)), V_##A(1), V_##B(2), V_##C(3), V_##D(4))
#define REC5(name, A, B, C, D, E) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5)), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5))
#define REC6(name, A, B, C, D, E, F) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6)), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6))
#define REC7(name, A, B, C, D, E, F, G) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7)), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7))
#define REC8(name, A, B, C, D, E, F, G, H) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8)), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8))
#define REC9(name, A, B, C, D, E, F, G, H, I) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8), P_##I(9)), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8), V_##I(9))
#define REC10(name, A, B, C, D, E, F, G, H, I, J) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8), P_##I(9), P_##J(10)), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8), V_##I(9), V_##J(10))
#define REC11(name, A, B, C, D, E, F, G, H, I, J, K) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8), P_##I(9), P_##J(10), P_##K(11)), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8), V_##I(9), V_##J(10), V_##K(11))
#define REC12(name, A, B, C, D, E, F, G, H, I, J, K, L) \
	KFUNC_REC(name, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8), P_##I(9), P_##J(10), P_##K(11), P_##L(12)), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8), V_##I(9), V_##J(10), V_##K(11), V_##L(12))
#define MIX1(type, number, A) \
	KFUNC_MIX(type, number, (P_##A(1)), V_##A(1), V_##A(1))
#define MIX2(type, number, A, B) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2)), V_##A(1) ^ V_##B(2), V_##A(1), V_##B(2))
#define MIX3(type, number, A, B, C) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3)), V_##A(1) ^ V_##B(2) ^ V_##C(3), V_##A(1), V_##B(2), V_##C(3))
#define MIX4(type, number, A, B, C, D) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3), P_##D(4)), V_##A(1) ^ V_##B(2) ^ V_##C(3) ^ V_##D(4), V_##A(1), V_##B(2), V_##C(3), V_##D(4))
#define MIX5(type, number, A, B, C, D, E) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5)), V_##A(1) ^ V_##B(2) ^ V_##C(3) ^ V_##D(4) ^ V_##E(5), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5))
#define MIX6(type, number, A, B, C, D, E, F) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6)), V_##A(1) ^ V_##B(2) ^ V_##C(3) ^ V_##D(4) ^ V_##E(5) ^ V_##F(6), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6))
#define MIX7(type, number, A, B, C, D, E, F, G) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7)), V_##A(1) ^ V_##B(2) ^ V_##C(3) ^ V_##D(4) ^ V_##E(5) ^ V_##F(6) ^ V_##G(7), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7))
#define MIX8(type, number, A, B, C, D, E, F, G, H) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8)), V_##A(1) ^ V_##B(2) ^ V_##C(3) ^ V_##D(4) ^ V_##E(5) ^ V_##F(6) ^ V_##G(7) ^ V_##H(8), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8))
#define MIX9(type, number, A, B, C, D, E, F, G, H, I) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8), P_##I(9)), V_##A(1) ^ V_##B(2) ^ V_##C(3) ^ V_##D(4) ^ V_##E(5) ^ V_##F(6) ^ V_##G(7) ^ V_##H(8) ^ V_##I(9), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8), V_##I(9))
#define MIX10(type, number, A, B, C, D, E, F, G, H, I, J) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8), P_##I(9), P_##J(10)), V_##A(1) ^ V_##B(2) ^ V_##C(3) ^ V_##D(4) ^ V_##E(5) ^ V_##F(6) ^ V_##G(7) ^ V_##H(8) ^ V_##I(9) ^ V_##J(10), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8), V_##I(9), V_##J(10))
#define MIX11(type, number, A, B, C, D, E, F, G, H, I, J, K) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8), P_##I(9), P_##J(10), P_##K(11)), V_##A(1) ^ V_##B(2) ^ V_##C(3) ^ V_##D(4) ^ V_##E(5) ^ V_##F(6) ^ V_##G(7) ^ V_##H(8) ^ V_##I(9) ^ V_##J(10) ^ V_##K(11), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8), V_##I(9), V_##J(10), V_##K(11))
#define MIX12(type, number, A, B, C, D, E, F, G, H, I, J, K, L) \
	KFUNC_MIX(type, number, (P_##A(1), P_##B(2), P_##C(3), P_##D(4), P_##E(5), P_##F(6), P_##G(7), P_##H(8), P_##I(9), P_##J(10), P_##K(11), P_##L(12)), V_##A(1) ^ V_##B(2) ^ V_##C(3) ^ V_##D(4) ^ V_##E(5) ^ V_##F(6) ^ V_##G(7) ^ V_##H(8) ^ V_##I(9) ^ V_##J(10) ^ V_##K(11) ^ V_##L(12), V_##A(1), V_##B(2), V_##C(3), V_##D(4), V_##E(5), V_##F(6), V_##G(7), V_##H(8), V_##I(9), V_##J(10), V_##K(11), V_##L(12))
#else
#define REC0(name) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC1(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC2(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC3(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC4(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC5(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC6(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC7(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC8(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC9(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC10(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC11(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define REC12(name, ...) BTF_ID_FLAGS(func, kfc_rec_##name)
#define MIX1(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX2(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX3(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX4(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX5(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX6(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX7(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX8(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX9(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX10(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX11(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define MIX12(type, number, ...) BTF_ID_FLAGS(func, kfc_mix_##type##_##number)
#define RET(type) BTF_ID_FLAGS(func, kfc_ret_##type)
#endif
