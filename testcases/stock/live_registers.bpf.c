// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * r6 to r9 and r10 live across a call. Written in assembly, because a compiler is free to keep a value elsewhere: the
 * four registers are loaded before the call, all are stored after it, and r10 is used to reach the stack.
 *
 * Patterns have different 32-bit halves, so a register that comes back truncated shows too.
 */
#include "kfunc_case.h"

struct bpf_cpumask;

extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern u64 bpf_strchr(const char *s, u64 c) __ksym;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;

/* clang describes an extern in BTF only if C code mentions it. */
__attribute__((used)) static void mention(void)
{
	bpf_modify_return_test_tp(0);
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	bpf_strchr(NULL, 0);
	bpf_cpumask_release(bpf_cpumask_create());
}

static const char text[] = "conformance";

#define LOAD_R6_TO_R9                                                                                                  \
	"r6 = 0x6666666616666661 ll;"                                                                                  \
	"r7 = 0x7777777717777771 ll;"                                                                                  \
	"r8 = 0x8888888818888881 ll;"                                                                                  \
	"r9 = 0x9999999919999991 ll;"

#define STORE_R6_TO_R9                                                                                                 \
	"r1 = %[observed] ll;"                                                                                         \
	"*(u64 *)(r1 + 0) = r6;"                                                                                       \
	"*(u64 *)(r1 + 8) = r7;"                                                                                       \
	"*(u64 *)(r1 + 16) = r8;"                                                                                      \
	"*(u64 *)(r1 + 24) = r9;"

#define __observe_r6_to_r9                                                                                             \
	__observe(0, u64, 0x6666666616666661)                                                                          \
	__observe(1, u64, 0x7777777717777771)                                                                          \
	__observe(2, u64, 0x8888888818888881)                                                                          \
	__observe(3, u64, 0x9999999919999991)

SEC("syscall")
__description("r6 to r9 and the stack through r10 around int(int)")
__since("6.10") __config("NET")
__success __retval(0)
__observe_r6_to_r9
__observe(4, s32, 0x1234)
__observe(5, u64, 0xaaaaaaaa1aaaaaa1)
__naked int echo(void)
{
	asm volatile(LOAD_R6_TO_R9
		     "r1 = 0xaaaaaaaa1aaaaaa1 ll;"
		     "*(u64 *)(r10 - 8) = r1;"
		     "r1 = 0x1234;"
		     "call %[bpf_modify_return_test_tp];"
		     STORE_R6_TO_R9
		     "*(u64 *)(r1 + 32) = r0;"
		     "r2 = *(u64 *)(r10 - 8);"
		     "*(u64 *)(r1 + 40) = r2;"
		     "r0 = 0;"
		     "exit;"
		     :
		     : __imm(bpf_modify_return_test_tp), __imm_addr(observed)
		     : __clobber_all);
}

SEC("syscall")
__description("r6 to r9 around two calls without arguments and result")
__since("6.2")
__success __retval(0)
__observe_r6_to_r9
__naked int no_arguments(void)
{
	asm volatile(LOAD_R6_TO_R9
		     "call %[bpf_rcu_read_lock];"
		     "call %[bpf_rcu_read_unlock];"
		     STORE_R6_TO_R9
		     "r0 = 0;"
		     "exit;"
		     :
		     : __imm(bpf_rcu_read_lock), __imm(bpf_rcu_read_unlock), __imm_addr(observed)
		     : __clobber_all);
}

SEC("syscall")
__description("r6 to r9 around a call that works for a while on a string")
__since("6.17")
__success __retval(0)
__observe_r6_to_r9
__observe(4, s32, 10)
__naked int string(void)
{
	asm volatile(LOAD_R6_TO_R9
		     "r1 = %[text] ll;"
		     "r2 = 101;"
		     "call %[bpf_strchr];"
		     STORE_R6_TO_R9
		     "*(u64 *)(r1 + 32) = r0;"
		     "r0 = 0;"
		     "exit;"
		     :
		     : __imm(bpf_strchr), __imm_addr(observed), __imm_addr(text)
		     : __clobber_all);
}

SEC("syscall")
__description("a pointer result kept in r6 through an allocation, with r7 to r9 live")
__since("6.10")
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, u64, 0x7777777717777771)
__observe(2, u64, 0x8888888818888881)
__observe(3, u64, 0x9999999919999991)
__naked int allocation(void)
{
	asm volatile(LOAD_R6_TO_R9
		     "call %[bpf_cpumask_create];"
		     "if r0 == 0 goto 1f;"
		     "r6 = r0;"
		     STORE_R6_TO_R9
		     "r1 = r6;"
		     "call %[bpf_cpumask_release];"
		     "r1 = %[observed] ll;"
		     "*(u64 *)(r1 + 8) = r7;"
		     "*(u64 *)(r1 + 16) = r8;"
		     "*(u64 *)(r1 + 24) = r9;"
		     "r0 = 0;"
		     "exit;"
		     "1:"
		     "r0 = 1;"
		     "exit;"
		     :
		     : __imm(bpf_cpumask_create), __imm(bpf_cpumask_release), __imm_addr(observed)
		     : __clobber_all);
}

SEC("syscall")
__description("the call is the program's first instruction: nothing is live but the frame")
__since("6.2")
__success __retval(7)
__naked int first_instruction(void)
{
	asm volatile("call %[bpf_rcu_read_lock];"
		     "call %[bpf_rcu_read_unlock];"
		     "r0 = 7;"
		     "exit;"
		     :
		     : __imm(bpf_rcu_read_lock), __imm(bpf_rcu_read_unlock)
		     : __clobber_all);
}

SEC("syscall")
__description("the call is the last instruction before exit: its result is the program's")
__since("6.10") __config("NET")
__success __retval(-77)
__naked int last_instruction(void)
{
	asm volatile("r1 = -77;"
		     "call %[bpf_modify_return_test_tp];"
		     "exit;"
		     :
		     : __imm(bpf_modify_return_test_tp)
		     : __clobber_all);
}

SEC("syscall")
__description("r1 to r5 hold garbage and r0 a stale value before a call with one argument")
__since("6.10") __config("NET")
__success __retval(0)
__observe(0, s32, 21)
__naked int stale_arguments(void)
{
	asm volatile("r0 = 0xbad0bad0bad0bad0 ll;"
		     "r2 = 0xbad2bad2bad2bad2 ll;"
		     "r3 = 0xbad3bad3bad3bad3 ll;"
		     "r4 = 0xbad4bad4bad4bad4 ll;"
		     "r5 = 0xbad5bad5bad5bad5 ll;"
		     "r1 = 21;"
		     "call %[bpf_modify_return_test_tp];"
		     "r1 = %[observed] ll;"
		     "*(u64 *)(r1 + 0) = r0;"
		     "r0 = 0;"
		     "exit;"
		     :
		     : __imm(bpf_modify_return_test_tp), __imm_addr(observed)
		     : __clobber_all);
}
