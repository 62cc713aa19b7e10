// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Memory and its size, and results that are delivered through a pointer.
 */
#include "kfunc_case.h"

struct xdp_md;
struct xfrm_state;
struct bpf_crypto_ctx;
struct bpf_crypto_params {
	char type[14];
	u8 reserved[2];
	char algo[128];
	u8 key[256];
	u32 key_len;
	u32 authsize;
};
struct bpf_xfrm_state_opts {
	s32 error;
	s32 netns_id;
	u32 mark;
	u32 daddr[4];
	u32 spi;
	u8 proto;
	u16 family;
};

extern u64 bpf_copy_from_user_str(void *dst, u32 dst__sz, const void *user, u64 flags) __ksym;
extern struct bpf_crypto_ctx *bpf_crypto_ctx_create(const struct bpf_crypto_params *params, u32 params__sz,
						    int *err) __ksym;
extern void bpf_crypto_ctx_release(struct bpf_crypto_ctx *ctx) __ksym;
extern struct xfrm_state *bpf_xdp_get_xfrm_state(struct xdp_md *ctx, struct bpf_xfrm_state_opts *opts,
						 u32 opts__sz) __ksym;
extern void bpf_xdp_xfrm_state_release(struct xfrm_state *x) __ksym;

SEC("syscall")
__description("int(mem, u32, ptr, u64): -EFAULT for a user's address 0; the buffer is cleared on request")
__since("6.12")
__input(0, 0) __input(1, 1) __input(2, 2)
__success __retval(0)
__observe(0, s32, -14)
__observe(1, u64, 0x1122334455667788)
__observe(2, s32, -14)
__observe(3, u64, 0)
__observe(4, s32, -22)
int copy_from_user(void *ctx)
{
	volatile u64 buffer = 0x1122334455667788;

	observed[0] = bpf_copy_from_user_str((void *)&buffer, 8, NULL, input[0]);
	observed[1] = buffer;
	/* BPF_F_PAD_ZEROS */
	observed[2] = bpf_copy_from_user_str((void *)&buffer, 8, NULL, input[1]);
	observed[3] = buffer;
	/* an unknown flag */
	observed[4] = bpf_copy_from_user_str((void *)&buffer, 8, NULL, input[2]);
	return 0;
}

SEC("syscall")
__description("ptr(mem, u32, ptr): NULL, and the reason where the third argument points")
__since("6.10") __config("CRYPTO")
__success __retval(0)
__observe(0, ptr, NULL)
__observe(1, s32, -22)
int crypto_refused(void *ctx)
{
	static struct bpf_crypto_params params = { .type = "skcipher", .reserved = { 1 } };
	struct bpf_crypto_ctx *crypto;
	int err = 12345;

	POISON_R0;
	crypto = bpf_crypto_ctx_create(&params, sizeof(params), &err);
	observed[0] = (u64)crypto;
	observed[1] = err;
	if (crypto)
		bpf_crypto_ctx_release(crypto);
	return 0;
}

SEC("xdp")
__description("ptr(ctx, mem, u32): NULL with -EINVAL, and NULL with -ENOENT, in the options")
__since("6.8") __config("XFRM")
__success __retval(2)
__observe(0, ptr, NULL)
__observe(1, s32, -22)
__observe(2, ptr, NULL)
__observe(3, s32, -2)
int xfrm_state(struct xdp_md *ctx)
{
	struct bpf_xfrm_state_opts opts = { .netns_id = -2, .family = 2 /* AF_INET */, .proto = 50 /* ESP */ };
	struct xfrm_state *x;

	POISON_R0;
	x = bpf_xdp_get_xfrm_state(ctx, &opts, sizeof(opts));
	observed[0] = (u64)x;
	observed[1] = opts.error;
	if (x)
		bpf_xdp_xfrm_state_release(x);
	opts.netns_id = -1;
	opts.spi = 0x12345678;
	POISON_R0;
	x = bpf_xdp_get_xfrm_state(ctx, &opts, sizeof(opts));
	observed[2] = (u64)x;
	observed[3] = opts.error;
	if (x)
		bpf_xdp_xfrm_state_release(x);
	return 2 /* XDP_PASS */;
}
