/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the conformance modules share. The host reads prototypes from the modules' BTF and log records from
 * /proc/kfunc_conformance/log; harness/src/abi/record.rs has the other side of struct kfunc_record.
 */
#ifndef KFUNC_CONFORMANCE_H
#define KFUNC_CONFORMANCE_H

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/types.h>

#define KFUNC_ARGS_MAX 12

/* The stack was not aligned when the function was entered. */
#define KFUNC_MISALIGNED 1
/* Records were lost after this one. */
#define KFUNC_LOST 2
/* Does not do on this architecture what its name says. */
#define KFUNC_NOT_IMPLEMENTED 4
/* The n-th argument, from 1, is not equal to itself after it went through memory. */
#define KFUNC_DIFFERS(n) (1U << (7 + (n)))

/* Whether the modules know which registers belong to whom here: special.c and watch_asm.S have a part for it. */
#if defined(CONFIG_X86) || defined(CONFIG_ARM64) || (defined(CONFIG_RISCV) && defined(CONFIG_64BIT)) || \
	(defined(CONFIG_LOONGARCH) && defined(CONFIG_64BIT))
#define KFUNC_KNOWS_REGISTERS 1
#else
#define KFUNC_KNOWS_REGISTERS 0
#endif

/* One call as its callee saw it. */
struct kfunc_record {
	char name[40];
	__u32 nargs;
	__u32 flags;
	__u64 args[KFUNC_ARGS_MAX]; /* widened to 64 bits as C widens them */
	__u64 sp;
	__u64 result;
};

/* What a program left behind that was run by watch.c. */
struct kfunc_run {
	__u64 r0;
	__u64 clobbered; /* bit i: the i-th callee-saved register came back changed */
	__u64 sp_moved;
	__u64 runs;
};

/*
 * Adds a record; what does not fit is counted as lost. Callable from any context.
 *
 * frame: __builtin_frame_address(0) of the caller, of which the alignment is judged.
 */
void kfunc_record_add(const char *name, unsigned long frame, const u64 *args, u32 nargs, u32 flags, u64 result);

#define kfunc_frame() ((unsigned long)__builtin_frame_address(0))

/* Record for functions written out by hand. */
#define KFUNC_RECORD(result, flags, ...)                                                                   \
	do {                                                                                               \
		const u64 record_args[] = { __VA_ARGS__ };                                                 \
		kfunc_record_add(__func__, kfunc_frame(), record_args, ARRAY_SIZE(record_args), flags, result); \
	} while (0)

/* Registers a set for every type of program. */
int kfunc_register(const struct btf_kfunc_id_set *set);

/* watch.c */
int kfunc_watch_init(struct proc_dir_entry *dir);

#endif
