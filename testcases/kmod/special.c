// SPDX-License-Identifier: GPL-2.0
/*
 * Functions that do more than record: to the registers, to the stack, to memory, to references. special.list.h has the
 * entries that register them.
 */
#include <linux/delay.h>
#include <linux/string.h>

#include "conformance.h"

struct kfc_object {
	u64 id;
	u64 users;
};

static struct kfc_object objects[16];

/*
 * Destroys the register in which the JIT keeps R6. The compiler is not told, so a function that keeps nothing in it itself
 * returns with it destroyed. Where R6 lives in memory there is no such register.
 */
#if defined(CONFIG_X86_64)
#define SMASH "mov $0xbad, %ebx"
#elif defined(CONFIG_ARM64)
#define SMASH "mov x19, #0xbad"
#elif defined(CONFIG_RISCV) && defined(CONFIG_64BIT)
#define SMASH "li s1, 0xbad"
#elif defined(CONFIG_LOONGARCH) && defined(CONFIG_64BIT)
#define SMASH "li.w $s0, 0xbad"
#endif

/* A function of its own, so that its caller has nothing to keep over the call. */
static noinline u64 record_breaks_saved(u64 value)
{
	u32 flags = KFUNC_NOT_IMPLEMENTED;

#ifdef SMASH
	flags = 0;
#endif
	kfunc_record_add("kfc_breaks_saved", kfunc_frame(), &value, 1, flags, value);
	return value;
}

__bpf_kfunc_start_defs();

/* Destroys every register that the psABI lets a callee destroy. */
__bpf_kfunc u64 kfc_clobber(u64 value)
{
	KFUNC_RECORD(value, KFUNC_KNOWS_REGISTERS ? 0 : KFUNC_NOT_IMPLEMENTED, value);
#if defined(CONFIG_X86_64)
	asm volatile("movabs $0xc10bbe4edc10bbe4, %%rax\n\tmov %%rax, %%rcx\n\tmov %%rax, %%rdx\n\t"
		     "mov %%rax, %%rsi\n\tmov %%rax, %%rdi\n\tmov %%rax, %%r8\n\tmov %%rax, %%r9\n\t"
		     "mov %%rax, %%r10\n\tmov %%rax, %%r11" ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
		     "r10", "r11", "cc", "memory");
#elif defined(CONFIG_X86_32)
	asm volatile("mov $0xc10bbe4e, %%eax\n\tmov %%eax, %%ecx\n\tmov %%eax, %%edx" ::: "eax", "ecx", "edx", "cc",
		     "memory");
#elif defined(CONFIG_ARM64)
	asm volatile("mov x0, #0xc10b\n\tmovk x0, #0xbe4e, lsl #48\n\t"
		     "mov x1, x0\n\tmov x2, x0\n\tmov x3, x0\n\tmov x4, x0\n\tmov x5, x0\n\tmov x6, x0\n\t"
		     "mov x7, x0\n\tmov x8, x0\n\tmov x9, x0\n\tmov x10, x0\n\tmov x11, x0\n\tmov x12, x0\n\t"
		     "mov x13, x0\n\tmov x14, x0\n\tmov x15, x0\n\tmov x16, x0\n\tmov x17, x0" ::: "x0", "x1", "x2",
		     "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
		     "x17", "cc", "memory");
#elif defined(CONFIG_RISCV) && defined(CONFIG_64BIT)
	asm volatile("li a0, 0xc10bbe4e\n\tmv a1, a0\n\tmv a2, a0\n\tmv a3, a0\n\tmv a4, a0\n\tmv a5, a0\n\t"
		     "mv a6, a0\n\tmv a7, a0\n\tmv t0, a0\n\tmv t1, a0\n\tmv t2, a0\n\tmv t3, a0\n\t"
		     "mv t4, a0\n\tmv t5, a0\n\tmv t6, a0" ::: "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "t0",
		     "t1", "t2", "t3", "t4", "t5", "t6", "memory");
#elif defined(CONFIG_LOONGARCH) && defined(CONFIG_64BIT)
	asm volatile("li.d $a0, 0xc10bbe4e\n\tmove $a1, $a0\n\tmove $a2, $a0\n\tmove $a3, $a0\n\tmove $a4, $a0\n\t"
		     "move $a5, $a0\n\tmove $a6, $a0\n\tmove $a7, $a0\n\tmove $t0, $a0\n\tmove $t1, $a0\n\t"
		     "move $t2, $a0\n\tmove $t3, $a0\n\tmove $t4, $a0\n\tmove $t5, $a0\n\tmove $t6, $a0\n\t"
		     "move $t7, $a0\n\tmove $t8, $a0" ::: "$r4", "$r5", "$r6", "$r7", "$r8", "$r9", "$r10", "$r11",
		     "$r12", "$r13", "$r14", "$r15", "$r16", "$r17", "$r18", "$r19", "$r20", "memory");
#endif
	return value;
}

/* Has a frame of its own, filled and checked. */
__bpf_kfunc u64 kfc_stack(u64 value)
{
	volatile u64 frame[64];
	u64 wrong = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(frame); i++)
		frame[i] = value + i;
	KFUNC_RECORD(value, 0, value);
	for (i = 0; i < ARRAY_SIZE(frame); i++)
		wrong |= frame[i] ^ (value + i);
	return value ^ wrong;
}

static noinline u64 recurse(u32 depth)
{
	volatile u64 here = depth;

	return depth ? 1 + recurse(depth - 1) + (here ^ depth) : 0;
}

/* Calls itself that many times. */
__bpf_kfunc u64 kfc_recurse(u32 depth)
{
	u64 result = recurse(min(depth, 64U));

	KFUNC_RECORD(result, 0, (u64)depth);
	return result;
}

/* Sleeps that many milliseconds. */
__bpf_kfunc u64 kfc_sleep(u32 ms)
{
	KFUNC_RECORD(ms, 0, (u64)ms);
	msleep(min(ms, 100U));
	return ms;
}

static noinline u64 sum_and_invert(u8 *bytes, u32 size)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < size; i++) {
		sum += bytes[i];
		bytes[i] = ~bytes[i];
	}
	return sum;
}

/* The sum of the bytes, each of which is inverted. */
__bpf_kfunc u64 kfc_mem(void *mem, u32 mem__sz)
{
	u64 sum = sum_and_invert(mem, mem__sz);

	KFUNC_RECORD(sum, 0, (u64)(unsigned long)mem, (u64)mem__sz);
	return sum;
}

__bpf_kfunc u64 kfc_mem_last(u64 a1, u64 a2, u64 a3, void *mem, u32 mem__sz)
{
	u64 sum = sum_and_invert(mem, mem__sz);

	KFUNC_RECORD(sum, 0, a1, a2, a3, (u64)(unsigned long)mem, (u64)mem__sz);
	return sum;
}

/* An object for even ids, NULL for odd ones. */
__bpf_kfunc struct kfc_object *kfc_acquire(u64 id)
{
	struct kfc_object *object = id & 1 ? NULL : &objects[(id >> 1) % ARRAY_SIZE(objects)];

	if (object) {
		object->id = id;
		object->users++;
	}
	KFUNC_RECORD((u64)(unsigned long)object, 0, id);
	return object;
}

__bpf_kfunc void kfc_release(struct kfc_object *object)
{
	KFUNC_RECORD(0, 0, (u64)(unsigned long)object);
	/* Should a broken JIT hand over something else, that is seen in the record; nothing is written to it. */
	if (object >= objects && object < objects + ARRAY_SIZE(objects))
		object->users--;
}

__bpf_kfunc u64 kfc_object_id(struct kfc_object *object)
{
	bool is_ours = object >= objects && object < objects + ARRAY_SIZE(objects);
	u64 id = is_ours ? object->id : ~0ULL;

	KFUNC_RECORD(id, 0, (u64)(unsigned long)object);
	return id;
}

/* Controls: each is wrong on purpose, and a run that does not see it cannot be trusted. */

__bpf_kfunc void kfc_liar_u32(u32 a1)
{
	KFUNC_RECORD(0, 0, (u64)a1 + 1);
}

__bpf_kfunc u64 kfc_liar_ret(u64 value)
{
	KFUNC_RECORD(value, 0, value);
	return value ^ 1;
}

/*
 * Destroys the register in which the JIT keeps R6, which is its caller's. A program that uses R6 gives that register back to
 * its own caller, so nothing else is hurt.
 */
__bpf_kfunc u64 kfc_breaks_saved(u64 value)
{
	value = record_breaks_saved(value);
#ifdef SMASH
	asm volatile(SMASH);
#endif
	return value;
}

__bpf_kfunc_end_defs();
