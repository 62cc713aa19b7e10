//! A guest made ready for calls: maps, the module's log, fds of the modules' types; and one round trip per program.

use super::emit::{Emitted, Env, ROW};
use super::kfuncs::{Kfunc, MODULES, discover};
use super::oracle::Seen;
use super::progbtf;
use super::record;
use crate::bpf::attr::{Attr, cmd, peeked, result, submit};
use crate::bpf::{KernelTypes, LoadResult, ProgType, RawProgram, load_program, test_packet};
use crate::btf::{at_u32, at_u64};
use crate::guest::files;
use crate::sys::{Batch, Sys, SysError};

/// Most calls in one program.
pub const CALLS_MAX: usize = 200;
/// The module's log.
const LOG: &str = "/proc/kfunc_conformance/log";
/// Where the module runs a program from assembly.
const RUN: &str = "/proc/kfunc_conformance/run";
/// Where a function of vmlinux and one of the module are, two numbers.
const PLACE: &str = "/proc/kfunc_conformance/place";
/// Switch of constant blinding and other hardening of the JIT.
pub const HARDEN: &str = "/proc/sys/net/core/bpf_jit_harden";
/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_MAP_TYPE_PROG_ARRAY`.
const PROG_ARRAY: u32 = 3;
/// `O_RDWR`.
const READ_WRITE: u64 = 2;

/// Fds and facts that every program needs. The fds end with the guest.
#[derive(Debug, Clone)]
pub struct Lab {
    /// The modules' kfuncs.
    pub kfuncs: Vec<Kfunc>,
    /// What programs refer to.
    pub env: Env,
    /// `fd_array`: modules' types by slot.
    pub modules: Vec<i32>,
    log: u64,
    /// Where in `BTF ids` of vmlinux the kfuncs are that programs use besides.
    kernel: KernelTypes,
}

/// What the module saw of a program that it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside {
    /// R0, all bits that the architecture returns.
    pub r0: u64,
    /// Bit for each callee-saved register that came back changed.
    pub clobbered: u64,
    /// Bytes by which the stack pointer moved.
    pub sp_moved: u64,
}

impl Lab {
    /// Opens everything. The modules must be loaded and their types read.
    ///
    /// # Errors
    /// [`SysError`] outside; inside a text when the modules are not what they should be.
    pub fn open(sys: &mut dyn Sys, kernel: &KernelTypes) -> Result<Result<Self, String>, SysError> {
        let word = sys.target().word;
        let kfuncs = discover(kernel, word);
        if kfuncs.is_empty() {
            return Ok(Err(format!("the types of module {} name no kfunc (kfc_*)", MODULES[0])));
        }
        let log = match files::open(sys, LOG, READ_WRITE)? {
            Ok(fd) => fd,
            Err(errno) => return Ok(Err(format!("cannot open {LOG} (errno {errno})"))),
        };
        let rows = match create_map(sys, ARRAY, ((CALLS_MAX + 1) * ROW * 8) as u32)? {
            Ok(fd) => fd,
            Err(errno) => return Ok(Err(format!("cannot create a map (errno {errno})"))),
        };
        let programs = match create_map(sys, PROG_ARRAY, 4)? {
            Ok(fd) => fd,
            Err(errno) => return Ok(Err(format!("cannot create a map of programs (errno {errno})"))),
        };
        let mut modules = vec![0];
        for name in MODULES {
            let Some(module) = kernel.modules.iter().find(|module| module.name == name) else { break };
            let endian = sys.target().endian;
            let mut batch = Batch::new(sys.target());
            Attr::new(endian, 12).u32(0, module.id).call(&mut batch, sys.target().syscalls.bpf, cmd::BTF_GET_FD_BY_ID);
            match result(&submit(sys, &batch)?, 0)? {
                Ok(fd) => modules.push(fd),
                Err(errno) => return Ok(Err(format!("no fd for the types of module {name} (errno {errno})"))),
            }
        }
        let of_vmlinux = |name: &str| kernel.func(name).filter(|symbol| symbol.module.is_none()).map(|s| s.id as i32);
        let escort = of_vmlinux("bpf_rcu_read_lock").zip(of_vmlinux("bpf_rcu_read_unlock"));
        let env = Env { rows, programs, escort, throw: of_vmlinux("bpf_throw"), deep_stack: false };
        Ok(Ok(Self { kfuncs, env, modules, log, kernel: kernel.clone() }))
    }

    /// The same with the modules in the last slots that `fd_array` can have, and one in between: the verifier reads a slot by
    /// its number, which is 16 bits with a sign.
    #[must_use]
    pub fn with_far_slots(mut self) -> Self {
        const FAR: [i16; 4] = [0, 255, 32767, 256];
        let mut modules = vec![0; 32768];
        for (slot, fd) in self.modules.iter().enumerate() {
            modules[FAR[slot.min(3)] as usize] = *fd;
        }
        for kfunc in &mut self.kfuncs {
            kfunc.slot = FAR[kfunc.slot.clamp(0, 3) as usize];
        }
        self.modules = modules;
        self
    }

    /// A function of the modules by its name.
    pub fn kfunc(&self, name: &str) -> Option<&Kfunc> {
        self.kfuncs.iter().find(|kfunc| kfunc.name == name)
    }

    /// BTF id of a function of vmlinux.
    pub fn vmlinux_func(&self, name: &str) -> Option<i32> {
        self.kernel.func(name).filter(|symbol| symbol.module.is_none()).map(|symbol| symbol.id as i32)
    }

    /// A program, ready to be loaded.
    pub fn raw(&self, program: &Emitted, prog_type: ProgType) -> RawProgram {
        let mut raw = RawProgram::new("kfunc_abi", prog_type, program.insns.clone());
        raw.fd_array = self.modules.clone();
        raw
    }

    /// Loads a program, with types when it has several functions.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn load(&self, sys: &mut dyn Sys, program: &Emitted, prog_type: ProgType) -> Result<LoadResult, SysError> {
        let mut raw = self.raw(program, prog_type);
        if program.starts.len() == 1 {
            return load_program(sys, &raw, 1);
        }
        let (bytes, info) = progbtf::describe(sys.target().endian, &program.starts);
        let mut batch = Batch::new(sys.target());
        let at = batch.bytes(bytes.clone());
        Attr::new(sys.target().endian, 28).u64(0, at).u32(16, bytes.len() as u32).call(
            &mut batch,
            sys.target().syscalls.bpf,
            cmd::BTF_LOAD,
        );
        let fd = match result(&submit(sys, &batch)?, 0)? {
            Ok(fd) => fd,
            Err(errno) => {
                return Ok(LoadResult::Refused { errno, log: "the program's own BTF was refused".into() });
            }
        };
        raw.btf_fd = Some(fd);
        raw.func_info = info;
        let loaded = load_program(sys, &raw, 1);
        files::close(sys, fd as u64)?;
        loaded
    }

    /// Puts a program into the map of programs for tail calls.
    ///
    /// # Errors
    /// [`SysError`] outside, errno inside.
    pub fn aim_tail_call(&self, sys: &mut dyn Sys, program: i32) -> Result<Result<(), i32>, SysError> {
        let endian = sys.target().endian;
        let mut value = Vec::new();
        crate::btf::put_u32(endian, &mut value, program as u32);
        let mut batch = Batch::new(sys.target());
        update(&mut batch, sys, self.env.programs, value);
        Ok(result(&submit(sys, &batch)?, 0)?.map(drop))
    }

    /// Clears rows and log, runs the program once, and reads both back: `rows` rows, and as many records as there are, up to
    /// one more than `records`.
    ///
    /// # Errors
    /// [`SysError`] outside, errno of the run inside.
    pub fn run(
        &self,
        sys: &mut dyn Sys,
        program: i32,
        prog_type: ProgType,
        rows: usize,
        records: usize,
    ) -> Result<Result<Seen, i32>, SysError> {
        let target = sys.target().clone();
        let calls = &target.syscalls;
        let mut batch = Batch::new(&target);
        let zero = batch.bytes(*b"0");
        batch.call(calls.write, &[self.log, zero, 1]);
        update(&mut batch, sys, self.env.rows, vec![0; (CALLS_MAX + 1) * ROW * 8]);
        let mut attr = Attr::new(target.endian, 80).fd(0, program);
        if matches!(prog_type, ProgType::SchedCls | ProgType::Xdp) {
            let data = test_packet();
            let len = data.len() as u32;
            let at = batch.bytes(data);
            attr = attr.u32(8, len).u64(16, at).u32(32, 1);
        }
        let at = attr.call(&mut batch, calls.bpf, cmd::PROG_TEST_RUN);
        batch.peek(at + 4, 4);
        let key = batch.bytes([0; 4]);
        let value = batch.zeroed(((CALLS_MAX + 1) * ROW * 8) as u64);
        Attr::new(target.endian, 32).fd(0, self.env.rows).u64(8, key).u64(16, value).call(
            &mut batch,
            calls.bpf,
            cmd::MAP_LOOKUP_ELEM,
        );
        batch.peek(value, (rows * ROW * 8) as u64);
        batch.call(calls.lseek, &[self.log, 0, 0]);
        let room = ((records + 1).min(record::MOST) * record::BYTES) as u64;
        let log = batch.reserve(room);
        batch.call(calls.read, &[self.log, log, room]);
        batch.peek(log, room);
        let replies = submit(sys, &batch)?;
        for (index, what) in [(0, "clearing the log"), (1, "clearing the map"), (3, "reading the map"), (4, "lseek")] {
            if let Err(errno) = result(&replies, index)? {
                return Err(SysError::Protocol(format!("{what} failed with errno {errno}")));
            }
        }
        if let Err(errno) = result(&replies, 2)? {
            return Ok(Err(errno));
        }
        let read = match result(&replies, 5)? {
            Ok(read) => read as usize,
            Err(errno) => return Err(SysError::Protocol(format!("reading {LOG} failed with errno {errno}"))),
        };
        let retval = at_u32(target.endian, peeked(&replies, 0)?, 0).unwrap_or(0);
        let words = peeked(&replies, 1)?.chunks_exact(8).filter_map(|word| at_u64(target.endian, word, 0)).collect();
        let bytes = peeked(&replies, 2)?;
        let records = record::parse(target.endian, &bytes[..read.min(bytes.len())]);
        Ok(Ok(Seen { rows: words, records, retval }))
    }

    /// Has the module run a program from assembly that watches the registers which belong to the caller.
    ///
    /// # Errors
    /// [`SysError`] outside, errno inside.
    pub fn run_watched(&self, sys: &mut dyn Sys, program: i32) -> Result<Result<Outside, i32>, SysError> {
        let fd = match files::open(sys, RUN, READ_WRITE)? {
            Ok(fd) => fd,
            Err(errno) => return Ok(Err(errno)),
        };
        let target = sys.target().clone();
        let mut batch = Batch::new(&target);
        update(&mut batch, sys, self.env.rows, vec![0; (CALLS_MAX + 1) * ROW * 8]);
        let text = program.to_string();
        let at = batch.bytes(text.as_bytes());
        batch.call(target.syscalls.write, &[fd, at, text.len() as u64]);
        batch.call(target.syscalls.lseek, &[fd, 0, 0]);
        let answer = batch.zeroed(32);
        batch.call(target.syscalls.read, &[fd, answer, 32]);
        batch.peek(answer, 32);
        batch.call(target.syscalls.close, &[fd]);
        let replies = submit(sys, &batch)?;
        for index in [0, 1, 3] {
            if let Err(errno) = result(&replies, index)? {
                return Ok(Err(errno));
            }
        }
        let bytes = peeked(&replies, 0)?;
        let word = |index: usize| at_u64(target.endian, bytes, 8 * index).unwrap_or(0);
        Ok(Ok(Outside { r0: word(0), clobbered: word(1), sp_moved: word(2) }))
    }
}

/// Where a function of vmlinux and one of the module are.
///
/// # Errors
/// When the other side is gone.
pub fn place(sys: &mut dyn Sys) -> Result<Option<[u64; 2]>, SysError> {
    let Ok(text) = files::read_text(sys, PLACE)? else { return Ok(None) };
    let mut numbers = text.split_whitespace().map(|word| u64::from_str_radix(word, 16));
    Ok(match (numbers.next(), numbers.next()) {
        (Some(Ok(vmlinux)), Some(Ok(module))) => Some([vmlinux, module]),
        _ => None,
    })
}

fn create_map(sys: &mut dyn Sys, map_type: u32, value_size: u32) -> Result<Result<i32, i32>, SysError> {
    let mut batch = Batch::new(sys.target());
    Attr::new(sys.target().endian, 72).u32(0, map_type).u32(4, 4).u32(8, value_size).u32(12, 1).call(
        &mut batch,
        sys.target().syscalls.bpf,
        cmd::MAP_CREATE,
    );
    result(&submit(sys, &batch)?, 0)
}

/// Adds `BPF_MAP_UPDATE_ELEM` of entry 0 to a batch.
fn update(batch: &mut Batch, sys: &dyn Sys, map: i32, value: Vec<u8>) {
    let key = batch.bytes([0; 4]);
    let value = batch.bytes(value);
    let attr = Attr::new(sys.target().endian, 32).fd(0, map).u64(8, key).u64(16, value);
    attr.call(batch, sys.target().syscalls.bpf, cmd::MAP_UPDATE_ELEM);
}
