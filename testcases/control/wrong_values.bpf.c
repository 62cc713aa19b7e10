// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Controls: expectations that are false on purpose. One for every type that __observe knows and one for the return value,
 * each wrong in the one bit that is hardest to see, or in kind. If the harness calls one of them right, it does not
 * compare. They call no kfunc, so that they hold on every kernel that loads programs at all: what is tried here is the
 * harness.
 */
#include "kfunc_case.h"

/* The value, as something neither compiler nor verifier knows. */
static __always_inline u64 unknown(u64 v)
{
	v += input[0];
	barrier_var(v);
	return v;
}

SEC("syscall")
__description("return value off by one")
__success __retval(8)
__must("wrong_value") __must_say("return value")
int return_value(void *ctx)
{
	return unknown(7);
}

SEC("syscall")
__description("return value right in its low 16 bits only")
__success __retval(0x10007)
__must("wrong_value") __must_say("return value")
int return_value_high_bit(void *ctx)
{
	return unknown(7);
}

#define CONTROL(type, stored, expected)                                                                                \
	SEC("syscall")                                                                                                 \
	__description("a false expectation of type " #type)                                                            \
	__success __retval(0) __observe(5, type, expected)                                              \
	__must("wrong_value") __must_say("observed[5] as " #type)                                                      \
	int observed_##type(void *ctx)                                                                                 \
	{                                                                                                              \
		observed[5] = unknown(stored);                                                                   \
		return 0;                                                                                              \
	}

/* stored: what the program says; expected: differs in the highest bit of the type */
CONTROL(s8, 0x01, -127)
CONTROL(u8, 0x01, 0x81)
CONTROL(char, 0x01, 0x81)
CONTROL(s16, 0x0001, -32767)
CONTROL(u16, 0x0001, 0x8001)
CONTROL(s32, 0x00000001, -2147483647)
CONTROL(u32, 0x00000001, 0x80000001)
CONTROL(s64, 0x0000000000000001, -9223372036854775807)
CONTROL(u64, 0x0000000000000001, 0x8000000000000001)

SEC("syscall")
__description("a false expectation of type bool")
__success __retval(0) __observe(5, bool, 1)
__must("wrong_value") __must_say("observed[5] as bool")
int observed_bool(void *ctx)
{
	observed[5] = unknown(0);
	return 0;
}

SEC("syscall")
__description("a bool of 2 is neither false nor true")
__success __retval(0) __observe(5, bool, 1)
__must("wrong_value") __must_say("observed[5] as bool")
int observed_bool_of_2(void *ctx)
{
	observed[5] = unknown(2);
	return 0;
}

SEC("syscall")
__description("NULL expected, and only the lower half is")
__success __retval(0) __observe(5, ptr, NULL)
__must("wrong_value") __must_say("observed[5] as ptr")
int observed_pointer_not_null(void *ctx)
{
	observed[5] = unknown(0x100000000);
	return 0;
}

SEC("syscall")
__description("a pointer expected, NULL stored")
__success __retval(0) __observe(5, ptr, VALID)
__must("wrong_value") __must_say("observed[5] as ptr")
int observed_pointer_null(void *ctx)
{
	observed[5] = unknown(0);
	return 0;
}

SEC("syscall")
__description("a slot that was never stored to is no 0")
__success __retval(0) __observe(5, u64, 0)
__must("wrong_value") __must_say("observed[5] as u64")
int never_stored(void *ctx)
{
	observed[4] = unknown(0);
	return 0;
}

SEC("syscall")
__description("a slot that was never stored to is no pointer")
__success __retval(0) __observe(5, ptr, VALID)
__must("wrong_value") __must_say("observed[5] as ptr")
int never_stored_pointer(void *ctx)
{
	observed[4] = unknown(0);
	return 0;
}

SEC("syscall")
__description("the second of two expectations is false")
__success __retval(0) __observe(4, u64, 1) __observe(5, u64, 1)
__must("wrong_value") __must_say("observed[5] as u64")
int second_of_two(void *ctx)
{
	observed[4] = unknown(1);
	observed[5] = unknown(2);
	return 0;
}

SEC("syscall")
__description("an input that does not arrive would be 0; here the expectation says 0 and the input is 1")
__input(7, 1) __success __retval(0) __observe(5, u64, 0)
__must("wrong_value") __must_say("observed[5] as u64")
int input_arrives(void *ctx)
{
	observed[5] = unknown(input[7]);
	return 0;
}
