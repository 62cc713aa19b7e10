// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * bpf_throw(u64 cookie): a kfunc that does not return. It unwinds the program's frames and runs the exception callback,
 * whose result is the program's; the default one returns the cookie. That needs a second promise of the JIT,
 * bpf_jit_supports_exceptions(): architectures without it must refuse with the right error, which is `declined`.
 */
#include "kfunc_case.h"

extern void bpf_throw(u64 cookie) __ksym;
extern u64 bpf_modify_return_test_tp(u64 nonce) __ksym;

/* Who made the promise by 6.9; x86_64 did in 6.7, with the kfunc. */
#define __arch_with_exceptions __arch("x86_64") __arch("arm64") __arch("s390x")

#define __exception_cb(name) __attribute__((btf_decl_tag("exception_callback:" #name)))

SEC("tc")
__description("void(u64): the cookie is the program's result, and nothing after the call runs")
__since("6.9") __arch_with_exceptions
__input(0, 0x1234)
__success __retval(0x1234)
__observe(0, u64, 1)
int throws(void *ctx)
{
	observed[0] = 1;
	if (input[0])
		bpf_throw(input[0]);
	observed[0] = 2;
	return 5;
}

SEC("tc")
__description("not thrown: the program ends as usual")
__since("6.9") __arch_with_exceptions
__input(0, 0)
__success __retval(5)
__observe(0, u64, 2)
int does_not_throw(void *ctx)
{
	observed[0] = 1;
	if (input[0])
		bpf_throw(input[0]);
	observed[0] = 2;
	return 5;
}

static __noinline u64 inner(u64 v)
{
	volatile u64 slot = v;

	if (v > 10)
		bpf_throw(slot + 1);
	return slot;
}

static __noinline u64 outer(u64 v)
{
	volatile u64 slot = v;

	return inner(slot) + slot;
}

SEC("tc")
__description("thrown two frames down, after another kfunc call")
__since("6.9") __arch_with_exceptions
__input(0, 0x100)
__success __retval(0x101)
__observe(0, s32, 0x55)
__observe(1, u64, 1)
int from_subprogram(void *ctx)
{
	observed[0] = bpf_modify_return_test_tp(0x55);
	observed[1] = 1;
	if (outer(input[0]))
		observed[1] = 2;
	return 5;
}

__noinline int handler(u64 cookie)
{
	observed[2] = cookie;
	return cookie + 0x10;
}

SEC("tc")
__exception_cb(handler)
__description("a callback of the program's own gets all 64 bits of the cookie and gives the result")
__since("6.9") __arch_with_exceptions
__input(0, 0x1122334400000007)
__success __retval(0x17)
__observe(1, u64, 1)
__observe(2, u64, 0x1122334400000007)
int own_callback(void *ctx)
{
	observed[1] = 1;
	if (input[0])
		bpf_throw(input[0]);
	observed[1] = 2;
	return 5;
}

SEC("tc")
__description("thrown out of a sub-program while the main program keeps values across it")
__since("6.9") __arch_with_exceptions
__input(0, 0x21) __input(1, 0x1122334455667788)
__success __retval(0x22)
__observe(0, u64, 0x1122334455667788)
int with_live_values(void *ctx)
{
	u64 a = input[1], b = input[0], c = input[2], d = input[3];

	barrier_var(a);
	barrier_var(c);
	barrier_var(d);
	observed[0] = a + c + d;
	observed[1] = inner(b);
	observed[0] = a ^ c ^ d ^ 1;
	return 5;
}

SEC("tc")
__description("a JIT without exceptions says so")
__since("6.7") __arch("riscv64") __arch("loongarch64")
__input(0, 0x1234)
__failure __errno(524) __msg("JIT does not support calling kfunc bpf_throw")
int declined(void *ctx)
{
	if (input[0])
		bpf_throw(input[0]);
	return 5;
}
