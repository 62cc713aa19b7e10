//! `BPF_PROG_LOAD`: one program, linked or written by hand, with a verifier log that grows until it fits.

use super::attr::{Attr, ENOSPC, cmd, peeked, result, submit};
use super::insn::Insn;
use super::section::ProgType;
use crate::sys::{Batch, Sys, SysError, Target};

/// `BPF_F_SLEEPABLE`.
pub const F_SLEEPABLE: u32 = 1 << 4;
/// Bytes of `union bpf_attr` used by `BPF_PROG_LOAD`, up to `core_relo_rec_size`.
const ATTR: usize = 144;
/// First size of the log.
const LOG_FIRST: u64 = 64 << 10;
/// Largest size of the log; older kernels refuse 16 MiB and more.
const LOG_MAX: u64 = (16 << 20) - 16;

/// A program ready for the kernel.
#[derive(Debug, Clone)]
pub struct RawProgram {
    /// Name, of which the kernel keeps 15 characters.
    pub name: String,
    /// Type.
    pub prog_type: ProgType,
    /// Instructions, with fds and BTF ids in place.
    pub insns: Vec<Insn>,
    /// Licence.
    pub license: String,
    /// `BPF_F_*`.
    pub flags: u32,
    /// `expected_attach_type`.
    pub attach_type: u32,
    /// BTF id of what it attaches to, 0 for nothing.
    pub attach_btf_id: u32,
    /// fd of the module's BTF that id is of, 0 for vmlinux.
    pub attach_btf_fd: i32,
    /// fd of the program's own BTF.
    pub btf_fd: Option<i32>,
    /// `struct bpf_func_info[]` in the kernel's byte order, and how many.
    pub func_info: (Vec<u8>, u32),
    /// `struct bpf_line_info[]` likewise.
    pub line_info: (Vec<u8>, u32),
    /// fds by slot; slot 0 means vmlinux and is never looked at. Empty when no module is used.
    pub fd_array: Vec<i32>,
}

impl RawProgram {
    /// A program of this type with nothing but instructions and a GPL licence.
    pub fn new(name: &str, prog_type: ProgType, insns: Vec<Insn>) -> Self {
        Self {
            name: name.into(),
            prog_type,
            insns,
            license: "GPL".into(),
            flags: if prog_type == ProgType::Syscall { F_SLEEPABLE } else { 0 },
            attach_type: 0,
            attach_btf_id: 0,
            attach_btf_fd: 0,
            btf_fd: None,
            func_info: (Vec::new(), 0),
            line_info: (Vec::new(), 0),
            fd_array: Vec::new(),
        }
    }

    /// Adds the load to a batch, with a log of `log_len` bytes when `log_level` is not 0. Gives the log's address.
    pub(crate) fn load(&self, batch: &mut Batch, target: &Target, log_level: u32, log_len: u64) -> u64 {
        let endian = target.endian;
        let insns = batch.bytes(Insn::encode_all(endian, &self.insns));
        let license = batch.cstr(&self.license);
        let mut attr = Attr::new(endian, ATTR)
            .u32(0, self.prog_type.number())
            .u32(4, self.insns.len() as u32)
            .u64(8, insns)
            .u64(16, license)
            .u32(44, self.flags)
            .name(48, &self.name)
            .u32(68, self.attach_type)
            .u32(108, self.attach_btf_id)
            .fd(112, self.attach_btf_fd);
        if let Some(fd) = self.btf_fd {
            attr = attr.fd(72, fd);
            if self.func_info.1 > 0 {
                let at = batch.bytes(self.func_info.0.clone());
                attr = attr.u32(76, super::link::FUNC_INFO).u64(80, at).u32(88, self.func_info.1);
            }
            if self.line_info.1 > 0 {
                let at = batch.bytes(self.line_info.0.clone());
                attr = attr.u32(92, super::link::LINE_INFO).u64(96, at).u32(104, self.line_info.1);
            }
        }
        if !self.fd_array.is_empty() {
            let mut fds = Vec::new();
            self.fd_array.iter().for_each(|&fd| crate::btf::put_u32(endian, &mut fds, fd as u32));
            let at = batch.bytes(fds);
            attr = attr.u64(120, at);
        }
        let mut log = 0;
        if log_level != 0 {
            // Cleared: the kernel may write nothing, and that must read as nothing.
            log = batch.zeroed(log_len);
            attr = attr.u32(24, log_level).u32(28, log_len as u32).u64(32, log);
        }
        attr.call(batch, target.syscalls.bpf, cmd::PROG_LOAD);
        log
    }

    /// Bytes of arena the load needs besides the log.
    fn footprint(&self) -> u64 {
        let bytes = self.insns.len() * 8 + self.func_info.0.len() + self.line_info.0.len() + self.license.len();
        bytes as u64 + 4 * self.fd_array.len() as u64 + 1024
    }
}

/// How a load ended. A refusal is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadResult {
    /// The program's fd on the other side; whoever asked for it closes it.
    Loaded(i32),
    /// Refused.
    Refused {
        /// Positive errno.
        errno: i32,
        /// The verifier log; empty when the kernel wrote none.
        log: String,
    },
}

/// Loads a program: first without a log, since most are accepted; a refused one again with the log.
///
/// # Errors
/// When the other side is gone or the program does not fit its arena.
pub fn load_program(sys: &mut dyn Sys, program: &RawProgram, log_level: u32) -> Result<LoadResult, SysError> {
    let target = sys.target().clone();
    let mut batch = Batch::new(&target);
    program.load(&mut batch, &target, 0, 0);
    match result(&submit(sys, &batch)?, 0)? {
        Ok(fd) => Ok(LoadResult::Loaded(fd)),
        Err(errno) => explain(sys, program, errno, log_level),
    }
}

/// Repeats a refused load with a log. Should the kernel change its mind, that counts.
pub(crate) fn explain(
    sys: &mut dyn Sys,
    program: &RawProgram,
    errno: i32,
    log_level: u32,
) -> Result<LoadResult, SysError> {
    if log_level == 0 {
        return Ok(LoadResult::Refused { errno, log: String::new() });
    }
    let target = sys.target().clone();
    let most = LOG_MAX.min(target.arena_len.saturating_sub(program.footprint()));
    let mut len = LOG_FIRST.min(most);
    loop {
        let mut batch = Batch::new(&target);
        let at = program.load(&mut batch, &target, log_level, len);
        let replies = submit(sys, &batch)?;
        let refused = match result(&replies, 0)? {
            Ok(fd) => return Ok(LoadResult::Loaded(fd)),
            Err(ENOSPC) if errno != ENOSPC && len < most => {
                len = (len * 8).min(most);
                continue;
            }
            // The log is longer than there is room for: the refusal itself is known from the first load.
            Err(ENOSPC) => errno,
            Err(again) => again,
        };
        return Ok(LoadResult::Refused { errno: refused, log: read_log(sys, at, len)? });
    }
}

/// Reads a log of at most `len` bytes piece by piece up to its end: most are short, and a UART is slow.
fn read_log(sys: &mut dyn Sys, at: u64, len: u64) -> Result<String, SysError> {
    let (mut text, mut piece) = (Vec::new(), 2048);
    while (text.len() as u64) < len {
        let mut batch = Batch::new(sys.target());
        batch.peek(at + text.len() as u64, piece.min(len - text.len() as u64));
        let replies = submit(sys, &batch)?;
        let bytes = peeked(&replies, 0)?;
        let end = bytes.iter().position(|&b| b == 0);
        text.extend(&bytes[..end.unwrap_or(bytes.len())]);
        if end.is_some() || bytes.is_empty() {
            break;
        }
        piece *= 8;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
