// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Key kfuncs: ptr(s32, u64) and ptr(u64), acquire and release. In 6.1 they were for TRACING and LSM programs
 * (kernel/trace/bpf_trace.c), so bpf_lookup_system_key() is tried from fentry, where there was a trampoline then; since
 * 6.18 SYSCALL programs may call them too.
 */
#include "kfunc_case.h"

struct bpf_key;

extern struct bpf_key *bpf_lookup_user_key(u64 serial, u64 flags) __ksym;
extern struct bpf_key *bpf_lookup_system_key(u64 id) __ksym;
extern void bpf_key_put(struct bpf_key *key) __ksym;

/* include/uapi/linux/keyctl.h; include/linux/key.h */
#define KEY_SPEC_SESSION_KEYRING (-3)
#define KEY_LOOKUP_CREATE 1

static __always_inline void user_key(u32 slot, u64 serial, u64 flags)
{
	struct bpf_key *key;

	POISON_R0;
	key = bpf_lookup_user_key(serial, flags);
	observed[slot] = (u64)key;
	if (key)
		bpf_key_put(key);
}

static __always_inline void system_key(u32 slot, u64 id)
{
	struct bpf_key *key;

	POISON_R0;
	key = bpf_lookup_system_key(id);
	observed[slot] = (u64)key;
	if (key)
		bpf_key_put(key);
}

SEC("syscall")
__description("ptr(s32, u64): a negative serial names a special keyring; an unknown one and unknown flags give NULL")
__since("6.18") __config("KEYS")
__input(0, -3) __input(1, 1) __input(2, -100) __input(3, 0x80)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, ptr, NULL)
__observe(2, ptr, NULL)
int user(void *ctx)
{
	user_key(0, input[0], input[1]);
	user_key(1, input[2], input[1]);
	user_key(2, input[0], input[3]);
	return 0;
}

SEC("syscall")
__description("ptr(s32, u64): the serial zero-extended, and with garbage above it")
__since("6.18") __config("KEYS")
__input(0, 0xfffffffd) __input(1, 0xdeadbeeffffffffd) __input(2, 1)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, ptr, VALID)
int user_dirty(void *ctx)
{
	user_key(0, input[0], input[2]);
	user_key(1, input[1], input[2]);
	return 0;
}

SEC("syscall")
__description("ptr(u64): a system keyring; NULL for an id that is none, whose low half is 0")
__since("6.18") __config("KEYS")
__input(0, 0) __input(1, 0x100000000)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, ptr, NULL)
int system(void *ctx)
{
	system_key(0, input[0]);
	system_key(1, input[1]);
	return 0;
}

SEC("fentry/bpf_fentry_test1")
__description("ptr(u64) and void(ptr) from a tracing program")
__since("6.1") __arch("x86_64") __config("KEYS")
__input(0, 0) __input(1, 0x100000000)
__success
__observe(0, ptr, VALID)
__observe(1, ptr, NULL)
int system_from_fentry(void *ctx)
{
	system_key(0, input[0]);
	system_key(1, input[1]);
	return 0;
}
