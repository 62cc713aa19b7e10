//! What `make` says while it builds a kernel: how far it is, and what went wrong first. Pure.

/// Whether a line reports a step (`  CC      kernel/bpf/core.o`), the unit in which progress is counted.
pub(crate) fn is_step(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("  ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase())) else {
        return false;
    };
    let command = rest.split(' ').next().unwrap_or_default();
    command.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && !rest[command.len()..].trim_start().is_empty()
}

/// The first line that says what is wrong, as against those that only say that something is.
///
/// A compiler's or linker's `error:` comes first in time and says most. A `*** …` of the build system itself counts when
/// it has words of its own; `make: *** [x.o] Error 1` only reports what was said before, and is the last resort.
pub(crate) fn first_error(log: &str) -> Option<String> {
    let mut words = None;
    let mut report = None;
    for (index, line) in log.lines().enumerate() {
        if is_diagnostic(line) {
            return Some(with_detail(log, index, line));
        }
        if let Some((_, rest)) = line.split_once("*** ") {
            let slot = if rest.starts_with('[') || rest.starts_with("Waiting for") { &mut report } else { &mut words };
            slot.get_or_insert((index, line));
        }
    }
    words.map(|(index, line)| with_detail(log, index, line)).or(report.map(|(_, line)| line.trim().to_owned()))
}

fn is_diagnostic(line: &str) -> bool {
    const MARKS: [&str; 10] = [
        " error: ",
        "fatal error: ",
        "ld.lld: error:",
        "undefined reference to",
        "ERROR: modpost:",
        "FAILED: ",
        "No space left on device",
        "Encountered error while encoding BTF",
        "command not found",
        ": not found",
    ];
    // A configuration check that greps for an error prints it, too; Kconfig's own lines begin with a `#`.
    !line.starts_with('#') && (MARKS.iter().any(|mark| line.contains(mark)) || line.starts_with("error: "))
}

/// The line, and the one or two after it that a `***` block or a diagnostic explains itself with.
fn with_detail(log: &str, index: usize, line: &str) -> String {
    let mut text = line.trim().trim_start_matches("*** ").to_owned();
    if line.contains("*** ") {
        for more in log.lines().skip(index + 1).take(4) {
            match more.trim().strip_prefix("***").map(str::trim) {
                Some(more) if !more.is_empty() && !more.starts_with('[') => {
                    text.push_str("; ");
                    text.push_str(more);
                }
                Some("") => {}
                _ => break,
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_from_other_lines() {
        for line in [
            "  CC      kernel/bpf/core.o",
            "  CC [M]  net/netfilter/nf_conntrack_core.o",
            "  LD      vmlinux",
            "  HOSTCC  scripts/basic/fixdep",
            "  BTFIDS  vmlinux",
            "  VDSO32  a.so",
        ] {
            assert!(is_step(line), "{line}");
        }
        for line in [
            "make[1]: Entering directory '/x'",
            "kernel/x.c:1:2: error: no",
            "",
            "  note: x",
            "  Kernel: x is ready",
            "  CC",
        ] {
            assert!(!is_step(line), "{line}");
        }
    }

    #[test]
    fn the_compiler_is_believed_before_make() {
        let log = "  CC      a.o\n  CC      b.o\n../arch/x/net/jit.c:7:2: error: use of undeclared identifier 'r'\n    7 | r\n\
                   1 error generated.\nmake[3]: *** [scripts/Makefile.build:287: b.o] Error 1\nmake: *** [Makefile:1: all] Error 2\n";
        assert_eq!(first_error(log).unwrap(), "../arch/x/net/jit.c:7:2: error: use of undeclared identifier 'r'");
    }

    #[test]
    fn what_kbuild_says_itself_is_joined() {
        let log = "  HOSTCC  x\n***\n*** C compiler is too old.\n***   Your Clang version:    14.0.6\n***   Minimum Clang version: 17.0.1\n***\n\
                   scripts/Kconfig.include:45: Sorry, this compiler is not supported.\nmake[2]: *** [Makefile:1: allnoconfig] Error 1\n";
        assert_eq!(
            first_error(log).unwrap(),
            "C compiler is too old.; Your Clang version:    14.0.6; Minimum Clang version: 17.0.1"
        );
        assert_eq!(
            first_error("make: *** No rule to make target 'bzImage'.  Stop.\n").unwrap(),
            "make: *** No rule to make target 'bzImage'.  Stop."
        );
    }

    #[test]
    fn linker_and_modpost_and_shell_are_heard() {
        for line in [
            "ld.lld: error: undefined symbol: bpf_x",
            "ERROR: modpost: \"x\" [y.ko] undefined!",
            "/bin/sh: 1: pahole: not found",
            "FAILED: load BTF from vmlinux: Invalid argument",
        ] {
            let log = format!("  LD      vmlinux\n{line}\nmake[1]: *** [x] Error 1\n");
            assert_eq!(first_error(&log).unwrap(), line);
        }
    }

    #[test]
    fn make_is_the_last_resort_and_silence_is_nothing() {
        assert_eq!(
            first_error(
                "  CC x.o\nmake[1]: *** [Makefile:9: x] Error 137\nmake: *** Waiting for unfinished jobs....\n"
            )
            .unwrap(),
            "make[1]: *** [Makefile:9: x] Error 137"
        );
        assert_eq!(first_error("  CC      a.o\n"), None);
    }
}
