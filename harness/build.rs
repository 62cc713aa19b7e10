//! Tells the harness which commit it is built from, for the results: `KFUNC_COMMIT`, as `git describe --dirty` knows it.
//! Unset where there is no git or no checkout (a published package).

use std::path::Path;
use std::process::Command;

fn main() {
    // What is built into the harness, and what moves with a commit.
    for path in ["build.rs", "src", "arch", "Cargo.toml", "../testcases", "../images"] {
        println!("cargo::rerun-if-changed={path}");
    }
    // Another checkout that this one lies in is none of ours.
    if !Path::new("../.git").exists() {
        return;
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    if let Some(commit) = git(&["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]) {
        println!("cargo::rustc-env=KFUNC_COMMIT={commit}");
    }
}

/// What git answers, if it does.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty() && !text.contains('\n')).then_some(text)
}
