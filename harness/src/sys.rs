//! System calls somewhere else: the one interface between the host's logic and the kernel under test.
//!
//! A [`Batch`] is a list of memory writes, system calls and memory reads, executed in order against the memory of a
//! process on the other side; [`Sys::submit`] carries it out. Two implementations exist: [`crate::guest`] sends it to
//! the agent in a guest, [`LocalSys`] runs it on the kernel of this machine. Nothing here knows what a call means.

use crate::arch::{Endian, SyscallNumbers, WordSize};

/// What the other side's process looks like: everything needed to lay out structures in its memory.
#[derive(Debug, Clone)]
pub struct Target {
    /// Byte order of the kernel under test.
    pub endian: Endian,
    /// Size of a pointer there. `union bpf_attr` carries pointers as 64 bits on every architecture.
    pub word: WordSize,
    /// System call numbers there.
    pub syscalls: SyscallNumbers,
    /// Address of the memory area batches may use, in the other process.
    pub arena_base: u64,
    /// Its length in bytes.
    pub arena_len: u64,
}

/// One step of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Copy bytes to an address.
    Poke {
        /// Absolute address in the other process.
        at: u64,
        /// What to write there.
        bytes: Vec<u8>,
    },
    /// Clear memory.
    Zero {
        /// Absolute address.
        at: u64,
        /// Bytes.
        len: u64,
    },
    /// Make a system call. On 32-bit targets the low halves of the arguments are used.
    Call {
        /// The number.
        nr: u64,
        /// The arguments, unused ones 0.
        args: [u64; 6],
    },
    /// Read memory back.
    Peek {
        /// Absolute address.
        at: u64,
        /// Bytes.
        len: u64,
    },
}

/// A list of operations with an allocator for the arena: every `bytes` and `zeroed` gets its own 16-byte aligned place.
/// Addresses are known while the batch is built, so structures that point to one another need no patching.
#[derive(Debug, Clone)]
pub struct Batch {
    ops: Vec<Op>,
    base: u64,
    len: u64,
    used: u64,
    overflow: bool,
}

impl Batch {
    /// An empty batch that allocates from the target's arena. A new batch starts at the beginning of the arena:
    /// nothing of an earlier batch may be relied on.
    pub fn new(target: &Target) -> Self {
        Self { ops: Vec::new(), base: target.arena_base, len: target.arena_len, used: 0, overflow: false }
    }

    /// Reserves `len` bytes without touching them and gives their address.
    pub fn reserve(&mut self, len: u64) -> u64 {
        let at = self.base + self.used;
        match self.used.checked_add(len).and_then(|n| n.checked_next_multiple_of(16)) {
            Some(used) if used <= self.len => self.used = used,
            _ => self.overflow = true,
        }
        at
    }

    /// Puts bytes into the arena and gives their address.
    pub fn bytes(&mut self, bytes: impl Into<Vec<u8>>) -> u64 {
        let bytes = bytes.into();
        let at = self.reserve(bytes.len() as u64);
        self.ops.push(Op::Poke { at, bytes });
        at
    }

    /// Puts a string and its NUL into the arena and gives its address.
    pub fn cstr(&mut self, text: &str) -> u64 {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(bytes)
    }

    /// Reserves `len` cleared bytes and gives their address.
    pub fn zeroed(&mut self, len: u64) -> u64 {
        let at = self.reserve(len);
        self.ops.push(Op::Zero { at, len });
        at
    }

    /// Adds a system call. Its result is the next element of [`Replies::calls`].
    pub fn call(&mut self, nr: u64, args: &[u64]) {
        let mut six = [0; 6];
        six[..args.len()].copy_from_slice(args);
        self.ops.push(Op::Call { nr, args: six });
    }

    /// Reads `len` bytes at `at` when the batch gets here. They are the next element of [`Replies::peeks`].
    pub fn peek(&mut self, at: u64, len: u64) {
        self.ops.push(Op::Peek { at, len });
    }

    /// The operations in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Whether more was reserved than the arena holds. Such a batch must not be submitted.
    pub fn overflowed(&self) -> bool {
        self.overflow
    }
}

/// What came back from a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replies {
    /// Results of the calls in order: a negative number is `-errno`, as the kernel returns it.
    pub calls: Vec<i64>,
    /// The memory reads in order.
    pub peeks: Vec<Vec<u8>>,
}

/// Why a batch was not carried out. Everything here is infrastructure: no system call's own error is.
#[derive(Debug, thiserror::Error)]
pub enum SysError {
    /// The batch wants more memory than the other side has.
    #[error("batch needs more than the {0} bytes of the agent's arena")]
    ArenaFull(u64),
    /// The guest is gone or does not answer; the error says how it ended.
    #[error(transparent)]
    Guest(#[from] crate::guest::GuestError),
    /// The other side broke the protocol.
    #[error("protocol error on the channel: {0}")]
    Protocol(String),
}

/// A kernel that can be asked to make system calls.
pub trait Sys {
    /// What the other side looks like.
    fn target(&self) -> &Target;

    /// Carries out a batch and waits for its results.
    ///
    /// # Errors
    /// When the other side is gone, silent past its deadline, or answers nonsense.
    fn submit(&mut self, batch: &Batch) -> Result<Replies, SysError>;

    /// Makes one call that needs no memory.
    ///
    /// # Errors
    /// As [`Sys::submit`].
    fn call(&mut self, nr: u64, args: &[u64]) -> Result<i64, SysError> {
        let mut batch = Batch::new(self.target());
        batch.call(nr, args);
        one_call(&self.submit(&batch)?)
    }
}

/// The result of a batch's first call.
///
/// # Errors
/// [`SysError::Protocol`] when there is none.
pub fn one_call(replies: &Replies) -> Result<i64, SysError> {
    replies.calls.first().copied().ok_or_else(|| SysError::Protocol("no call result in the reply".into()))
}
