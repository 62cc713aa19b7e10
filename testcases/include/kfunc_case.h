/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What a case is written with. A case is one program in a *.bpf.c file; its expectation stands in front of it:
 *
 *	extern int bpf_strchr(const char *s, char c) __ksym;
 *
 *	SEC("syscall")
 *	__since("6.17")
 *	__input(0, 'b')
 *	__success __retval(0)
 *	__observe(0, s32, 1)
 *	int strchr_finds(void *ctx)
 *	{
 *		observed[0] = bpf_strchr("abc", input[0]);
 *		return 0;
 *	}
 *
 * The words are those of the kernel's own selftests (tools/testing/selftests/bpf/progs/bpf_misc.h), carried as BTF
 * declaration tags, so a program can be moved between the two. Words of our own: __since, __until, __config, __arch,
 * __module, __input, __observe, __attach, __helper, __must. The oracle is the C meaning of the prototype:
 * `__observe(i, T, v)` compares the bits of T in observed[i] with (T)v and reports the bits above T as information only.
 *
 * Every program needs __success or __failure, or __helper when it is only there for another program.
 */
#ifndef KFUNC_CASE_H
#define KFUNC_CASE_H

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef unsigned long size_t;
#ifndef __cplusplus
#define bool _Bool
#define true 1
#define false 0
#endif
#define NULL ((void *)0)

#define KFUNC_STR_(x) #x
#define KFUNC_STR(x) KFUNC_STR_(x)
/* clang merges equal tags of one declaration: the counter keeps the order and tells repeated ones apart. */
#define KFUNC_TAG(text) __attribute__((btf_decl_tag("comment:" KFUNC_STR(__COUNTER__) ":" text)))

#define SEC(name) __attribute__((section(name), used))
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))
#define __noinline __attribute__((noinline))
#define __always_inline inline __attribute__((always_inline))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define __contains(type, node) __attribute__((btf_decl_tag("contains:" #type ":" #node)))
#define __ulong(name, val) enum { KFUNC_CAT(kfunc_unique_, __COUNTER__) = val } name
#define KFUNC_CAT_(a, b) a##b
#define KFUNC_CAT(a, b) KFUNC_CAT_(a, b)
#define __naked __attribute__((naked))
#define __aligned(n) __attribute__((aligned(n)))
#define __core __attribute__((preserve_access_index))
/* Makes the compiler forget what it knows of a variable, e.g. that an argument fits its type. */
#define barrier_var(var) asm volatile("" : "+r"(var))
/* Operands of inline assembly, as in the kernel's selftests. */
#define __imm(name) [name] "i"(name)
#define __imm_addr(name) [name] "i"(&name)
#define __clobber_all "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "memory"
#define __clobber_common "r0", "r1", "r2", "r3", "r4", "r5", "memory"

/* The kernel must accept the program; it is then run once. */
#define __success KFUNC_TAG("test_expect_success")
/* The kernel must refuse the program. */
#define __failure KFUNC_TAG("test_expect_failure")
/* A line of the verifier log must contain this text. May be repeated: all must be found, in order. */
#define __msg(text) KFUNC_TAG("test_expect_msg=" text)
/* The errno of the refusal, as a positive number. */
#define __errno(number) KFUNC_TAG("test_expect_errno=" #number)
/* What the program returns, as 32 bits. */
#define __retval(value) KFUNC_TAG("test_retval=" #value)
/* One line for people. */
#define __description(text) KFUNC_TAG("test_description=" text)

/* First mainline release that has the kfuncs with this prototype and for this program type. On an older kernel the case
 * is not applicable; on this and newer ones a missing kfunc is a failure. */
#define __since(release) KFUNC_TAG("kfunc_since=" release)
/* Last mainline release that has them that way (inclusive): on newer ones the case is not applicable. */
#define __until(release) KFUNC_TAG("kfunc_until=" release)
/* The case asks something that only these architectures can do. May be repeated; without it: all. For what an
 * architecture should do and does not, write an entry in expectations.toml instead. */
#define __arch(name) KFUNC_TAG("kfunc_arch=" name)
/* Kconfig symbol without which the kfunc is not there, e.g. "KEYS". May be repeated. */
#define __config(symbol) KFUNC_TAG("kfunc_config=" symbol)
/* A kernel module to load first; its BTF takes part in the search. May be repeated. */
#define __module(name) KFUNC_TAG("kfunc_module=" name)
/* input[index] before the run: decimal, hexadecimal or a character; may be negative. The verifier cannot know it. */
#define __input(index, value) KFUNC_TAG("kfunc_input=" #index ":" #value)
/* After the run: (type)observed[index] == (type)value. Types: s8 u8 bool char s16 u16 s32 u32 s64 u64; long ulong,
 * with as many bits as the kernel's; `ptr` with value NULL or VALID (not NULL, all 64 bits matter); u32 and u64 also
 * with NONZERO, for clocks and counts. */
#define __observe(index, type, value) KFUNC_TAG("kfunc_observe=" #index ":" #type ":" #value)
/* Another program of this file that is attached while this one runs (raw_tp or fentry). */
#define __attach(program) KFUNC_TAG("kfunc_attach=" #program)
/* Calls kfuncs with implicit arguments (KF_IMPLICIT_ARGS): the kernel hides these in its BTF only when pahole (1.27 or
 * newer) tagged its kfuncs. On a kernel without the tags the case is not applicable. */
#define __implicit KFUNC_TAG("kfunc_implicit")
/* Not a case: only there for another program (__attach, tail call). */
#define __helper KFUNC_TAG("kfunc_helper")
/* Only in the control suite: the outcome that must come out ("wrong_value", "rejected", "kfunc_absent": the names in
 * harness/src/model.rs, in snake case). The expectation next to it is false on purpose, and the control passes only if
 * the harness finds exactly this. */
#define __must(kind) KFUNC_TAG("kfunc_must=" kind)
/* Only with __must: what was compared ("return value", "observed[2]") or the refusing line must contain this text. */
#define __must_say(text) KFUNC_TAG("kfunc_must_say=" text)

/* What a slot of observed[] holds until the program stores to it: no case may expect this value. */
#define KFUNC_UNSET 0xa5a5a5a5a5a5a5a5ULL

/* Where inputs come from and where results go: one array map each, for every program type alike. The loader finds
 * them by the names of their sections, and starts them as the object says. */
volatile __u64 input[8] SEC(".data.input") = { 0 };
volatile __u64 observed[16] SEC(".data.observed") = { [0 ... 15] = KFUNC_UNSET };

/* Fill r0 before a call whose result is looked at whole (a pointer, above all): one that is delivered only in part shows,
 * and shows the same every time. The other pattern is for a second result that is compared with the first. */
#define POISON_R0 asm volatile("r0 = 0xdddddddddddddddd ll" ::: "r0")
#define POISON_R0_OTHERWISE asm volatile("r0 = 0xbbbbbbbbbbbbbbbb ll" ::: "r0")

/* A value whose upper halves are not what its type says: the low 32 bits of v, garbage above. */
#define DIRTY32(v) (0xdeadbeef00000000ULL | (__u32)(v))
/* Likewise for a type of 8 bits: the low 8 bits of v, garbage above. */
#define DIRTY8(v) (0xdeadbeefcafef000ULL | (__u8)(v))

char LICENSE[] SEC("license") = "GPL";

#endif
