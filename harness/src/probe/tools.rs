//! What probes are made of: maps, loads, runs, and the program as the verifier left it.

use super::held::Found;
use super::test_run;
use crate::bpf::attr::{Attr, cmd, peeked, result, submit};
use crate::bpf::insn::{INSN_BYTES, Insn};
use crate::bpf::{self, LoadResult, RawProgram};
use crate::btf::at_u32;
use crate::guest::files;
use crate::judge::refusal;
use crate::model::{Observation, Outcome};
use crate::sys::{Batch, Sys, SysError};

/// `EINVAL`, the same on every architecture Linux has.
pub(super) const EINVAL: i32 = 22;
/// `EACCES`.
pub(super) const EACCES: i32 = 13;
/// `EOPNOTSUPP`; another number on mips, parisc and sparc, of which none is here.
pub(super) const EOPNOTSUPP: i32 = 95;

/// A map to be created. Without BTF, but for [`MapOf::value_btf`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MapOf {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes of a key.
    pub key: u32,
    /// Bytes of a value.
    pub value: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// `map_extra`.
    pub extra: u64,
    /// fd of a BTF object, and the types of key and value in it.
    pub value_btf: Option<(i32, u32, u32)>,
}

impl MapOf {
    /// Creates it with one entry: its fd, or the errno.
    pub(super) fn create(self, sys: &mut dyn Sys) -> Result<Result<i32, i32>, SysError> {
        let target = sys.target().clone();
        let mut batch = Batch::new(&target);
        let mut attr = Attr::new(target.endian, 72)
            .u32(0, self.kind)
            .u32(4, self.key)
            .u32(8, self.value)
            .u32(12, 1)
            .u32(16, self.flags)
            .u64(64, self.extra);
        if let Some((fd, key, value)) = self.value_btf {
            attr = attr.fd(48, fd).u32(52, key).u32(56, value);
        }
        attr.call(&mut batch, target.syscalls.bpf, cmd::MAP_CREATE);
        result(&submit(sys, &batch)?, 0)
    }
}

/// Puts a 32-bit value, a program's fd say, into entry 0 of a map: 0 or the errno.
pub(super) fn set(sys: &mut dyn Sys, map: i32, value: i32) -> Result<i32, SysError> {
    let target = sys.target().clone();
    let mut batch = Batch::new(&target);
    let key = batch.zeroed(4);
    let mut bytes = Vec::new();
    crate::btf::put_u32(target.endian, &mut bytes, value.cast_unsigned());
    let value = batch.bytes(bytes);
    Attr::new(target.endian, 32).fd(0, map).u64(8, key).u64(16, value).call(
        &mut batch,
        target.syscalls.bpf,
        cmd::MAP_UPDATE_ELEM,
    );
    Ok(result(&submit(sys, &batch)?, 0)?.err().unwrap_or(0))
}

/// The low half of the 64-bit value in entry 0 of a map; the errno when it cannot be read.
pub(super) fn get(sys: &mut dyn Sys, map: i32) -> Result<Result<u32, i32>, SysError> {
    let target = sys.target().clone();
    let mut batch = Batch::new(&target);
    let key = batch.zeroed(4);
    let value = batch.zeroed(8);
    Attr::new(target.endian, 32).fd(0, map).u64(8, key).u64(16, value).call(
        &mut batch,
        target.syscalls.bpf,
        cmd::MAP_LOOKUP_ELEM,
    );
    batch.peek(value, 8);
    let replies = submit(sys, &batch)?;
    if let Err(errno) = result(&replies, 0)? {
        return Ok(Err(errno));
    }
    let low = if target.endian == crate::arch::Endian::Big { 4 } else { 0 };
    Ok(Ok(at_u32(target.endian, peeked(&replies, 0)?, low).unwrap_or(0)))
}

/// Closes a descriptor.
pub(super) fn close(sys: &mut dyn Sys, fd: i32) -> Result<(), SysError> {
    files::close(sys, u64::from(fd.cast_unsigned()))
}

/// Loads a program and files how that went. Its fd when it was accepted.
pub(super) fn load(sys: &mut dyn Sys, program: &RawProgram, seen: &mut Observation) -> Result<Option<i32>, SysError> {
    Ok(match bpf::load_program(sys, program, 1)? {
        LoadResult::Loaded(fd) => {
            seen.load_errno = Some(0);
            Some(fd)
        }
        LoadResult::Refused { errno, log } => {
            seen.load_errno = Some(errno);
            seen.verifier_log = log;
            None
        }
    })
}

/// Runs a program that was loaded: [`Found::There`] when it returns what it must.
pub(super) fn run(
    sys: &mut dyn Sys,
    program: &RawProgram,
    fd: i32,
    due: u32,
    seen: &mut Observation,
) -> Result<Found, SysError> {
    let (errno, retval) = test_run(sys, program, fd)?;
    seen.run_errno = Some(errno);
    seen.retval = (errno == 0).then_some(retval);
    Ok(match errno {
        0 if retval == due => Found::There,
        0 => Found::Else(Outcome::WrongValue {
            what: "return value".into(),
            expected: due.to_string(),
            got: retval.to_string(),
        }),
        _ => Found::Else(Outcome::Rejected { errno, line: "accepted, but it could not be run".into() }),
    })
}

/// Loads, runs and closes a program. `refused` says which refusal means that there is no support.
pub(super) fn try_program(
    sys: &mut dyn Sys,
    program: &RawProgram,
    due: u32,
    seen: &mut Observation,
    refused: &Refused<'_>,
) -> Result<Found, SysError> {
    let Some(fd) = load(sys, program, seen)? else { return Ok(refused.what(seen)) };
    let found = run(sys, program, fd, due, seen)?;
    close(sys, fd)?;
    Ok(found)
}

/// Refusals that mean that a capability is absent; any other is something else.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refused<'a> {
    /// errno and a part of a log line, one of which must come.
    pub due: &'a [(i32, &'a str)],
    /// The kernel is older than the question: any EINVAL will do, since it takes the program for nonsense.
    pub too_old: bool,
}

impl Refused<'_> {
    /// What the refusal in an observation comes to.
    pub(super) fn what(&self, seen: &Observation) -> Found {
        let errno = seen.load_errno.unwrap_or(0);
        let line =
            |text: &str| seen.verifier_log.lines().find(|line| line.contains(text)).map(|line| line.trim().to_owned());
        let due = self.due.iter().filter(|(due, _)| *due == errno).find_map(|(_, text)| line(text));
        let other = refusal(errno, &seen.verifier_log);
        match (due, other) {
            (Some(line), _) => Found::Absent(line),
            (None, Outcome::Rejected { errno: EINVAL, line }) if self.too_old => {
                let line = if line.is_empty() { "EINVAL".to_owned() } else { line };
                Found::Absent(format!("the kernel is older than this: {line}"))
            }
            (None, other) => Found::Else(other),
        }
    }
}

/// The program as the verifier left it, calls and maps made readable again (kernel/bpf/syscall.c,
/// `bpf_insn_prepare_dump`); `None` when the kernel does not give it away.
pub(super) fn translated(sys: &mut dyn Sys, program: i32) -> Result<Option<Vec<Insn>>, SysError> {
    /// `struct bpf_prog_info` up to `xlated_prog_insns`; lengths are at 16 and 20, pointers at 24 and 32.
    const INFO: usize = 40;
    /// Room for the small programs of probes.
    const ROOM: u32 = 256 * INSN_BYTES as u32;
    let target = sys.target().clone();
    let mut batch = Batch::new(&target);
    let code = batch.zeroed(u64::from(ROOM));
    let info = batch.bytes(Attr::new(target.endian, INFO).u32(20, ROOM).u64(32, code).into_bytes());
    let attr = Attr::new(target.endian, 16).fd(0, program).u32(4, INFO as u32).u64(8, info);
    attr.call(&mut batch, target.syscalls.bpf, cmd::OBJ_GET_INFO_BY_FD);
    batch.peek(info, INFO as u64);
    batch.peek(code, u64::from(ROOM));
    let replies = submit(sys, &batch)?;
    if result(&replies, 0)?.is_err() {
        return Ok(None);
    }
    let length = at_u32(target.endian, peeked(&replies, 0)?, 20).unwrap_or(0).min(ROOM) as usize;
    let bytes = peeked(&replies, 1)?;
    let insns: Vec<Insn> =
        (0..length).step_by(INSN_BYTES).map_while(|at| Insn::decode(target.endian, bytes, at)).collect();
    Ok((!insns.is_empty()).then_some(insns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_due_refusal_means_absence() {
        let refused = Refused { due: &[(EOPNOTSUPP, "not supported yet"), (EACCES, "Too large")], too_old: false };
        let what = |errno, log: &str, too_old| {
            let seen = Observation { load_errno: Some(errno), verifier_log: log.into(), ..Observation::default() };
            Refused { too_old, ..refused }.what(&seen)
        };
        assert_eq!(
            what(EOPNOTSUPP, "0: r1\nx not supported yet\n", false),
            Found::Absent("x not supported yet".into())
        );
        assert!(matches!(what(EINVAL, "x not supported yet", false), Found::Else(_)), "another errno");
        assert!(matches!(what(EACCES, "x not supported yet", false), Found::Else(_)), "another one's errno");
        assert!(matches!(what(EINVAL, "unknown opcode e5", false), Found::Else(_)));
        assert!(matches!(what(EINVAL, "unknown opcode e5", true), Found::Absent(_)));
        assert!(matches!(what(EACCES, "R1 is not a scalar", true), Found::Else(_)));
    }
}
