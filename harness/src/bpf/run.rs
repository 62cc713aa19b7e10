//! `BPF_PROG_TEST_RUN`, with inputs written before and observations read after, in one round trip.

use super::annotations::INPUTS;
use super::attr::{Attr, cmd, peeked, result, submit};
use super::load::{Loaded, LoadedMap, update};
use super::section::ProgType;
use crate::btf::{at_u32, at_u64, put_u64};
use crate::sys::{Batch, Sys, SysError, Target};

/// The section `kfunc_case.h` puts `input[]` into.
pub const INPUT: &str = ".data.input";
/// The section `kfunc_case.h` puts `observed[]` into.
pub const OBSERVED: &str = ".data.observed";
/// Bytes of context a SYSCALL program gets by default: room for eight numbers, and the kernel copies it back.
const SYSCALL_CTX: usize = 64;
/// Bytes of context a raw tracepoint gets by default: `MAX_BPF_FUNC_ARGS` (12) numbers.
const RAW_TP_CTX: usize = 96;
/// Bytes of the test packet.
const PACKET: usize = 128;
/// Room for a packet that grew.
const PACKET_OUT: u64 = 256;

/// What a run is given. The default fits every program type.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// (index, value) of `input[]`; the rest stays as the object has it.
    pub inputs: Vec<(u32, u64)>,
    /// Context; by default zeros for SYSCALL and RAW_TRACEPOINT, and none for others.
    pub ctx: Option<Vec<u8>>,
    /// Packet; by default [`test_packet`] for types that take one.
    pub data: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunResult {
    /// errno of the run, positive; 0 when it was run.
    pub errno: i32,
    /// What the program returned.
    pub retval: u32,
    /// Context afterwards (SYSCALL only).
    pub ctx: Vec<u8>,
    /// Packet afterwards (SCHED_CLS, XDP).
    pub data: Vec<u8>,
    /// Nanoseconds, as the kernel measured them; 0 where it does not.
    pub duration_ns: u32,
    /// `observed[]`; empty when the program has none.
    pub observed: Vec<u64>,
}

/// 128 bytes, byte `i` being `i`, so that a case can know every one of them.
pub fn test_packet() -> Vec<u8> {
    (0..PACKET as u8).collect()
}

/// Offsets in `union bpf_attr` for `BPF_PROG_TEST_RUN`.
mod field {
    pub const RETVAL: u64 = 4;
    pub const DATA_SIZE_OUT: u64 = 12;
    pub const DURATION: u64 = 36;
    pub const END: usize = 80;
}

impl Loaded {
    /// Runs the program once.
    ///
    /// # Errors
    /// When the other side is gone. That the kernel refuses the run is in the result.
    pub fn run(&self, sys: &mut dyn Sys, options: &RunOptions) -> Result<RunResult, SysError> {
        let target = sys.target().clone();
        let mut batch = Batch::new(&target);
        let mut calls = 0;
        if let Some(map) = self.section(INPUT).filter(|_| !options.inputs.is_empty()) {
            update(&mut batch, &target, map.fd, &[0; 4], &self.input_bytes(map, &options.inputs));
            calls += 1;
        }
        let run = self.test_run(&mut batch, &target, options);
        let observed = self.section(OBSERVED);
        if let Some(map) = observed {
            lookup(&mut batch, &target, map);
        }
        let replies = submit(sys, &batch)?;
        if calls == 1
            && let Err(errno) = result(&replies, 0)?
        {
            return Err(SysError::Protocol(format!("writing {INPUT} failed with errno {errno}")));
        }
        let errno = result(&replies, calls)?.err().unwrap_or(0);
        let attr = peeked(&replies, 0)?;
        let number = |at: u64| at_u32(target.endian, attr, at as usize).unwrap_or(0);
        let mut next = 1;
        let mut part = |there: bool| -> Result<Vec<u8>, SysError> {
            if !there {
                return Ok(Vec::new());
            }
            next += 1;
            Ok(peeked(&replies, next - 1)?.to_vec())
        };
        let ctx = part(run.ctx)?;
        let mut data = part(run.data)?;
        data.truncate(if errno == 0 { number(field::DATA_SIZE_OUT) as usize } else { 0 });
        let observed = match observed {
            Some(_) => {
                if let Err(errno) = result(&replies, calls + 1)? {
                    return Err(SysError::Protocol(format!("reading {OBSERVED} failed with errno {errno}")));
                }
                part(true)?.chunks_exact(8).filter_map(|c| at_u64(target.endian, c, 0)).collect()
            }
            None => Vec::new(),
        };
        Ok(RunResult {
            errno,
            retval: number(field::RETVAL),
            ctx,
            data,
            duration_ns: number(field::DURATION),
            observed,
        })
    }

    fn input_bytes(&self, map: &LoadedMap, inputs: &[(u32, u64)]) -> Vec<u8> {
        let mut bytes = map.initial.clone();
        bytes.resize((8 * INPUTS as usize).max(map.value_size as usize), 0);
        for &(index, value) in inputs {
            let mut word = Vec::new();
            put_u64(self.endian, &mut word, value);
            let at = 8 * index as usize;
            if let Some(place) = bytes.get_mut(at..at + 8) {
                place.copy_from_slice(&word);
            }
        }
        bytes.truncate(map.value_size as usize);
        bytes
    }

    fn test_run(&self, batch: &mut Batch, target: &Target, options: &RunOptions) -> Outputs {
        let mut attr = Attr::new(target.endian, field::END).fd(0, self.fd);
        let (ctx, data) = match self.spec.prog_type {
            ProgType::Syscall => (Some(options.ctx.clone().unwrap_or_else(|| vec![0; SYSCALL_CTX])), None),
            ProgType::RawTracepoint => (Some(options.ctx.clone().unwrap_or_else(|| vec![0; RAW_TP_CTX])), None),
            ProgType::Tracing => (None, None),
            ProgType::SchedCls | ProgType::Xdp | ProgType::SocketFilter | ProgType::CgroupSkb => {
                (options.ctx.clone(), Some(options.data.clone().unwrap_or_else(test_packet)))
            }
        };
        // A SYSCALL program's context is copied back over what it was given.
        let mut ctx_back = None;
        if let Some(ctx) = ctx.filter(|ctx| !ctx.is_empty()) {
            let len = ctx.len() as u64;
            let at = batch.bytes(ctx);
            attr = attr.u32(40, len as u32).u64(48, at);
            ctx_back = (self.spec.prog_type == ProgType::Syscall).then_some((at, len));
        }
        let mut out_at = 0;
        if let Some(data) = data {
            let len = data.len() as u32;
            let at = batch.bytes(data);
            out_at = batch.zeroed(PACKET_OUT);
            attr = attr.u32(8, len).u32(12, PACKET_OUT as u32).u64(16, at).u64(24, out_at).u32(32, 1);
        }
        let at = attr.call(batch, target.syscalls.bpf, cmd::PROG_TEST_RUN);
        batch.peek(at, field::END as u64);
        if let Some((at, len)) = ctx_back {
            batch.peek(at, len);
        }
        if out_at != 0 {
            batch.peek(out_at, PACKET_OUT);
        }
        Outputs { ctx: ctx_back.is_some(), data: out_at != 0 }
    }

    pub(super) fn section(&self, name: &str) -> Option<&LoadedMap> {
        self.maps.iter().find(|map| map.is_data && map.name == name)
    }

    /// A data section's bytes. `None` when the program uses no such section.
    ///
    /// # Errors
    /// When the other side is gone or refuses the read.
    pub fn read_section(&self, sys: &mut dyn Sys, name: &str) -> Result<Option<Vec<u8>>, SysError> {
        let Some(map) = self.section(name) else { return Ok(None) };
        let target = sys.target().clone();
        let mut batch = Batch::new(&target);
        lookup(&mut batch, &target, map);
        let replies = submit(sys, &batch)?;
        match result(&replies, 0)? {
            Ok(_) => Ok(Some(peeked(&replies, 0)?.to_vec())),
            Err(errno) => Err(SysError::Protocol(format!("reading {name} failed with errno {errno}"))),
        }
    }

    /// Overwrites a data section. Gives whether the program uses it.
    ///
    /// # Errors
    /// When the other side is gone or refuses the write.
    pub fn write_section(&self, sys: &mut dyn Sys, name: &str, bytes: &[u8]) -> Result<bool, SysError> {
        let Some(map) = self.section(name) else { return Ok(false) };
        let mut value = bytes.to_vec();
        value.resize(map.value_size as usize, 0);
        let target = sys.target().clone();
        let mut batch = Batch::new(&target);
        update(&mut batch, &target, map.fd, &[0; 4], &value);
        match result(&submit(sys, &batch)?, 0)? {
            Ok(_) => Ok(true),
            Err(errno) => Err(SysError::Protocol(format!("writing {name} failed with errno {errno}"))),
        }
    }
}

/// Which memory reads follow that of the attributes.
struct Outputs {
    ctx: bool,
    data: bool,
}

/// Adds `BPF_MAP_LOOKUP_ELEM` of a data section to a batch, and the read of the value.
fn lookup(batch: &mut Batch, target: &Target, map: &LoadedMap) {
    let key = batch.bytes([0; 4]);
    let value = batch.zeroed(u64::from(map.value_size).next_multiple_of(8));
    let attr = Attr::new(target.endian, 32).fd(0, map.fd).u64(8, key).u64(16, value);
    attr.call(batch, target.syscalls.bpf, cmd::MAP_LOOKUP_ELEM);
    batch.peek(value, u64::from(map.value_size));
}
