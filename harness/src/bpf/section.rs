//! What a section's name says of the program in it: `SEC("fentry/bpf_fentry_test1")`.

use serde::{Deserialize, Serialize};

/// `enum bpf_prog_type`, as far as cases use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is the kernel's type of that name
pub enum ProgType {
    SocketFilter,
    SchedCls,
    Xdp,
    CgroupSkb,
    RawTracepoint,
    Tracing,
    Syscall,
}

impl ProgType {
    /// The kernel's number (`include/uapi/linux/bpf.h`).
    pub fn number(self) -> u32 {
        match self {
            Self::SocketFilter => 1,
            Self::SchedCls => 3,
            Self::Xdp => 6,
            Self::CgroupSkb => 8,
            Self::RawTracepoint => 17,
            Self::Tracing => 26,
            Self::Syscall => 31,
        }
    }
}

/// How a program is loaded and, where that applies, what it is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgSpec {
    /// Its type.
    pub prog_type: ProgType,
    /// `expected_attach_type`, 0 when the type has none.
    pub attach_type: u32,
    /// `BPF_F_SLEEPABLE`.
    pub sleepable: bool,
    /// Where it goes.
    pub target: AttachTarget,
}

/// What a program is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachTarget {
    /// Nothing: it is run by `BPF_PROG_TEST_RUN`.
    None,
    /// A tracepoint, by name, without its BTF.
    RawTracepoint(String),
    /// A kernel function, by the BTF id of its FUNC.
    Function(String),
    /// A tracepoint whose arguments are typed: the BTF id of `btf_trace_NAME`.
    BtfTracepoint(String),
}

/// `BPF_TRACE_RAW_TP`.
const TRACE_RAW_TP: u32 = 23;
/// `BPF_TRACE_FENTRY`.
const TRACE_FENTRY: u32 = 24;
/// `BPF_TRACE_FEXIT`.
const TRACE_FEXIT: u32 = 25;
/// `BPF_MODIFY_RETURN`.
const MODIFY_RETURN: u32 = 26;
/// `BPF_CGROUP_INET_EGRESS`.
const CGROUP_INET_EGRESS: u32 = 1;

/// Names understood, for error messages.
pub(crate) const KNOWN: &str = "syscall, tc, xdp, socket, cgroup_skb/ingress, cgroup_skb/egress, raw_tp[/NAME], \
                                tp_btf/NAME, fentry/FUNC, fexit/FUNC, fmod_ret/FUNC (.s after the word: sleepable)";

impl ProgSpec {
    /// Reads a section's name. `None` when it is none that is understood.
    pub fn from_section(section: &str) -> Option<Self> {
        // libbpf: '?' means "do not load unless asked to", and here every program is asked for by name.
        let section = section.strip_prefix('?').unwrap_or(section);
        let (word, rest) = match section.split_once('/') {
            Some((word, rest)) => (word, Some(rest)),
            None => (section, None),
        };
        let (word, sleepable) = match word.strip_suffix(".s") {
            Some(word) => (word, true),
            None => (word, false),
        };
        let plain = |prog_type, attach_type| Self { prog_type, attach_type, sleepable, target: AttachTarget::None };
        let tracing = |attach_type, target| Self { prog_type: ProgType::Tracing, attach_type, sleepable, target };
        let name = rest.filter(|r| !r.is_empty());
        Some(match (word, name) {
            // The kernel runs SYSCALL programs from a system call and accepts them as sleepable only.
            ("syscall", None) => Self { sleepable: true, ..plain(ProgType::Syscall, 0) },
            ("tc" | "classifier" | "tcx", _) => plain(ProgType::SchedCls, 0),
            ("xdp", None) => plain(ProgType::Xdp, 0),
            ("socket", None) => plain(ProgType::SocketFilter, 0),
            ("cgroup_skb", Some("ingress")) => plain(ProgType::CgroupSkb, 0),
            ("cgroup_skb", Some("egress")) => plain(ProgType::CgroupSkb, CGROUP_INET_EGRESS),
            ("raw_tp" | "raw_tracepoint", None) => plain(ProgType::RawTracepoint, 0),
            ("raw_tp" | "raw_tracepoint", Some(name)) => {
                Self { target: AttachTarget::RawTracepoint(name.into()), ..plain(ProgType::RawTracepoint, 0) }
            }
            ("tp_btf", Some(name)) => tracing(TRACE_RAW_TP, AttachTarget::BtfTracepoint(name.into())),
            ("fentry", Some(name)) => tracing(TRACE_FENTRY, AttachTarget::Function(name.into())),
            ("fexit", Some(name)) => tracing(TRACE_FEXIT, AttachTarget::Function(name.into())),
            ("fmod_ret", Some(name)) => tracing(MODIFY_RETURN, AttachTarget::Function(name.into())),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syscall_is_always_sleepable() {
        assert!(ProgSpec::from_section("syscall").is_some_and(|s| s.sleepable && s.prog_type == ProgType::Syscall));
        assert!(ProgSpec::from_section("tc").is_some_and(|s| !s.sleepable));
    }

    #[test]
    fn optional_programs_are_like_others() {
        assert_eq!(ProgSpec::from_section("?tc"), ProgSpec::from_section("tc"));
    }

    #[test]
    fn targets() {
        let spec = ProgSpec::from_section("fentry.s/bpf_fentry_test1").unwrap();
        assert_eq!(spec.target, AttachTarget::Function("bpf_fentry_test1".into()));
        assert_eq!((spec.attach_type, spec.sleepable), (TRACE_FENTRY, true));
        assert_eq!(
            ProgSpec::from_section("raw_tp/sys_enter").unwrap().target,
            AttachTarget::RawTracepoint("sys_enter".into())
        );
        assert_eq!(ProgSpec::from_section("raw_tp").unwrap().target, AttachTarget::None);
    }

    #[test]
    fn unknown_words_are_refused() {
        for name in ["", "fentry", "kprobe/foo", "syscall/x", "xdp_devmap", "raw_tp_writable"] {
            assert_eq!(ProgSpec::from_section(name), None, "{name}");
        }
    }
}
