//! The command line as typed. [`super::meant`] says what it means.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;
use crate::matrix::shard::{MOST, Part};

const EXAMPLES: &str = "\
Examples:
  kfunc run                                        every arch that runs here
  kfunc run --arch riscv64,arm64 --kernel stock:trixie
  kfunc run --arch riscv64 strings::               cases whose name contains `strings::`
  kfunc run --json - >run.json                     results as JSON on standard output
  kfunc table --format markdown                    the newest saved run as a Markdown table
  kfunc list cases | head
  kfunc doctor                                     what is missing here, and how to get it";

const RUN_EXAMPLES: &str = "\
Examples:
  kfunc run --list                                 what would be run
  kfunc run --arch x86_64 --kernel stock:bookworm --kernel stock:trixie
  kfunc run --arch riscv64 --exact stock::strings::strchr
  kfunc run --suite probe,control --offline --accel tcg
  kfunc run --arch-file my.toml --arch myarch

Results are saved beneath $XDG_STATE_HOME/kfunc-conformance (or ~/.local/state/kfunc-conformance) as JSON; `kfunc table`
shows the newest.";

const COMPARE_EXAMPLES: &str = "\
Examples:
  kfunc compare yesterday.json today.json          exit code 1 when something got worse
  kfunc compare old.json new.json --format json
  kfunc compare old.json new.json --history runs/  cells that come and go there are no regressions

A failing cell that was never judged before, on a kernel that both runs have, counts as a regression.";

const MATRIX_EXAMPLES: &str = "\
Examples:
  kfunc matrix                                     ci/matrix.toml as one line of JSON for GitHub
  kfunc matrix --format gitlab --out child.yml     jobs of a GitLab child pipeline
  kfunc matrix nightly.toml --format json --shards 4 --history results/

The unit is an (arch, kernel): one guest serves all its cases, and verdict, controls and stale expectations are about all of
them. A unit is never split, so there are at most as many shards as units. Longest first, each unit goes to the shard
that has least to do so far.

How long a unit takes is read from earlier results files, the newest of this arch and kernel, else of another kernel of
the arch. Where there is none: 20 s for its guests to come up, and for each case of probe 30 ms, stock 60 ms, abi 200 ms,
control 60 ms. `--format json` says of each estimate where it comes from.

Each job is told its units by name (`kfunc run --matrix FILE --shard i/n --unit ARCH@KERNEL,...`): jobs that computed them
anew with another history would not fit each other. Images are not looked at; nothing is fetched or started.";

const MERGE_EXAMPLES: &str = "\
Examples:
  kfunc merge shard-*.json --out night.json
  kfunc merge shard-*.json --out night.json --partial
  kfunc merge x86.json arm.json --out all.json     two whole runs on different machines

What belongs together:
  - all files are of this schema, from one version of the harness, whole and not edited;
  - either all are shards (`kfunc run --shard i/n`) of the same plan: the same kernels, cases, sources, expectations and
    settings; each shard is there once, no (arch, kernel) is in two, and none of the plan is in no shard;
  - or none is a shard, and no (arch, kernel) is in two of them.
Anything else is refused with the names of the files, and nothing is written. With --partial a shard may be missing: its
kernels are in the result as unknown, with the error `not run: shard 3 of 4 is missing`, and never as conformant.";

const BUNDLE_EXAMPLES: &str = "\
Examples:
  kfunc bundle --out bundles                       every failing cell of the newest saved run
  kfunc bundle run.json --known --out bundles      those that are recorded as failing as well
  kfunc bundle --case char_second --out .          one cell, known or not";

const REPRO_EXAMPLES: &str = "\
Examples:
  kfunc repro BUNDLE.tar.gz                        in the same kernel: from the cache, or from a Debian mirror
  kfunc repro BUNDLE.tar.gz --tree ~/linux         in a kernel built from a source tree: is it repaired there?
  kfunc repro BUNDLE.tar.gz --kernel ./bzImage     in a kernel of your own

Exit status: 1 it still fails, 0 it is right now, 2 the file is no bundle, 4 it could not be tried (no such kernel here).
Nothing of a bundle is run but the case of that name, which this kfunc has; its files are not unpacked.";

const EXPECT_EXAMPLES: &str = "\
Examples:
  kfunc expect                                     what the newest saved run asks for, as a diff; exit code 1 if anything
  kfunc expect run.json | patch -p1                the same as `kfunc expect run.json --apply`
  kfunc expect run.json --apply                    edits the file, and prints what it changed

New entries have no reason and no link: the harness refuses the file until a person has filled them in. Comments and
formatting stay as they are. What is proposed is on standard output, what it is about on standard error.";

/// Does `bpf_jit_supports_kfunc_call()` tell the truth? Boots kernels of many architectures, lets BPF programs call
/// kfuncs there, and compares what came back.
#[derive(Debug, Parser)]
#[command(name = "kfunc", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::explain()))]
#[command(infer_subcommands = false, disable_help_subcommand = false, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot kernels, run cases, print the table and every failing cell with its evidence
    #[command(after_help = RUN_EXAMPLES, after_long_help = format!("{RUN_EXAMPLES}\n\n{}", exit::explain()))]
    Run(RunArgs),
    /// Show a saved run as a table
    Table(TableArgs),
    /// Show what the abi suite reached of each kernel's call path, and where architectures differ
    Coverage(CoverageArgs),
    /// Cut a nightly matrix into balanced jobs, in the words of a CI engine
    #[command(after_help = MATRIX_EXAMPLES, after_long_help = format!("{MATRIX_EXAMPLES}\n\n{}", exit::explain()))]
    Matrix(MatrixArgs),
    /// Join the results files of shards, or of runs of different kernels, into one
    #[command(after_help = MERGE_EXAMPLES, after_long_help = format!("{MERGE_EXAMPLES}\n\n{}", exit::explain()))]
    Merge(MergeArgs),
    /// Compare two saved runs: what got worse, what got better, what cannot be said
    #[command(after_help = COMPARE_EXAMPLES, after_long_help = format!("{COMPARE_EXAMPLES}\n\n{}", exit::explain()))]
    Compare(CompareArgs),
    /// Write a saved run in a form for others: a page of HTML, JUnit for CI systems, KTAP for the kernel's tools, KCIDB
    /// for KernelCI
    Report(ReportArgs),
    /// Propose what a saved run asks of testcases/expectations.toml: entries that it lacks, that end, that are stale
    #[command(after_help = EXPECT_EXAMPLES, after_long_help = format!("{EXPECT_EXAMPLES}\n\n{}", exit::explain()))]
    Expect(ExpectArgs),
    /// Print the JSON Schema of a file that this program writes
    Schema(SchemaArgs),
    /// Write an archive for each failing cell of a saved run, with all that is needed to understand it and see it again
    #[command(after_help = BUNDLE_EXAMPLES)]
    Bundle(BundleArgs),
    /// Run the cell of a bundle again, in the same kernel or in another, and say whether it still fails
    #[command(after_help = REPRO_EXAMPLES)]
    Repro(ReproArgs),
    /// Show what there is: arches, suites, cases or kernels
    List(ListArgs),
    /// Show or tidy the cache of kernels
    Images(ImagesArgs),
    /// Check that everything a run needs is here; print the install command for what is not
    Doctor(DoctorArgs),
    /// Explain the exit codes
    #[command(long_about = format!("Explain the exit codes\n\n{}", exit::explain()))]
    ExitCodes,
}

/// Which kernels and cases. Shared with the conformance tests, which split these flags off before libtest-mimic sees
/// the rest.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectArgs {
    /// Arches, comma-separated or repeated [default: every one that runs here without building a kernel]
    #[arg(long, value_name = "ARCH", value_delimiter = ',', env = "KFUNC_ARCH", hide_env_values = true)]
    pub arch: Vec<String>,
    /// Kernels: `stock`, `stock:SUITE`, `stock:SUITE/VERSION`, `built`, `built:SUITE`, `image:KEY` (of `kfunc images
    /// list`) or a path; `@interpreter` and `@no-btf` after a built one leave something out [default: stock; a built one where Debian's has no BTF and `kfunc
    /// images build` was run]
    #[arg(long, value_name = "SPEC", value_delimiter = ',', env = "KFUNC_KERNEL", hide_env_values = true)]
    pub kernel: Vec<String>,
    /// Build the kernel from this source tree, with the objects in our cache; a second time only what was changed
    #[arg(long, value_name = "DIR")]
    pub tree: Vec<PathBuf>,
    /// Suites, comma-separated or repeated [default: all that apply]
    #[arg(long, value_name = "SUITE", value_delimiter = ',', env = "KFUNC_SUITE", hide_env_values = true)]
    pub suite: Vec<String>,
    /// An arch file of your own (see harness/arch/*.toml); may be repeated
    #[arg(long, value_name = "FILE", env = "KFUNC_ARCH_FILE", hide_env_values = true)]
    pub arch_file: Vec<PathBuf>,
    /// Seed of the abi suite's values; the same seed gives the same programs [default: 1]
    #[arg(long, value_name = "N", env = "KFUNC_SEED", hide_env_values = true)]
    pub seed: Option<u64>,
    /// Calls with values from the seed that the abi suite makes besides its fixed ones [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    pub cases: Option<u32>,
}

/// How guests run and where kernels come from.
#[derive(Debug, Clone, Default, Args)]
pub struct HostArgs {
    /// How processors run: `auto` uses KVM where a guest has proved that it works
    #[arg(long, value_name = "HOW", value_enum, default_value_t, env = "KFUNC_ACCEL", hide_env_values = true)]
    pub accel: AccelArg,
    /// Debian mirror, the directory above dists/ and pool/ [default: from this machine's apt configuration]
    #[arg(long, value_name = "URL", env = "KFUNC_MIRROR", hide_env_values = true)]
    pub mirror: Option<String>,
    /// Use the cache only
    #[arg(long, env = "KFUNC_OFFLINE", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub offline: bool,
    /// Ask the mirror again even if its index was fetched lately
    #[arg(long, conflicts_with = "offline")]
    pub refresh: bool,
    /// Image cache [default: $XDG_CACHE_HOME/kfunc-conformance]
    #[arg(long, value_name = "DIR", env = "KFUNC_CACHE_DIR", hide_env_values = true)]
    pub cache_dir: Option<PathBuf>,
    /// What kernels are built with
    #[arg(long, value_name = "llvm|gcc", env = "KFUNC_TOOLCHAIN", hide_env_values = true)]
    pub toolchain: Option<images::Toolchain>,
    /// Guests at a time [default: as processors and memory allow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), env = "KFUNC_JOBS")]
    #[arg(hide_env_values = true)]
    pub jobs: Option<u16>,
    /// QEMU program to use instead of the arch file's; needs exactly one arch
    #[arg(long, value_name = "PROGRAM")]
    pub qemu: Option<PathBuf>,
}

/// `--accel`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum AccelArg {
    /// KVM where it is proved to work, else emulation
    #[default]
    Auto,
    /// Emulation
    Tcg,
    /// KVM or fail
    Kvm,
}

/// `kfunc run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Only cases whose name (suite::case) contains one of these
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Which kernels and cases.
    #[command(flatten)]
    pub select: SelectArgs,
    /// FILTER and --skip are whole names
    #[arg(long)]
    pub exact: bool,
    /// Leave out cases whose name contains this; may be repeated
    #[arg(long, value_name = "FILTER")]
    pub skip: Vec<String>,
    /// Run what this matrix file says (see ci/matrix.toml) instead of a selection
    #[arg(long, value_name = "FILE", conflicts_with_all = ["arch", "kernel", "tree", "suite", "filters", "exact", "skip"])]
    pub matrix: Option<PathBuf>,
    /// Run the i-th of n parts of it all. The parts are disjoint and together the whole; an (arch, kernel) is never split;
    /// without --unit the same on every machine. `kfunc merge` joins the results
    #[arg(long, value_name = "i/n")]
    pub shard: Option<Part>,
    /// The units of this shard, comma-separated or repeated, instead of those that --shard computes: as `kfunc matrix`
    /// balanced them
    #[arg(long, value_name = "ARCH@KERNEL", value_delimiter = ',', requires = "shard")]
    pub unit: Vec<String>,
    /// How and from where.
    #[command(flatten)]
    pub host: HostArgs,
    /// Save the results here instead of the state directory; `-` is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub json: Option<PathBuf>,
    /// Write a repro bundle for each failing cell into this folder (see `kfunc bundle`)
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    pub bundles: Option<PathBuf>,
    /// Print what would be run and stop
    #[arg(long)]
    pub list: bool,
}

/// `kfunc matrix`.
#[derive(Debug, Args)]
pub struct MatrixArgs {
    /// The matrix file [default: ci/matrix.toml]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// In whose words
    #[arg(long, value_enum, default_value_t)]
    pub format: MatrixFormat,
    /// Shards at most [default: as many as shorten the night]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    pub shards: Option<u32>,
    /// Folder of earlier results files, for durations [default: where runs are saved]
    #[arg(long, value_name = "DIR")]
    pub history: Option<PathBuf>,
    /// Write it here, whole or not at all [default: standard output]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Seed, as the runs will have it
    #[arg(long, value_name = "N", env = "KFUNC_SEED", hide_env_values = true)]
    pub seed: Option<u64>,
    /// Random calls, as the runs will make them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    pub cases: Option<u32>,
    /// An arch file of your own; may be repeated
    #[arg(long, value_name = "FILE", env = "KFUNC_ARCH_FILE", hide_env_values = true)]
    pub arch_file: Vec<PathBuf>,
    /// Cache, for compiled cases
    #[arg(long, value_name = "DIR", env = "KFUNC_CACHE_DIR", hide_env_values = true)]
    pub cache_dir: Option<PathBuf>,
}

/// `--format` of `kfunc matrix`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MatrixFormat {
    /// One line of JSON: `strategy.matrix` of a workflow, by way of `fromJSON`
    #[default]
    Github,
    /// Jobs of a child pipeline, which extend .kfunc-shard of ci/gitlab/shards.yml
    Gitlab,
    /// Everything: shards, their units, estimates and where those come from
    Json,
}

/// `kfunc merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Results files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Write the result here, whole or not at all; `-` is standard output
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
    /// Let shards be missing, and say so in the result
    #[arg(long)]
    pub partial: bool,
}

/// `kfunc bundle`.
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// A results file; `-` is standard input [default: the newest saved run]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Folder for the archives, ARCH-RELEASE-SUITE-CASE.tar.gz each; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Only cells whose name (suite::case) contains this, those that are recorded as failing among them; may be repeated
    #[arg(long, value_name = "FILTER")]
    pub case: Vec<String>,
    /// Cells that are recorded as failing, too
    #[arg(long)]
    pub known: bool,
}

/// `kfunc repro`.
#[derive(Debug, Args)]
pub struct ReproArgs {
    /// What `kfunc bundle` or `kfunc run --bundles` wrote
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Run it in this kernel instead: what `kfunc run --kernel` takes
    #[arg(long, value_name = "SPEC", conflicts_with = "tree")]
    pub kernel: Option<String>,
    /// Run it in a kernel built from this source tree
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// An arch file of your own; may be repeated
    #[arg(long, value_name = "FILE", env = "KFUNC_ARCH_FILE", hide_env_values = true)]
    pub arch_file: Vec<PathBuf>,
    /// How and from where.
    #[command(flatten)]
    pub host: HostArgs,
}

/// `kfunc table`.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// A results file; `-` is standard input [default: the newest saved run]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Form of the table
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Also show every failing cell with its evidence (terminal form only)
    #[arg(long)]
    pub failures: bool,
    /// Show what each JIT can do instead, and how that is known: every bpf_jit_supports_*() that can be seen from outside
    #[arg(long, conflicts_with = "failures")]
    pub capabilities: bool,
    /// Hold what was measured against what this kernel source tree says of itself; exit code 1 when they disagree
    #[arg(long, value_name = "DIR", conflicts_with_all = ["failures", "capabilities"])]
    pub against: Option<PathBuf>,
    /// An arch file of your own, for --against; may be repeated
    #[arg(long, value_name = "FILE", env = "KFUNC_ARCH_FILE", hide_env_values = true)]
    pub arch_file: Vec<PathBuf>,
}

/// `kfunc coverage`.
#[derive(Debug, Args)]
pub struct CoverageArgs {
    /// A results file; `-` is standard input [default: the newest saved run]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `kfunc compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The earlier run, a results file; `-` is standard input
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The later run, a results file; `-` is standard input
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Form of the comparison
    #[arg(long, value_enum, default_value_t)]
    pub format: CompareFormat,
    /// Folder of earlier runs: a cell whose outcome changed at least twice there under one kernel is flaky, and
    /// no regression
    #[arg(long, value_name = "DIR")]
    pub history: Option<PathBuf>,
}

/// `--format` of `kfunc compare`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// For people
    #[default]
    Terminal,
    /// For programs
    Json,
}

/// `kfunc report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A results file; `-` is standard input [default: the newest saved run]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
    /// Write it here, whole or not at all [default: standard output]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Who reports, for `--format kcidb`: lower-case letters, digits and `_` [default: kfunc_conformance]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
}

/// `--format` of `kfunc report`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One page that needs nothing else: table, counts, every cell that is not right with its evidence
    #[default]
    Html,
    /// JUnit XML
    Junit,
    /// KTAP version 1
    Ktap,
    /// Annotations of GitHub Actions: a workflow command for each case that is wrong, at its file and line
    Github,
    /// Code Quality report of GitLab: the same as JSON
    Gitlab,
    /// JSON for KernelCI's database, KCIDB schema 5.3
    Kcidb,
}

/// `kfunc expect`.
#[derive(Debug, Args)]
pub struct ExpectArgs {
    /// A results file; `-` is standard input [default: the newest saved run]
    #[arg(value_name = "RESULTS")]
    pub results: Option<PathBuf>,
    /// The expectations [default: testcases/expectations.toml of the checkout around the current folder]
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Edit the file instead of only proposing to
    #[arg(long)]
    pub apply: bool,
}

/// `kfunc schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which file
    #[arg(value_name = "WHAT", value_enum, default_value_t)]
    pub of: Schemas,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Schemas {
    /// A saved run
    #[default]
    Results,
}

/// `--format` of `kfunc table`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, at most 100 columns wide
    #[default]
    Terminal,
    /// For pages
    Markdown,
    /// For programs
    Json,
}

/// `kfunc list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    #[arg(value_enum, default_value_t)]
    pub what: Listed,
    /// Only cases of these suites
    #[arg(long, value_name = "SUITE", value_delimiter = ',')]
    pub suite: Vec<String>,
    /// An arch file of your own; may be repeated
    #[arg(long, value_name = "FILE", env = "KFUNC_ARCH_FILE", hide_env_values = true)]
    pub arch_file: Vec<PathBuf>,
    /// Image cache, for `kernels`
    #[arg(long, value_name = "DIR", env = "KFUNC_CACHE_DIR", hide_env_values = true)]
    pub cache_dir: Option<PathBuf>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Architectures and their QEMU programs
    #[default]
    Arches,
    /// Suites and how many cases they have
    Suites,
    /// Every case, where it is written, what it calls
    Cases,
    /// What --kernel takes, and the kernels in the cache
    Kernels,
}

/// `kfunc images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Image cache [default: $XDG_CACHE_HOME/kfunc-conformance]
    #[arg(long, value_name = "DIR", env = "KFUNC_CACHE_DIR", hide_env_values = true, global = true)]
    pub cache_dir: Option<PathBuf>,
    /// What to do with it
    #[command(subcommand)]
    pub command: Option<ImagesCommand>,
}

/// `kfunc images …`.
#[derive(Debug, Clone, Subcommand)]
pub enum ImagesCommand {
    /// Show the kernels in the cache [default]
    List,
    /// Print the cache's directory
    Path,
    /// Print what decides the kernels of a selection, one a line, or one word for all: a key for a CI system's cache
    ///
    /// Asks the mirror's signed index and fetches no kernel. The key changes when Debian has a newer kernel or source, or the
    /// recipe of a built one changes.
    Key(KeyArgs),
    /// Build a kernel from source and keep it; what is there already is not built again
    ///
    /// Runs nothing of the source but its own build system.
    Build(BuildArgs),
    /// Print all that is known of a kernel in the cache
    Show {
        /// Its key as `kfunc images list` shows it, or the beginning
        key: String,
    },
    /// Write a kernel, with all that belongs to it, into one file
    Export {
        /// Its key as `kfunc images list` shows it, or the beginning
        key: String,
        /// The file [default: KEY.kfunc.tar.zst]
        file: Option<PathBuf>,
    },
    /// Put exported kernels into the cache, if they are whole
    Import {
        /// What `kfunc images export` wrote
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Delete kernels; a run fetches again what it needs
    Prune {
        /// Keys as `kfunc images list` shows them, or their beginnings
        #[arg(value_name = "KEY", required_unless_present_any = ["all", "builds", "not_in"])]
        keys: Vec<String>,
        /// Delete every kernel that this saved run did not boot: what a CI system's cache need not keep
        #[arg(long, value_name = "FILE", conflicts_with_all = ["keys", "all"])]
        not_in: Option<PathBuf>,
        /// Delete unpacked sources and what builds left
        #[arg(long)]
        builds: bool,
        /// Delete everything in the cache
        #[arg(long, conflicts_with = "keys")]
        all: bool,
    },
}

/// `kfunc images key`.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// Which kernels.
    #[command(flatten)]
    pub select: SelectArgs,
    /// The kernels of this matrix file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["arch", "kernel", "tree", "suite"])]
    pub matrix: Option<PathBuf>,
    /// Only these of them, comma-separated or repeated
    #[arg(long, value_name = "ARCH@KERNEL", value_delimiter = ',')]
    pub unit: Vec<String>,
    /// One word for all
    #[arg(long)]
    pub digest: bool,
    /// Debian mirror, the directory above dists/ and pool/ [default: from this machine's apt configuration]
    #[arg(long, value_name = "URL", env = "KFUNC_MIRROR", hide_env_values = true)]
    pub mirror: Option<String>,
    /// Use the cached indexes only
    #[arg(long, env = "KFUNC_OFFLINE", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub offline: bool,
    /// What kernels are built with
    #[arg(long, value_name = "llvm|gcc", env = "KFUNC_TOOLCHAIN", hide_env_values = true)]
    pub toolchain: Option<images::Toolchain>,
}

/// `kfunc images build`.
#[derive(Debug, Clone, Args)]
pub struct BuildArgs {
    /// For which arches, comma-separated or repeated
    #[arg(
        long,
        value_name = "ARCH",
        value_delimiter = ',',
        required = true,
        env = "KFUNC_ARCH",
        hide_env_values = true
    )]
    pub arch: Vec<String>,
    /// An arch file of your own; may be repeated
    #[arg(long, value_name = "FILE", env = "KFUNC_ARCH_FILE", hide_env_values = true)]
    pub arch_file: Vec<PathBuf>,
    /// A source tree, git worktree or tarball [default: the newest linux-source package of the suite]
    #[arg(long, value_name = "PATH", conflicts_with = "suite")]
    pub source: Option<PathBuf>,
    /// Debian suite that the source is taken from
    #[arg(long, default_value = images::DEFAULT_SUITE)]
    pub suite: String,
    /// What to leave out: `interpreter` (the JIT can be turned off) or `no-btf`
    #[arg(long, default_value = "plain")]
    pub variant: String,
    /// What to build with
    #[arg(long, value_name = "llvm|gcc", env = "KFUNC_TOOLCHAIN", hide_env_values = true)]
    pub toolchain: Option<images::Toolchain>,
    /// Processes at a time [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Debian mirror, the directory above dists/ and pool/ [default: from this machine's apt configuration]
    #[arg(long, value_name = "URL", env = "KFUNC_MIRROR", hide_env_values = true)]
    pub mirror: Option<String>,
    /// Ask the mirror again even if its index was fetched lately
    #[arg(long)]
    pub refresh: bool,
}

/// `kfunc doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Check only what these arches need
    #[arg(long, value_name = "ARCH", value_delimiter = ',', env = "KFUNC_ARCH", hide_env_values = true)]
    pub arch: Vec<String>,
    /// An arch file of your own; may be repeated
    #[arg(long, value_name = "FILE", env = "KFUNC_ARCH_FILE", hide_env_values = true)]
    pub arch_file: Vec<PathBuf>,
    /// Debian mirror to ask instead of the one in this machine's apt configuration
    #[arg(long, value_name = "URL", env = "KFUNC_MIRROR", hide_env_values = true)]
    pub mirror: Option<String>,
    /// Do not ask the mirror
    #[arg(long, env = "KFUNC_OFFLINE", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub offline: bool,
    /// Image cache
    #[arg(long, value_name = "DIR", env = "KFUNC_CACHE_DIR", hide_env_values = true)]
    pub cache_dir: Option<PathBuf>,
}
