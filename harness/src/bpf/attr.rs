//! `union bpf_attr` by hand: fields at the offsets of `include/uapi/linux/bpf.h`, in the byte order of the kernel under
//! test. Pointers are 64 bits on every architecture. Fields a kernel does not know are accepted as long as they are 0.

use crate::arch::Endian;
use crate::sys::{Batch, Replies, Sys, SysError};

/// Commands (`enum bpf_cmd`).
#[allow(missing_docs)]
pub mod cmd {
    pub const MAP_CREATE: u64 = 0;
    pub const MAP_LOOKUP_ELEM: u64 = 1;
    pub const MAP_UPDATE_ELEM: u64 = 2;
    pub const PROG_LOAD: u64 = 5;
    pub const PROG_TEST_RUN: u64 = 10;
    pub const OBJ_GET_INFO_BY_FD: u64 = 15;
    pub const RAW_TRACEPOINT_OPEN: u64 = 17;
    pub const BTF_LOAD: u64 = 18;
    pub const BTF_GET_FD_BY_ID: u64 = 19;
    pub const MAP_FREEZE: u64 = 22;
    pub const BTF_GET_NEXT_ID: u64 = 23;
}

/// `ENOENT`, the same on every architecture Linux has.
pub(crate) const ENOENT: i32 = 2;
/// `ENOSPC`.
pub(crate) const ENOSPC: i32 = 28;

/// Attributes being filled in.
#[derive(Debug, Clone)]
pub struct Attr {
    endian: Endian,
    bytes: Vec<u8>,
}

impl Attr {
    /// `len` zero bytes.
    pub fn new(endian: Endian, len: usize) -> Self {
        Self { endian, bytes: vec![0; len] }
    }

    /// Sets the 32-bit field at `at`.
    #[must_use]
    pub fn u32(self, at: usize, value: u32) -> Self {
        let bytes = match self.endian {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        };
        self.raw(at, &bytes)
    }

    /// Sets the 32-bit field at `at` to a file descriptor.
    #[must_use]
    pub fn fd(self, at: usize, fd: i32) -> Self {
        self.u32(at, fd as u32)
    }

    /// Sets the 64-bit field at `at`.
    #[must_use]
    pub fn u64(self, at: usize, value: u64) -> Self {
        let bytes = match self.endian {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        };
        self.raw(at, &bytes)
    }

    /// Sets a name of at most 15 characters, with what the kernel refuses (`bpf_obj_name_cpy`) replaced.
    #[must_use]
    pub fn name(self, at: usize, name: &str) -> Self {
        let fits = |c: u8| if c.is_ascii_alphanumeric() || c == b'_' || c == b'.' { c } else { b'_' };
        let name: Vec<u8> = name.bytes().take(15).map(fits).collect();
        self.raw(at, &name)
    }

    fn raw(mut self, at: usize, bytes: &[u8]) -> Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The bytes, for a structure that is laid out like attributes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Puts the attributes into the batch and calls `bpf(cmd, …)`. Gives their address.
    pub fn call(self, batch: &mut Batch, bpf: u64, cmd: u64) -> u64 {
        let len = self.bytes.len() as u64;
        let at = batch.bytes(self.bytes);
        batch.call(bpf, &[cmd, at, len]);
        at
    }
}

/// Submits a batch unless it is too big for the other side.
pub(crate) fn submit(sys: &mut dyn Sys, batch: &Batch) -> Result<Replies, SysError> {
    if batch.overflowed() {
        return Err(SysError::ArenaFull(sys.target().arena_len));
    }
    sys.submit(batch)
}

/// The result of call `index`: what it returned, or its errno (positive).
pub(crate) fn result(replies: &Replies, index: usize) -> Result<Result<i32, i32>, SysError> {
    let value = replies.calls.get(index).copied();
    let value = value.ok_or_else(|| SysError::Protocol(format!("no result of call {index} in the reply")))?;
    let number = i32::try_from(value).map_err(|_| SysError::Protocol(format!("bpf() returned {value:#x}")))?;
    Ok(if number < 0 { Err(-number) } else { Ok(number) })
}

/// Memory read `index`.
pub(crate) fn peeked(replies: &Replies, index: usize) -> Result<&[u8], SysError> {
    let bytes = replies.peeks.get(index).map(Vec::as_slice);
    bytes.ok_or_else(|| SysError::Protocol(format!("no memory read {index} in the reply")))
}
