//! [`Sys`] served by the kernel of this machine: for trying cases, and for tests of the loader where `bpf(2)` is allowed.
//!
//! The only part of the loader with `unsafe` in it. Batches work on an arena of this process; addresses outside it are
//! refused by pokes and peeks, and only calls that a loader needs are made at all.

use nix::libc;

use crate::arch::{Endian, SyscallNumbers, WordSize};
use crate::sys::{Batch, Op, Replies, Sys, SysError, Target};

/// Default size of the arena: room for the largest verifier log and more.
pub const ARENA: usize = 32 << 20;

/// The kernel of this machine.
#[derive(Debug)]
pub struct LocalSys {
    /// `u128` gives the alignment that [`Batch`] promises.
    arena: Box<[u128]>,
    target: Target,
}

impl LocalSys {
    /// With an arena of [`ARENA`] bytes.
    pub fn new() -> Self {
        Self::with_arena(ARENA)
    }

    /// With an arena of at least `bytes` bytes.
    pub fn with_arena(bytes: usize) -> Self {
        let mut arena = vec![0u128; bytes.div_ceil(16)].into_boxed_slice();
        let target = Target {
            endian: if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little },
            word: if cfg!(target_pointer_width = "32") { WordSize::Bits32 } else { WordSize::Bits64 },
            syscalls: numbers(),
            arena_base: arena.as_mut_ptr() as u64,
            arena_len: 16 * arena.len() as u64,
        };
        Self { arena, target }
    }

    /// Start and length in the arena, if it is inside.
    fn range(&self, at: u64, len: u64) -> Result<(usize, usize), SysError> {
        let end = at.checked_sub(self.target.arena_base).and_then(|from| from.checked_add(len));
        match end {
            Some(end) if end <= self.target.arena_len => Ok(((end - len) as usize, len as usize)),
            _ => Err(SysError::Protocol(format!("{len} bytes at {at:#x} are not in the arena"))),
        }
    }

    fn slice(&mut self, at: u64, len: u64) -> Result<&mut [u8], SysError> {
        let (from, len) = self.range(at, len)?;
        let base = self.arena.as_mut_ptr().cast::<u8>();
        // SAFETY: `range` checked that from..from+len is inside the arena, which is initialised, owned by self and
        // borrowed mutably for as long as the slice lives; any bytes are valid for u128 and u8.
        Ok(unsafe { std::slice::from_raw_parts_mut(base.add(from), len) })
    }

    fn syscall(&mut self, nr: u64, args: &[u64; 6]) -> Result<i64, SysError> {
        let n = &self.target.syscalls;
        if ![n.bpf, n.openat, n.close, n.read, n.write, n.newuname, n.getpid].contains(&nr) {
            return Err(SysError::Protocol(format!("call {nr} is not made on this machine")));
        }
        let a = args.map(|arg| arg as libc::c_long);
        // SAFETY: the calls above read and write only memory their arguments name, and batches are built by `Batch`, whose
        // addresses are in the arena; the arena is borrowed mutably, so nothing else looks at it during the call.
        let value = unsafe { libc::syscall(nr as libc::c_long, a[0], a[1], a[2], a[3], a[4], a[5]) };
        if value == -1 {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
            return Ok(-i64::from(errno));
        }
        Ok(value as i64)
    }
}

impl Default for LocalSys {
    fn default() -> Self {
        Self::new()
    }
}

impl Sys for LocalSys {
    fn target(&self) -> &Target {
        &self.target
    }

    fn submit(&mut self, batch: &Batch) -> Result<Replies, SysError> {
        let mut replies = Replies::default();
        for op in batch.ops() {
            match op {
                Op::Poke { at, bytes } => self.slice(*at, bytes.len() as u64)?.copy_from_slice(bytes),
                Op::Zero { at, len } => self.slice(*at, *len)?.fill(0),
                Op::Peek { at, len } => replies.peeks.push(self.slice(*at, *len)?.to_vec()),
                Op::Call { nr, args } => replies.calls.push(self.syscall(*nr, args)?),
            }
        }
        Ok(replies)
    }
}

fn numbers() -> SyscallNumbers {
    SyscallNumbers {
        bpf: libc::SYS_bpf as u64,
        openat: libc::SYS_openat as u64,
        close: libc::SYS_close as u64,
        read: libc::SYS_read as u64,
        lseek: libc::SYS_lseek as u64,
        write: libc::SYS_write as u64,
        mkdirat: libc::SYS_mkdirat as u64,
        mount: libc::SYS_mount as u64,
        memfd_create: libc::SYS_memfd_create as u64,
        finit_module: libc::SYS_finit_module as u64,
        newuname: libc::SYS_uname as u64,
        getpid: libc::SYS_getpid as u64,
        reboot: libc::SYS_reboot as u64,
    }
}
