//! What can go wrong between an object file and a running program.

use super::section::KNOWN;
use crate::btf::BtfError;
use crate::sys::SysError;

/// Why a BPF object cannot be used. All of these are faults of the file, found without a kernel.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Not an ELF file that can be read.
    #[error("cannot read the object as ELF: {0}; compile the case with clang --target=bpfel or bpfeb")]
    Elf(#[from] object::read::Error),
    /// ELF, but for another machine.
    #[error("the object is no BPF object (ELF machine {0}, expected 247); compile with clang --target=bpfel or bpfeb")]
    Machine(u16),
    /// No types.
    #[error("the object has no {0} section; compile with -g")]
    NoBtf(&'static str),
    /// Its types are broken.
    #[error("the object's {section} section: {source}")]
    Btf {
        /// `.BTF` or `.BTF.ext`.
        section: &'static str,
        /// What is wrong.
        source: BtfError,
    },
    /// A part of the file makes no sense.
    #[error("{section}: {what}")]
    Malformed {
        /// The section.
        section: String,
        /// What is wrong.
        what: String,
    },
    /// A program in a section whose name says nothing.
    #[error("program {program}: section \"{section}\" names no known program type (known: {KNOWN})")]
    UnknownSection {
        /// The program.
        program: String,
        /// The section.
        section: String,
    },
    /// A map definition that cannot be understood.
    #[error("map {map}: {what}")]
    Map {
        /// The map.
        map: String,
        /// What is wrong.
        what: String,
    },
    /// A reference that cannot be resolved.
    #[error("{place}: {what}")]
    Relocation {
        /// Function and instruction, or section and offset.
        place: String,
        /// What is wrong.
        what: String,
    },
}

impl ObjectError {
    pub(crate) fn malformed(section: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Malformed { section: section.into(), what: what.into() }
    }

    pub(crate) fn map(map: &str, what: impl Into<String>) -> Self {
        Self::Map { map: map.into(), what: what.into() }
    }
}

/// Why a program did not get into the kernel.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object has no such program.
    #[error("the object has no program {0}")]
    NoProgram(String),
    /// A kfunc, or an object in the kernel, that exists neither in vmlinux nor in a module that was given.
    #[error("{0} exists neither in the kernel's BTF nor in that of a loaded module")]
    KfuncAbsent(String),
    /// What the program attaches to is not there.
    #[error("program {program}: the kernel's BTF has no function or tracepoint {target} to attach to")]
    NoAttachTarget {
        /// The program.
        program: String,
        /// The function or tracepoint.
        target: String,
    },
    /// The kernel has no BTF, and the program needs it.
    #[error("program {program} needs the kernel's BTF for {what}, and the kernel has none")]
    NoKernelBtf {
        /// The program.
        program: String,
        /// What it is needed for.
        what: String,
    },
    /// The kernel refused the program.
    #[error("the kernel refused program {program} (errno {errno}){}", last_line(log))]
    Refused {
        /// The program.
        program: String,
        /// Positive errno of `BPF_PROG_LOAD`.
        errno: i32,
        /// The verifier log, whole; empty when the kernel gave none.
        log: String,
    },
    /// The kernel refused something before the program: a map, the object's BTF, an attachment.
    #[error("the kernel refused {what} (errno {errno}){}", last_line(log))]
    Setup {
        /// What it was.
        what: String,
        /// Positive errno.
        errno: i32,
        /// The kernel's log when there is one.
        log: String,
    },
    /// The object cannot be linked.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A CO-RE relocation that makes no sense.
    #[error("{place}: CO-RE relocation: {what}")]
    Core {
        /// Function and instruction.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// The other side is gone.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// The last line of a verifier log that says something, ready to be appended to a sentence.
fn last_line(log: &str) -> String {
    let noise = |line: &&str| !line.is_empty() && !line.starts_with("processed ");
    log.lines().map(str::trim).rfind(noise).map_or_else(String::new, |line| format!(": {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_matters_is_shown() {
        let log = "0: R1=ctx() R10=fp0\nR1 is not a scalar\nprocessed 3 insns (limit 1000000)\n".to_string();
        let error = LoadError::Refused { program: "p".into(), errno: 22, log };
        assert_eq!(error.to_string(), "the kernel refused program p (errno 22): R1 is not a scalar");
    }
}
