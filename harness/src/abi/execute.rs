//! One program with its calls: emitted, loaded, run once.

use super::emit::{self, Place};
use super::lab::{HARDEN, Lab};
use super::oracle::Seen;
use super::schedule::Calls;
use crate::bpf::LoadResult;
use crate::guest::files;
use crate::sys::{Sys, SysError};

/// How a program went.
pub(super) enum Executed {
    Refused { errno: i32, log: String },
    NotRun { errno: i32 },
    Ran(Seen),
}

/// Emits, loads and runs.
pub(super) fn execute(
    sys: &mut dyn Sys,
    lab: &Lab,
    calls: &Calls,
    digest: Option<&mut sha2::Sha256>,
) -> Result<Executed, SysError> {
    let env = emit::Env { deep_stack: true, ..lab.env };
    let program = emit::emit(&calls.checks, &lab.kfuncs, calls.place, &env);
    if let Some(digest) = digest {
        // Without what differs from guest to guest.
        let fixed = emit::Env { rows: 0, programs: 0, ..env };
        let same = emit::emit(&calls.checks, &lab.kfuncs, calls.place, &fixed);
        sha2::Digest::update(digest, crate::bpf::insn::Insn::encode_all(sys.target().endian, &same.insns));
    }
    if calls.hardened
        && let Err(errno) = files::write(sys, HARDEN, "2")?
    {
        return Ok(Executed::Refused { errno, log: format!("{HARDEN} cannot be written") });
    }
    let result = load_and_run(sys, lab, calls, &program, &env);
    if calls.hardened {
        let _ = files::write(sys, HARDEN, "0")?;
    }
    result
}

fn load_and_run(
    sys: &mut dyn Sys,
    lab: &Lab,
    calls: &Calls,
    program: &emit::Emitted,
    env: &emit::Env,
) -> Result<Executed, SysError> {
    let mut fds = Vec::new();
    let refused = |errno, log| Ok(Executed::Refused { errno, log });
    let fd = match lab.load(sys, program, calls.prog_type)? {
        LoadResult::Loaded(fd) => fd,
        LoadResult::Refused { errno, log } => return refused(errno, log),
    };
    fds.push(fd);
    let mut entry = fd;
    if matches!(calls.place, Place::TailCalled | Place::TailCalledFromSubprogram) {
        if let Err(errno) = lab.aim_tail_call(sys, fd)? {
            return refused(errno, "the program cannot be put into a map of programs".into());
        }
        let from_function = calls.place == Place::TailCalledFromSubprogram;
        let program = emit::emit_tail_call(from_function, None, env);
        match lab.load(sys, &program, calls.prog_type)? {
            LoadResult::Loaded(fd) => entry = fd,
            LoadResult::Refused { errno, log } => return refused(errno, log),
        }
        fds.push(entry);
    }
    let rows = calls.checks.len() + usize::from(calls.place.has_outer_row());
    let records = calls.checks.len() * calls.place.repeats();
    let ran = lab.run(sys, entry, calls.prog_type, rows, records)?;
    for fd in fds {
        files::close(sys, fd as u64)?;
    }
    Ok(match ran {
        Ok(seen) => Executed::Ran(seen),
        Err(errno) => Executed::NotRun { errno },
    })
}
