//! Objects compiled by clang, loaded into a recorded kernel and, where bpf(2) is allowed, into this machine's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::insn::{CALL, PSEUDO_KFUNC_CALL};
use super::link::Linked;
use super::*;
use crate::arch::{Endian, SyscallNumbers, WordSize};
use crate::btf::tests::Builder;
use crate::btf::{Btf, INT_SIGNED, Kind, at_u32, at_u64};
use crate::sys::{Batch, Op, Replies, Sys, SysError, Target};
use crate::sys_local::LocalSys;

/// Compiles C in front of which `kfunc_case.h` is included. `None`, with a word why, when there is no clang.
fn compile(endian: Endian, source: &str) -> Option<Object> {
    let clang = ["clang-19", "clang-20", "clang-21", "clang-18", "clang"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success()));
    let Some(clang) = clang else {
        eprintln!("not run: there is no clang (ci/setup installs it)");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("t.bpf.c");
    let text = format!("#include \"kfunc_case.h\"\nchar license_of_test[] SEC(\"license\") = \"GPL\";\n{source}");
    std::fs::write(&file, text).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testcases/include");
    let out = dir.path().join("t.o");
    let target = if endian == Endian::Little { "--target=bpfel" } else { "--target=bpfeb" };
    let run = Command::new(clang)
        .args([target, "-mcpu=v3", "-O2", "-g", "-c", "-I"])
        .args([include.as_path(), Path::new("-o"), &out, &file])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Some(Object::parse(&std::fs::read(out).unwrap()).unwrap())
}

/// A kernel that says yes to everything, hands out fds, and remembers what it was asked and which fds are open.
struct Recorded {
    target: Target,
    memory: Vec<u8>,
    next_fd: i64,
    open: BTreeSet<i64>,
    loads: Vec<(Vec<super::insn::Insn>, Vec<u32>)>,
    /// errno for every PROG_LOAD, 0 for none.
    refuse: i64,
    batches: u32,
}

impl Recorded {
    fn new(endian: Endian) -> Self {
        let syscalls = SyscallNumbers {
            bpf: 1,
            openat: 2,
            close: 3,
            read: 4,
            lseek: 13,
            write: 5,
            mkdirat: 6,
            mount: 7,
            memfd_create: 8,
            finit_module: 9,
            newuname: 10,
            getpid: 11,
            reboot: 12,
        };
        let target = Target { endian, word: WordSize::Bits64, syscalls, arena_base: 0x10000, arena_len: 1 << 20 };
        let memory = vec![0; 1 << 20];
        Self { target, memory, next_fd: 100, open: BTreeSet::new(), loads: Vec::new(), refuse: 0, batches: 0 }
    }

    fn at(&self, address: u64) -> usize {
        (address - self.target.arena_base) as usize
    }

    fn bpf(&mut self, args: &[u64; 6]) -> i64 {
        let attr = self.at(args[1]);
        let endian = self.target.endian;
        match args[0] {
            attr::cmd::PROG_LOAD => {
                let count = at_u32(endian, &self.memory, attr + 4).unwrap() as usize;
                let from = self.at(at_u64(endian, &self.memory, attr + 8).unwrap());
                let insns = (0..count).map(|i| insn::Insn::decode(endian, &self.memory, from + 8 * i).unwrap());
                let insns = insns.collect();
                let array = at_u64(endian, &self.memory, attr + 120).unwrap();
                let fds = match array {
                    0 => Vec::new(),
                    _ => (0..2).map(|i| at_u32(endian, &self.memory, self.at(array) + 4 * i).unwrap()).collect(),
                };
                self.loads.push((insns, fds));
                if self.refuse != 0 {
                    let log = at_u64(endian, &self.memory, attr + 32).unwrap();
                    if log != 0 {
                        let at = self.at(log);
                        self.memory[at..at + 8].copy_from_slice(b"because\n");
                    }
                    return -self.refuse;
                }
            }
            attr::cmd::MAP_CREATE
            | attr::cmd::BTF_LOAD
            | attr::cmd::BTF_GET_FD_BY_ID
            | attr::cmd::RAW_TRACEPOINT_OPEN => {}
            _ => return 0,
        }
        self.next_fd += 1;
        self.open.insert(self.next_fd);
        self.next_fd
    }
}

impl Sys for Recorded {
    fn target(&self) -> &Target {
        &self.target
    }

    fn submit(&mut self, batch: &Batch) -> Result<Replies, SysError> {
        self.batches += 1;
        let mut replies = Replies::default();
        for op in batch.ops() {
            match op {
                Op::Poke { at, bytes } => {
                    let at = self.at(*at);
                    self.memory[at..at + bytes.len()].copy_from_slice(bytes);
                }
                Op::Zero { at, len } => {
                    let at = self.at(*at);
                    self.memory[at..at + *len as usize].fill(0);
                }
                Op::Peek { at, len } => {
                    let at = self.at(*at);
                    replies.peeks.push(self.memory[at..at + *len as usize].to_vec());
                }
                Op::Call { nr: 3, args } => {
                    assert!(self.open.remove(&(args[0] as i64)), "fd {} is not open", args[0]);
                    replies.calls.push(0);
                }
                Op::Call { nr, args } => {
                    assert_eq!(*nr, 1, "only bpf() is expected");
                    let reply = self.bpf(args);
                    replies.calls.push(reply);
                }
            }
        }
        Ok(replies)
    }
}

/// A vmlinux with `bpf_one` and a module with `bpf_two`.
fn kernel(endian: Endian) -> KernelTypes {
    let mut b = Builder::new(endian);
    let int = b.int("int", 4, INT_SIGNED);
    b.func("bpf_one", int, &[("x", int)]);
    let vmlinux = Arc::new(Btf::parse(&b.blob()).unwrap());
    let mut b = Builder::split(&vmlinux);
    b.func("bpf_two", 1, &[("x", 1)]);
    let btf = Arc::new(Btf::parse_split(&b.blob(), vmlinux.clone()).unwrap());
    KernelTypes { vmlinux: Some(vmlinux), modules: vec![ModuleBtf { name: "m".into(), btf, id: 7 }] }
}

const CALLS: &str = r#"
extern int bpf_one(int x) __ksym;
extern int bpf_two(int x) __ksym;
extern int bpf_perhaps(int x) __weak __ksym;
SEC("syscall") __success __retval(0)
int prog(void *ctx) {
    observed[0] = bpf_one(1);
    observed[1] = bpf_two(2);
    observed[2] = bpf_perhaps(3);
    observed[3] = bpf_two(4);
    return 0;
}
extern int bpf_nowhere(int x) __ksym;
SEC("syscall") __success __retval(0)
int absent(void *ctx) { return bpf_nowhere(1); }
"#;

#[test]
fn kfuncs_of_vmlinux_of_a_module_and_of_nowhere() {
    for endian in [Endian::Little, Endian::Big] {
        let Some(object) = compile(endian, CALLS) else { return };
        let (kernel, mut sys) = (kernel(endian), Recorded::new(endian));
        let loaded = load(&mut sys, &object, "prog", &kernel, &LoadOptions::default()).unwrap();
        let (insns, fds) = &sys.loads[0];
        let calls: Vec<_> = insns.iter().filter(|i| i.code == CALL).map(|i| (i.src, i.imm as u32, i.off)).collect();
        let one = kernel.func("bpf_one").unwrap().id;
        let two = kernel.func("bpf_two").unwrap().id;
        assert!(two >= kernel.vmlinux.as_ref().unwrap().end_id());
        let k = PSEUDO_KFUNC_CALL;
        assert_eq!(calls, [(k, one, 0), (k, two, 1), (k, 0, 0), (k, two, 1)]);
        assert_eq!(fds[0], 0, "slot 0 is vmlinux's and unused");
        assert!(sys.open.contains(&i64::from(fds[1])), "slot 1 is an open fd");
        loaded.close(&mut sys).unwrap();
        assert!(sys.open.is_empty(), "left open: {:?}", sys.open);
        let before = sys.batches;
        match load(&mut sys, &object, "absent", &kernel, &LoadOptions::default()) {
            Err(LoadError::KfuncAbsent(name)) => assert_eq!(name, "bpf_nowhere"),
            other => panic!("{other:?}"),
        }
        assert_eq!(sys.batches, before, "the kernel is not even asked");
    }
}

#[test]
fn a_refusal_has_its_log_and_leaves_nothing_open() {
    let Some(object) = compile(Endian::Little, CALLS) else { return };
    let mut sys = Recorded::new(Endian::Little);
    sys.refuse = 524;
    match load(&mut sys, &object, "prog", &kernel(Endian::Little), &LoadOptions::default()) {
        Err(LoadError::Refused { program, errno: 524, log }) => assert_eq!((&*program, &*log), ("prog", "because\n")),
        other => panic!("{other:?}"),
    }
    assert!(sys.open.is_empty(), "left open: {:?}", sys.open);
}

#[test]
fn without_kernel_btf_the_kernel_itself_must_say_so() {
    let Some(object) = compile(Endian::Little, CALLS) else { return };
    let mut sys = Recorded::new(Endian::Little);
    let loaded = load(&mut sys, &object, "prog", &KernelTypes::default(), &LoadOptions::default()).unwrap();
    let (insns, _) = &sys.loads[0];
    assert!(insns.iter().filter(|i| i.code == CALL).all(|i| (i.src, i.imm, i.off) == (PSEUDO_KFUNC_CALL, 0, 0)));
    loaded.close(&mut sys).unwrap();
}

const LINKED: &str = r#"
static __noinline int leaf(int x) { barrier_var(x); return x * 3; }
static __noinline int middle(int x) { barrier_var(x); return leaf(x) + leaf(x + 1); }
__noinline int outside(int x) { barrier_var(x); return middle(x) - 1; }
static int each(u32 index, u64 *sum) { *sum += leaf(index); return 0; }
static long (*loop)(u32 n, void *callback, void *ctx, u64 flags) = (void *)181;
SEC("syscall") __success __retval(0)
int prog(void *ctx) {
    u64 sum = 0;
    loop(3, each, &sum, 0);
    observed[0] = outside(input[0]) + sum;
    return 0;
}
"#;

#[test]
fn functions_are_appended_and_found() {
    let (Some(little), Some(big)) = (compile(Endian::Little, LINKED), compile(Endian::Big, LINKED)) else { return };
    let link = |object: &Object| Linked::new(object, object.program("prog").unwrap()).unwrap();
    let (a, b) = (link(&little), link(&big));
    assert_eq!(a.insns, b.insns, "byte order changes the encoding only");
    let (info, count) = a.func_info(&little);
    assert_eq!((count, info.len()), (5, 40), "prog, each, outside, middle, leaf");
    let starts: Vec<u32> = (0..5).map(|i| at_u32(Endian::Little, &info, 8 * i).unwrap()).collect();
    assert_eq!(starts[0], 0);
    assert!(starts.is_sorted());
    for (at, insn) in a.insns.iter().enumerate().filter(|(_, i)| i.is_pseudo_call() || i.is_pseudo_func()) {
        let target = (at as i64 + 1 + i64::from(insn.imm)) as u32;
        assert!(starts.contains(&target), "instruction {at} refers to {target}, which is no function");
    }
    let (lines, count) = a.line_info(&little);
    assert!(count > 5 && lines.len() == 16 * count as usize);
}

#[test]
fn programs_say_what_and_where_they_are() {
    let Some(object) = compile(Endian::Little, CALLS) else { return };
    let programs = object.programs();
    assert_eq!(programs.iter().map(|p| &*p.name).collect::<Vec<_>>(), ["prog", "absent"]);
    assert_eq!(programs[0].kfuncs, ["bpf_one", "bpf_perhaps", "bpf_two"]);
    assert_eq!(programs[0].annotations.as_ref().unwrap().retval, Some(0));
    let location = programs[0].location.as_ref().unwrap();
    assert!(location.file.ends_with("t.bpf.c"), "{location:?}");
    // The line of the first instruction: the function's own, or its first statement's when it has no prologue.
    assert!((8..=9).contains(&location.line), "{location:?}");
    assert_eq!(object.license, "GPL");
}

#[test]
fn a_tag_that_makes_no_sense_names_its_line() {
    let source = "SEC(\"syscall\") __success __retval(soon)\nint prog(void *ctx) { return 0; }\n";
    let Some(object) = compile(Endian::Little, source) else { return };
    let error = object.programs()[0].annotations.as_ref().unwrap_err().to_string();
    assert!(error.contains("t.bpf.c:4: program prog: annotation \"test_retval=soon\""), "{error}");
}

#[test]
fn damaged_objects_are_errors() {
    assert!(matches!(Object::parse(b""), Err(ObjectError::Elf(_))));
    assert!(matches!(Object::parse(b"\x7fELF\x02\x01\x01"), Err(ObjectError::Elf(_))));
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(matches!(Object::parse(&own), Err(ObjectError::Machine(_))));
}

/// What the tests below need: bpf(2), and BTF of the running kernel.
fn this_machine() -> Option<(LocalSys, KernelTypes)> {
    let mut sys = LocalSys::new();
    let raw =
        RawProgram::new("probe", ProgType::Syscall, vec![insn::Insn::mov_imm(insn::Reg::R0, 0), insn::Insn::exit()]);
    match load_program(&mut sys, &raw, 1).unwrap() {
        LoadResult::Loaded(fd) => sys.call(sys.target().syscalls.close, &[fd as u64]).unwrap(),
        LoadResult::Refused { errno, .. } => {
            eprintln!("not run: this machine does not let us load BPF programs (errno {errno}); root is needed");
            return None;
        }
    };
    let Some(bytes) = read_vmlinux(&mut sys).unwrap() else {
        eprintln!("not run: this machine's kernel has no BTF");
        return None;
    };
    let vmlinux = Some(Arc::new(Btf::parse(&bytes).unwrap()));
    Some((sys, KernelTypes { vmlinux, modules: Vec::new() }))
}

/// Runs `prog` of this source; `None` when it cannot be run here.
fn run_here(source: &str) -> Option<Result<RunResult, LoadError>> {
    let object = compile(if cfg!(target_endian = "little") { Endian::Little } else { Endian::Big }, source)?;
    let (mut sys, kernel) = this_machine()?;
    let inputs = object.programs().into_iter().find(|p| p.name == "prog").unwrap().annotations.unwrap().inputs;
    let loaded = match load(&mut sys, &object, "prog", &kernel, &LoadOptions::default()) {
        Ok(loaded) => loaded,
        Err(error) => return Some(Err(error)),
    };
    let result = loaded.run(&mut sys, &RunOptions { inputs, ..RunOptions::default() }).unwrap();
    loaded.close(&mut sys).unwrap();
    Some(Ok(result))
}

#[test]
fn here_subprograms_and_callbacks_work() {
    let source = LINKED.replace("__retval(0)", "__retval(0) __input(0, 10)");
    let Some(result) = run_here(&source) else { return };
    let result = result.unwrap();
    assert_eq!((result.errno, result.retval), (0, 0));
    assert_eq!(result.observed[0], 10 * 3 + 11 * 3 - 1 + 3 + 6);
    assert_eq!(result.observed[1], annotations::UNSET);
}

#[test]
fn here_a_refusal_explains_itself() {
    let source = "SEC(\"syscall\") __failure __errno(13)\nint prog(void *ctx) { return *(int *)observed[0]; }\n";
    let Some(result) = run_here(source) else { return };
    match result {
        Err(LoadError::Refused { errno: 13, log, .. }) => assert!(log.contains("invalid mem access"), "{log}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn here_a_long_log_is_whole() {
    let Some((mut sys, _)) = this_machine() else { return };
    // Thousands of instructions of which each is a line of the log, and then a read of a register that was never written.
    let mut insns = vec![insn::Insn::mov_imm(insn::Reg::R0, 0); 9000];
    insns.push(insn::Insn::mov(insn::Reg::R0, insn::Reg::R7));
    insns.push(insn::Insn::exit());
    let raw = RawProgram::new("long", ProgType::Syscall, insns);
    match load_program(&mut sys, &raw, 2).unwrap() {
        LoadResult::Refused { errno: 13, log } => {
            assert!(log.len() > 100_000, "{} bytes", log.len());
            assert!(log.starts_with("func#0") || log.contains("\n0: "), "the beginning is there");
            assert!(log.contains("R7 !read_ok"), "the end is there");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn here_an_unresolved_weak_kfunc_may_be_there_unreached() {
    let source = r#"
extern int bpf_never_heard_of(int x) __weak __ksym;
SEC("syscall") __success __retval(0)
int prog(void *ctx) {
    if (bpf_never_heard_of)
        return bpf_never_heard_of(1);
    return 5;
}
"#;
    let Some(result) = run_here(source) else { return };
    assert_eq!(result.unwrap().retval, 5);
}

#[test]
fn here_core_relocations_read_the_right_field() {
    let source = r#"
struct task_struct___mine { int pid; int tgid; int no_such_field; } __core;
extern struct task_struct___mine *bpf_get_current_task_btf_dummy(void) __weak __ksym;
static void *(*current_task)(void) = (void *)158;
SEC("syscall") __success __retval(0)
int prog(void *ctx) {
    struct task_struct___mine *task = current_task();
    observed[0] = task->pid;
    observed[1] = task->tgid;
    observed[2] = __builtin_preserve_field_info(task->no_such_field, 2);
    observed[3] = __builtin_preserve_field_info(task->pid, 1);
    if (__builtin_preserve_field_info(task->no_such_field, 2))
        observed[4] = task->no_such_field;
    return 0;
}
"#;
    let Some(result) = run_here(source) else { return };
    let result = result.unwrap();
    assert_eq!(result.observed[1], u64::from(std::process::id()));
    assert_ne!(result.observed[0], 0);
    assert_eq!(result.observed[2..5], [0, 4, annotations::UNSET]);
}

#[test]
fn here_tail_calls_and_read_only_data_work() {
    let source = r#"
static long (*tail_call)(void *ctx, void *map, u32 index) = (void *)12;
int target(void *ctx);
struct {
    __uint(type, 3);
    __uint(max_entries, 2);
    __uint(key_size, 4);
    __array(values, int(void *));
} jumps SEC(".maps") = { .values = { [1] = (void *)&target } };
const volatile int forty = 40;
SEC("tc") __helper
int target(void *ctx) { observed[1] = forty + 2; return 9; }
SEC("tc") __success __retval(0)
int prog(void *ctx) { observed[0] = 1; tail_call(ctx, &jumps, 1); return 1; }
"#;
    let Some(result) = run_here(source) else { return };
    let result = result.unwrap();
    assert_eq!((result.retval, result.observed[0], result.observed[1]), (9, 1, 42));
}

/// What old kernels get must still be BTF to a new one.
#[test]
fn here_reduced_btf_is_accepted() {
    let source =
        "enum wide { W = 1LL << 40 } volatile w = W;\nstruct s { int __kptr *p; } volatile v;\n".to_string() + LINKED;
    let Some(object) = compile(Endian::Little, &source) else { return };
    let Some((mut sys, _)) = this_machine() else { return };
    let target = sys.target().clone();
    let reduced = progbtf::for_old_kernel(&object.kernel_btf).unwrap();
    let kinds: BTreeSet<Kind> = Btf::parse(&reduced).unwrap().iter().map(|t| t.kind).collect();
    assert!(!kinds.iter().any(|kind| matches!(kind, Kind::DeclTag | Kind::TypeTag | Kind::Enum64)));
    for blob in [&reduced, &object.kernel_btf] {
        let mut batch = Batch::new(&target);
        let at = batch.bytes(blob.clone());
        let attr = attr::Attr::new(target.endian, 28).u64(0, at).u32(16, blob.len() as u32);
        attr.call(&mut batch, target.syscalls.bpf, attr::cmd::BTF_LOAD);
        let fd = attr::result(&sys.submit(&batch).unwrap(), 0).unwrap().expect("the kernel accepts it");
        sys.call(target.syscalls.close, &[fd as u64]).unwrap();
    }
}

#[test]
fn here_packets_are_given_and_taken() {
    let source = r#"
struct xdp_md { u32 data; u32 data_end; };
SEC("xdp") __success __retval(0)
int prog(struct xdp_md *ctx) {
    u8 *data = (u8 *)(u64)ctx->data, *end = (u8 *)(u64)ctx->data_end;
    if (data + 100 > end)
        return 0;
    observed[0] = data[99];
    data[0] = 0x77;
    return 2;
}
"#;
    let Some(result) = run_here(source) else { return };
    let result = result.unwrap();
    assert_eq!((result.retval, result.observed[0]), (2, 99));
    let mut packet = test_packet();
    packet[0] = 0x77;
    assert_eq!(result.data, packet);
}
