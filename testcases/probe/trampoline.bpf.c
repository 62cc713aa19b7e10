// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Whether this kernel can attach a BPF trampoline to one of its functions: the third of the claims that the harness
 * tests is that kfunc calls work without. BPF_PROG_TEST_RUN of a tracing program calls bpf_fentry_test1(1)
 * (net/bpf/test_run.c, bpf_prog_test_run_tracing); the trampoline gives its argument to the program. */
#include "kfunc_case.h"

SEC("fentry/bpf_fentry_test1")
__description("a fentry program loads, attaches and fires")
__success __observe(0, s32, 1)
int trampoline(__u64 *ctx)
{
	observed[0] = ctx[0];
	return 0;
}
