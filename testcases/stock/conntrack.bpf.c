// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Connection tracking (net/netfilter/nf_conntrack_bpf.c): kfuncs of a module in distribution kernels, so the call goes
 * through fd_array and may be far from the program. Five arguments (ctx, mem, size, mem, size), a pointer or NULL, and
 * the error in memory. Since 5.18 (lookup) and 6.0 (the rest). The 12-byte form of the options works on all of them.
 */
#include "kfunc_case.h"

struct __sk_buff;
struct xdp_md;
struct bpf_sock_tuple {
	struct {
		u32 saddr;
		u32 daddr;
		u16 sport;
		u16 dport;
	} ipv4;
};
struct bpf_ct_opts {
	s32 netns_id;
	s32 error;
	u8 l4proto;
	u8 dir;
	u8 reserved[2];
};
struct nf_conn;

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *ctx, struct bpf_sock_tuple *tuple, u32 tuple_len,
					 struct bpf_ct_opts *opts, u32 opts_len) __ksym;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, u32 tuple_len,
					 struct bpf_ct_opts *opts, u32 opts_len) __ksym;
extern struct nf_conn *bpf_skb_ct_alloc(struct __sk_buff *ctx, struct bpf_sock_tuple *tuple, u32 tuple_len,
					struct bpf_ct_opts *opts, u32 opts_len) __ksym;
extern struct nf_conn *bpf_ct_insert_entry(struct nf_conn *ct) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;
extern void bpf_ct_set_timeout(struct nf_conn *ct, u64 timeout) __ksym;
extern u64 bpf_ct_change_timeout(struct nf_conn *ct, u64 timeout) __ksym;
extern u64 bpf_ct_set_status(const struct nf_conn *ct, u64 status) __ksym;
extern u64 bpf_ct_change_status(struct nf_conn *ct, u64 status) __ksym;

static u32 (*bpf_get_prandom_u32)(void) = (void *)7;

#define TUPLE(n)                                                                                                       \
	{                                                                                                              \
		.ipv4 = { .saddr = 0x0a00020a, .daddr = 0x0b00020a, .sport = n, .dport = 0x5000 }                      \
	}
#define UDP 17
#define CURRENT_NETNS (-1)
/* enum ip_conntrack_status */
#define IPS_SEEN_REPLY 2
#define IPS_CONFIRMED 8

#define LOOKUP(lookup, protocol, netns, tuple_size)                                                                    \
	({                                                                                                             \
		struct bpf_sock_tuple tuple = TUPLE(0x1111);                                                           \
		struct bpf_ct_opts opts = { .netns_id = netns, .l4proto = protocol };                                  \
		struct nf_conn *ct;                                                                                    \
		POISON_R0;                                                                                             \
		ct = lookup(ctx, &tuple, tuple_size, &opts, 12);                                                       \
		observed[0] = (u64)ct;                                                                                 \
		observed[1] = opts.error;                                                                              \
		if (ct)                                                                                                \
			bpf_ct_release(ct);                                                                            \
	})

SEC("tc")
__description("five arguments into a module: nothing found, NULL and -ENOENT")
__since("5.18") __config("NF_CONNTRACK") __module("nf_conntrack")
__success __retval(0)
__observe(0, ptr, NULL)
__observe(1, s32, -2)
int lookup_nothing(struct __sk_buff *ctx)
{
	LOOKUP(bpf_skb_ct_lookup, UDP, CURRENT_NETNS, sizeof(tuple.ipv4));
	return 0;
}

SEC("tc")
__description("the error tells which argument was wrong: -EPROTO for the protocol")
__since("5.18") __config("NF_CONNTRACK") __module("nf_conntrack")
__success __retval(0)
__observe(0, ptr, NULL)
__observe(1, s32, -71)
int lookup_protocol(struct __sk_buff *ctx)
{
	LOOKUP(bpf_skb_ct_lookup, 1, CURRENT_NETNS, sizeof(tuple.ipv4));
	return 0;
}

SEC("tc")
__description("-EAFNOSUPPORT for the third argument, a size of 8")
__since("5.18") __config("NF_CONNTRACK") __module("nf_conntrack")
__success __retval(0)
__observe(0, ptr, NULL)
__observe(1, s32, -97)
int lookup_size(struct __sk_buff *ctx)
{
	LOOKUP(bpf_skb_ct_lookup, UDP, CURRENT_NETNS, 8);
	return 0;
}

SEC("tc")
__description("-ENONET for a namespace that is not there")
__since("5.18") __config("NF_CONNTRACK") __module("nf_conntrack")
__success __retval(0)
__observe(0, ptr, NULL)
__observe(1, s32, -64)
int lookup_namespace(struct __sk_buff *ctx)
{
	LOOKUP(bpf_skb_ct_lookup, UDP, 0x7fffff00, sizeof(tuple.ipv4));
	return 0;
}

SEC("xdp")
__description("the XDP form of the lookup")
__since("5.18") __config("NF_CONNTRACK") __module("nf_conntrack")
__success __retval(2)
__observe(0, ptr, NULL)
__observe(1, s32, -2)
int lookup_from_xdp(struct xdp_md *ctx)
{
	LOOKUP(bpf_xdp_ct_lookup, UDP, CURRENT_NETNS, sizeof(tuple.ipv4));
	return 2 /* XDP_PASS */;
}

static __always_inline int life(struct __sk_buff *ctx)
{
	/* A port of its own, so that a second run does not find the entry of the first. */
	struct bpf_sock_tuple tuple = TUPLE(bpf_get_prandom_u32());
	struct bpf_ct_opts opts = { .netns_id = CURRENT_NETNS, .l4proto = UDP };
	struct nf_conn *ct;

	ct = bpf_skb_ct_alloc(ctx, &tuple, sizeof(tuple.ipv4), &opts, 12);
	observed[0] = (u64)ct;
	if (!ct)
		return -1;
	bpf_ct_set_timeout(ct, input[0]);
	observed[1] = bpf_ct_set_status(ct, input[2]);
	ct = bpf_ct_insert_entry(ct);
	observed[2] = (u64)ct;
	if (!ct)
		return -2;
	bpf_ct_release(ct);

	ct = bpf_skb_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, 12);
	observed[3] = (u64)ct;
	if (!ct)
		return -3;
	observed[4] = bpf_ct_change_timeout(ct, input[1]);
	/* what is set already may be set again; IPS_CONFIRMED may not be taken away: -EBUSY */
	observed[5] = bpf_ct_change_status(ct, input[3] | IPS_CONFIRMED);
	observed[6] = bpf_ct_change_status(ct, input[3]);
	/* a timeout of 0 lets the entry go */
	bpf_ct_change_timeout(ct, 0);
	bpf_ct_release(ct);
	return 0;
}

SEC("tc")
__description("allocate, set u32 timeout and status, insert, find again, change both, release: six kfuncs of a module")
__since("6.0") __config("NF_CONNTRACK") __module("nf_conntrack")
__input(0, 10000) __input(1, 20000) __input(2, 2) __input(3, 2)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, s32, 0)
__observe(2, ptr, VALID)
__observe(3, ptr, VALID)
__observe(4, s32, 0)
__observe(5, s32, 0)
__observe(6, s32, -16)
int life_of_an_entry(struct __sk_buff *ctx)
{
	return life(ctx);
}

SEC("tc")
__description("the same with garbage above every u32")
__since("6.0") __config("NF_CONNTRACK") __module("nf_conntrack")
__input(0, 0xdeadbeef00002710) __input(1, 0xdeadbeef00004e20) __input(2, 0xdeadbeef00000002) __input(3, 0x1234567800000002)
__success __retval(0)
__observe(0, ptr, VALID)
__observe(1, s32, 0)
__observe(2, ptr, VALID)
__observe(3, ptr, VALID)
__observe(4, s32, 0)
__observe(5, s32, 0)
__observe(6, s32, -16)
int life_of_an_entry_dirty(struct __sk_buff *ctx)
{
	return life(ctx);
}
