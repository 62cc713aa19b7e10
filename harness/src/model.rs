//! The result model: what a run found, serialised once, rendered by every report.
//!
//! Pure data. An [`Observation`] is what happened and knows nothing of right or wrong; an [`Outcome`] is the judgement
//! ([`crate::judge`]); a [`Standing`] says what the judgement means for the run once expectations were applied.
//! The format is versioned by [`SCHEMA`]; a reader refuses any other.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the serialised form. Raised when a reader of the old form would misread the new one.
pub const SCHEMA: u32 = 2;

/// One saved run: the arches and kernels of one invocation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunResults {
    /// Version of this form.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Version of the harness that wrote it.
    pub harness: String,
    /// Commit that the harness was built from, `-dirty` behind it when files differed; absent when it was not built in a
    /// git checkout.
    pub commit: Option<String>,
    /// Seconds since 1970 at the start.
    pub started: u64,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// The command line as typed, without the program's path.
    pub command: Vec<String>,
    /// What it ran on.
    pub host: Host,
    /// What decided which calls the `abi` suite made; absent when no cell of it was planned.
    pub abi: Option<AbiSettings>,
    /// Which part of a plan it was; absent when it was all of one.
    pub shard: Option<Shard>,
    /// One entry per (arch, kernel), in plan order.
    pub kernels: Vec<KernelResults>,
}

/// What decides which calls the `abi` suite makes: the same settings give the same programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbiSettings {
    /// Seed of the values (`--seed`).
    pub seed: u64,
    /// Calls with values from the seed, besides the fixed ones (`--cases`).
    pub cases: u64,
}

/// A run that is one of several, each on a part of one plan. `kfunc merge` joins them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// From 1.
    pub index: u32,
    /// How many shards the plan was cut into.
    pub count: u32,
    /// SHA-256, in hex, over all that decides the whole plan: kernels, cases, their sources, expectations, settings.
    pub plan: String,
    /// No case of the suites taken was left out: only then can a verdict be more than `unknown`.
    pub unfiltered: bool,
    /// What the whole plan has, in its order: so that a unit that is in no shard is missed.
    pub units: Vec<Unit>,
}

/// One (arch, kernel) of a plan: what one guest serves, and the least that a shard can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Arch name.
    pub arch: String,
    /// The kernel as it was asked for.
    pub kernel: String,
    /// How many cases the plan has for it.
    pub cases: u32,
}

impl Unit {
    /// `arch@kernel`, as `--unit` takes it.
    pub fn name(&self) -> String {
        format!("{}@{}", self.arch, self.kernel)
    }
}

/// The machine that ran the guests.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// `uname -r` and machine.
    pub kernel: String,
    /// Usable processors.
    pub cpus: u32,
}

/// Everything about one (arch, kernel).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelResults {
    /// Arch name, as in `harness/arch/NAME.toml`.
    pub arch: String,
    /// The kernel as it was asked for, e.g. `stock:testing`.
    pub kernel: String,
    /// What was booted; absent when no image could be had.
    pub image: Option<ImageInfo>,
    /// How it was run; absent when no guest came up.
    pub guest: Option<GuestInfo>,
    /// Cells in plan order.
    pub cells: Vec<Cell>,
    /// What the cells add up to.
    pub verdict: Verdict,
    /// One line: why the verdict is what it is (the kernel's own words where there are any).
    pub reason: String,
    /// Set when the run could not get as far as cells: no image, no guest. Never counts as conformance.
    pub error: Option<String>,
    /// The error is that the distribution has no such kernel: a fact about it, and no failure of this run.
    pub unavailable: bool,
}

/// Identity of a booted kernel.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageInfo {
    /// `stock`, `built` or `local`.
    pub provider: String,
    /// Kernel release, e.g. `7.2.12+deb14-riscv64`.
    pub release: String,
    /// Content key in the image cache.
    pub key: String,
    /// SHA-256 of the file that QEMU was given as the kernel, in hex; absent when it could not be read.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub kernel_sha256: Option<String>,
    /// SHA-256 of the kernel's `.config`, in hex; absent when the configuration is not known.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub config_sha256: Option<String>,
    /// Whether Kconfig symbols are set (`y` or `m`): the compiler's, and those that expectations name. Empty when the
    /// configuration is not known.
    pub kconfig: BTreeMap<String, bool>,
    /// Where it came from, in words and hashes: `package`, `version`, `sha256`, `suite`, …
    pub provenance: BTreeMap<String, String>,
}

/// How the guest ran.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuestInfo {
    /// First line of `qemu-system-X --version`.
    pub qemu: String,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// The exact command, shell-quoted.
    pub command: String,
    /// `uname -r` as the guest said it.
    pub release: String,
    /// SHA-256 of the guest's `/sys/kernel/btf/vmlinux`, in hex; absent when the kernel has none.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub btf_sha256: Option<String>,
    /// Milliseconds from QEMU's start to the agent's first word.
    pub boot_ms: u64,
    /// Guests used: 1, and one more for each that was lost.
    pub guests: u32,
}

/// One case on one (arch, kernel).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// `probe`, `stock`, `abi`, `control` or `own`.
    pub suite: String,
    /// The rest of the name, e.g. `strings::strchr`.
    pub case: String,
    /// Where the case is written: path in the repository and line.
    pub location: Option<Location>,
    /// The kfuncs it calls.
    pub kfuncs: Vec<String>,
    /// Judgement.
    pub outcome: Outcome,
    /// What the judgement means for the run.
    pub standing: Standing,
    /// What really happened.
    pub observation: Observation,
    /// Milliseconds spent on it.
    pub duration_ms: u64,
}

impl Cell {
    /// `suite::case`.
    pub fn name(&self) -> String {
        format!("{}::{}", self.suite, self.case)
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Path from the repository's root.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

/// What the guest really did. Fields that do not apply are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Observation {
    /// What the kernel refused before the program came to be loaded (a map, an attachment), in words; `load_errno` has the
    /// errno then.
    pub setup: Option<String>,
    /// What `BPF_PROG_LOAD` returned: 0, or the errno (positive). Absent if it never came to a load.
    pub load_errno: Option<i32>,
    /// Verifier log, control characters removed, shortened in the middle when long.
    pub verifier_log: String,
    /// What the program returned under `BPF_PROG_TEST_RUN` (32 bits).
    pub retval: Option<u32>,
    /// errno (positive) of `BPF_PROG_TEST_RUN` when it failed.
    pub run_errno: Option<i32>,
    /// The program's `observed[]` values by index, all 64 bits.
    pub observed: BTreeMap<u32, u64>,
    /// Facts by name that have no other place: `jit_enable` = `1`.
    pub facts: BTreeMap<String, String>,
    /// Console lines that appeared while the case ran.
    pub console: Vec<String>,
    /// Instructions of the program as they were loaded, but for the fds of maps, which are numbered from 1; in the kernel's
    /// byte order and in hex. Of a cell that failed, and empty when there are more than 4096.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub program: String,
    /// A kfunc that exists neither in vmlinux nor in a loaded module.
    pub absent_kfunc: Option<String>,
    /// How the guest ended during the case.
    pub guest_end: Option<GuestEnd>,
    /// The harness itself failed.
    pub infrastructure: Option<String>,
}

/// How a guest ended although it should not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "how", deny_unknown_fields)]
pub enum GuestEnd {
    /// The kernel panicked.
    Panic {
        /// The line that says so.
        line: String,
    },
    /// The guest did not answer within its deadline although it was alive.
    Silent {
        /// Milliseconds waited.
        after_ms: u64,
    },
    /// QEMU ended.
    Exit {
        /// Its exit status in words.
        status: String,
        /// The guest reset or powered off; otherwise something on the host ended QEMU, which says nothing of the kernel.
        by_guest: bool,
    },
}

/// The judgement of one observation against one expectation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Outcome {
    /// Everything expected was observed.
    Pass,
    /// The call went through and something came back wrong.
    WrongValue {
        /// What was compared: `return value`, `observed[2] as s32`.
        what: String,
        /// Expected, printed.
        expected: String,
        /// Got, printed.
        got: String,
    },
    /// The kernel refused the program (or accepted one it should have refused: errno 0).
    Rejected {
        /// errno of the load or run, positive.
        errno: i32,
        /// The log line that says why, or empty.
        line: String,
    },
    /// The JIT declines kfunc calls: ENOTSUPP (524) with the verifier's line. Of a probe: the JIT has not what it asks for.
    Unsupported {
        /// The line.
        line: String,
    },
    /// The kernel has no BTF.
    NoBtf {
        /// The line.
        line: String,
    },
    /// There is no JIT, or it is off.
    NoJit {
        /// The line.
        line: String,
    },
    /// A kfunc of the case exists neither in vmlinux nor in a module that was loaded.
    KfuncAbsent {
        /// Its name.
        kfunc: String,
    },
    /// The kernel complained on its console (oops, BUG, WARNING, sanitizer report).
    Splat {
        /// First line.
        line: String,
    },
    /// The guest lives but the case did not end.
    Hang {
        /// Milliseconds waited.
        after_ms: u64,
    },
    /// The guest died.
    GuestLost {
        /// How.
        how: String,
    },
    /// The harness or the machine failed. Never conformance, never a kernel fault.
    Infrastructure {
        /// What failed.
        error: String,
    },
    /// Not run, because the question does not arise here.
    NotRun {
        /// Why.
        reason: String,
    },
}

/// What an outcome means once the arch's facts and the expectations were applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "is", deny_unknown_fields)]
pub enum Standing {
    /// As it should be.
    Right,
    /// Not as it should be; fails the run.
    Wrong,
    /// Failed as recorded in the expectations.
    KnownFailure {
        /// Reason from the entry.
        reason: String,
        /// Link from the entry.
        link: String,
    },
    /// Recorded as failing, but it passed; fails the run.
    UnexpectedPass {
        /// Reason from the entry.
        reason: String,
    },
    /// The question does not arise on this kernel (older than the kfunc, no BTF, no JIT support); not run or not
    /// judged, and never counted as passed.
    NotApplicable {
        /// Why.
        reason: String,
    },
}

impl Standing {
    /// Whether this fails the run.
    pub fn fails(&self) -> bool {
        matches!(self, Self::Wrong | Self::UnexpectedPass { .. })
    }

    /// Whether the case was really run and judged.
    pub fn was_run(&self) -> bool {
        !matches!(self, Self::NotApplicable { .. })
    }
}

/// What the cells of one (arch, kernel) add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The JIT accepts kfunc calls and every one that was run is right.
    Conformant,
    /// The JIT claims support and some call is wrong.
    Broken,
    /// The JIT declines, with the right error.
    Unsupported,
    /// The kernel has no BTF, so no kfunc can be called.
    NoBtf,
    /// There is no JIT, or it cannot be switched on.
    NoJit,
    /// Not enough was seen to say.
    Unknown,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Conformant => "conformant",
            Self::Broken => "broken",
            Self::Unsupported => "unsupported",
            Self::NoBtf => "no BTF",
            Self::NoJit => "no JIT",
            Self::Unknown => "unknown",
        })
    }
}

/// Names of the probe suite's cases: the table's columns are read from their observations.
pub mod probe {
    /// JIT present and on. Fact `jit`: `on`, `off`, `absent`; `jit_default`: the value at boot.
    pub const JIT: &str = "jit";
    /// vmlinux BTF present. Fact `btf`: `yes` or `no`; `btf_bytes`.
    pub const BTF: &str = "btf";
    /// A kfunc call is accepted, or refused with which line. Fact `claim`: `yes` or `no`.
    pub const KFUNC_CALL: &str = "kfunc_call";
    /// A fentry program loads, attaches and fires. Fact `trampoline`: `yes` or `no`.
    pub const TRAMPOLINE: &str = "trampoline";
    /// With the JIT off the call is refused.
    pub const JIT_OFF: &str = "jit_off";
    /// A program without a GPL compatible licence is refused.
    pub const NON_GPL: &str = "non_gpl";
    /// A BTF id that is no function is refused.
    pub const UNKNOWN_ID: &str = "unknown_btf_id";
    /// A call from one function of a program to another. Fact `subprograms`: `yes` or `no`.
    pub const SUBPROGRAMS: &str = "subprograms";
    /// A call with more than five arguments. Fact `stack_args`: `yes`, `no`, `not observable`.
    pub const STACK_ARGS: &str = "stack_args";
}
