//! Bundles end to end, in real guests of the user's cache: written by one command, run again by another.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::model::{Outcome, RunResults, Standing};
use harness::results;

/// The command with a state of its own and nothing of the caller's selection; exit code, standard output, standard error.
fn kfunc(state: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kfunc"));
    for name in ["KFUNC_ARCH", "KFUNC_KERNEL", "KFUNC_SUITE", "KFUNC_SEED", "KFUNC_ARCH_FILE"] {
        command.env_remove(name);
    }
    let output = command.args(args).env("XDG_STATE_HOME", state).output().expect("kfunc starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A run of one case on Debian's kernel.
fn run(state: &Path, arch: &str) -> RunResults {
    let file = state.join("run.json");
    let name = file.to_str().expect("UTF-8");
    let case = ["--suite", "stock", "--exact", "stock::dirty_arguments::char_second"];
    let (_, _, stderr) =
        kfunc(state, &[&["run", "--arch", arch, "--kernel", "stock", "--json", name], &case[..]].concat());
    results::load(&file).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

/// The one bundle of a run.
fn bundle(state: &Path, run: &RunResults, folder: &str) -> PathBuf {
    let (file, out) = (state.join("changed.json"), state.join(folder));
    std::fs::write(&file, results::to_text(run).expect("text")).expect("written");
    let words = ["bundle", file.to_str().expect("UTF-8"), "--known", "--out", out.to_str().expect("UTF-8")];
    let (code, stdout, stderr) = kfunc(state, &words);
    assert_eq!(code, Some(0), "{stderr}");
    PathBuf::from(stdout.trim_end())
}

fn repro(state: &Path, bundle: &Path) -> (Option<i32>, String, String) {
    kfunc(state, &["repro", bundle.to_str().expect("UTF-8")])
}

#[test]
fn what_fails_on_riscv64_fails_again_or_in_another_way() {
    let state = tempfile::tempdir().expect("a temporary directory");
    let mut run = run(state.path(), "riscv64");
    let cell = &run.kernels[0].cells[0];
    assert!(matches!(cell.standing, Standing::KnownFailure { .. }), "{cell:?}");
    assert_eq!(cell.observation.program.len(), 21 * 16, "its 21 instructions, in hex");
    assert!(cell.observation.facts["machine code"].contains("jalr"), "{cell:?}");
    let same = bundle(state.path(), &run, "same");
    assert_eq!(std::fs::read(&same).ok(), std::fs::read(bundle(state.path(), &run, "twice")).ok());
    let (code, stdout, stderr) = repro(state.path(), &same);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.contains("it still fails, in the same way") && !stdout.contains("note:"), "{stdout}");

    if let Outcome::WrongValue { got, .. } = &mut run.kernels[0].cells[0].outcome {
        *got = "3".into();
    }
    let (code, stdout, _) = repro(state.path(), &bundle(state.path(), &run, "other"));
    assert_eq!(code, Some(1));
    assert!(stdout.contains("it still fails, in another way"), "{stdout}");
    assert!(stdout.contains("got 3") && stdout.contains("got -2"), "both are shown: {stdout}");
}

#[test]
fn what_is_right_on_x86_64_does_not_fail_any_more() {
    let state = tempfile::tempdir().expect("a temporary directory");
    let mut run = run(state.path(), "x86_64");
    let cell = &mut run.kernels[0].cells[0];
    assert_eq!(cell.standing, Standing::Right);
    assert!(cell.observation.program.is_empty(), "of what is right nothing is kept");
    cell.standing = Standing::Wrong;
    cell.outcome = Outcome::WrongValue { what: "observed[0] as s32".into(), expected: "2".into(), got: "-2".into() };
    let (code, stdout, stderr) = repro(state.path(), &bundle(state.path(), &run, "bundles"));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.ends_with("it does not fail any more\n"), "{stdout}");
}
