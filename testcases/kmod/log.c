// SPDX-License-Identifier: GPL-2.0
/*
 * The log of calls, and the module itself.
 *
 * /proc/kfunc_conformance/log: struct kfunc_record one after the other since the last clear; any write clears.
 * /proc/kfunc_conformance/place: where _printk() of vmlinux and kfunc_record_add() of this module are, in hexadecimal.
 */
#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "conformance.h"

#define RECORDS_MAX 4096

extern const struct btf_kfunc_id_set kfunc_set;

static struct kfunc_record *records;
static atomic_t used = ATOMIC_INIT(0);
static struct proc_dir_entry *dir;

/*
 * How the psABI, and with it the kernel's build, aligns the stack when a function is entered. x86: not what the psABI says,
 * but -mstack-alignment=8 (64 bits) and 4 (32 bits) of arch/x86/Makefile.
 */
#if defined(CONFIG_X86_64)
#define STACK_ALIGNMENT 8
#elif defined(CONFIG_X86_32)
#define STACK_ALIGNMENT 4
#elif defined(CONFIG_ARM)
#define STACK_ALIGNMENT 4 /* the kernel's frame pointer is not at the end of the frame */
#elif defined(CONFIG_S390)
#define STACK_ALIGNMENT 8
#else
#define STACK_ALIGNMENT 16
#endif

noinline void kfunc_record_add(const char *name, unsigned long frame, const u64 *args, u32 nargs, u32 flags,
			       u64 result)
{
	int index = atomic_inc_return(&used) - 1;
	struct kfunc_record *record;
	u32 i;

	if (index >= RECORDS_MAX) {
		records[RECORDS_MAX - 1].flags |= KFUNC_LOST;
		return;
	}
	record = &records[index];
	memset(record, 0, sizeof(*record));
	strscpy(record->name, name, sizeof(record->name));
	record->nargs = nargs;
	record->flags = flags | (frame % STACK_ALIGNMENT ? KFUNC_MISALIGNED : 0);
	for (i = 0; i < nargs && i < KFUNC_ARGS_MAX; i++)
		record->args[i] = args[i];
	record->sp = frame;
	record->result = result;
}
EXPORT_SYMBOL_GPL(kfunc_record_add);

static ssize_t log_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	size_t count = clamp(atomic_read(&used), 0, RECORDS_MAX);

	return simple_read_from_buffer(to, size, at, records, count * sizeof(*records));
}

static ssize_t log_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	atomic_set(&used, 0);
	return size;
}

static const struct proc_ops log_ops = {
	.proc_read = log_read,
	.proc_write = log_write,
	.proc_lseek = default_llseek,
};

static int place_show(struct seq_file *to, void *unused)
{
	seq_printf(to, "%lx %lx\n", (unsigned long)&_printk, (unsigned long)&kfunc_record_add);
	return 0;
}

int kfunc_register(const struct btf_kfunc_id_set *set)
{
	static const enum bpf_prog_type types[] = {
		BPF_PROG_TYPE_SYSCALL,
		BPF_PROG_TYPE_SCHED_CLS,
		BPF_PROG_TYPE_XDP,
		BPF_PROG_TYPE_TRACING, /* raw tracepoints too */
	};
	int i, error = 0;

	for (i = 0; i < ARRAY_SIZE(types) && !error; i++)
		error = register_btf_kfunc_id_set(types[i], set);
	return error;
}
EXPORT_SYMBOL_GPL(kfunc_register);

static int __init conformance_init(void)
{
	int error;

	records = vzalloc(array_size(RECORDS_MAX, sizeof(*records)));
	dir = proc_mkdir("kfunc_conformance", NULL);
	error = -ENOMEM;
	if (!records || !dir || !proc_create("log", 0600, dir, &log_ops) ||
	    !proc_create_single("place", 0400, dir, place_show))
		goto fail;
	error = kfunc_watch_init(dir);
	if (!error)
		error = kfunc_register(&kfunc_set);
	if (!error)
		return 0;
fail:
	if (dir)
		proc_remove(dir);
	vfree(records);
	return error;
}

static void __exit conformance_exit(void)
{
	proc_remove(dir);
	vfree(records);
}

module_init(conformance_init);
module_exit(conformance_exit);
MODULE_DESCRIPTION("kfuncs that record how they were called");
MODULE_LICENSE("GPL");
