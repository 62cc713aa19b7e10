// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a program from assembly that has a known value in every register that belongs to the caller.
 *
 * /proc/kfunc_conformance/run: write the fd of a program of type SYSCALL, which must not sleep; read struct kfunc_run.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate_trace.h>
#include <linux/slab.h>

#include "conformance.h"

#define CONTEXT_BYTES 4096

/* watch_asm.S: calls function(context, insns) and fills the first three words of run. */
void kfunc_watch_call(void *function, void *context, const void *insns, struct kfunc_run *run);

static struct kfunc_run last;
static DEFINE_MUTEX(one_at_a_time);

static ssize_t run_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	struct bpf_prog *prog;
	void *context;
	int fd, error;

	if (!KFUNC_KNOWS_REGISTERS)
		return -EOPNOTSUPP;
	error = kstrtoint_from_user(from, size, 10, &fd);
	if (error)
		return error;
	prog = bpf_prog_get_type_dev(fd, BPF_PROG_TYPE_SYSCALL, false);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	context = kzalloc(CONTEXT_BYTES, GFP_KERNEL);
	if (!context) {
		bpf_prog_put(prog);
		return -ENOMEM;
	}
	mutex_lock(&one_at_a_time);
	/* As __bpf_prog_enter_sleepable() and bpf_prog_test_run_syscall() do. */
	rcu_read_lock_trace();
	migrate_disable();
#if KFUNC_KNOWS_REGISTERS
	kfunc_watch_call((void *)prog->bpf_func, context, prog->insnsi, &last);
#endif
	migrate_enable();
	rcu_read_unlock_trace();
	last.runs++;
	mutex_unlock(&one_at_a_time);
	kfree(context);
	bpf_prog_put(prog);
	return size;
}

static ssize_t run_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	ssize_t read;

	mutex_lock(&one_at_a_time);
	read = simple_read_from_buffer(to, size, at, &last, sizeof(last));
	mutex_unlock(&one_at_a_time);
	return read;
}

static const struct proc_ops run_ops = {
	.proc_read = run_read,
	.proc_write = run_write,
	.proc_lseek = default_llseek,
};

int kfunc_watch_init(struct proc_dir_entry *dir)
{
	return proc_create("run", 0600, dir, &run_ops) ? 0 : -ENOMEM;
}
