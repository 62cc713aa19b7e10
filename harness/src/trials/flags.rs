//! Our flags and the test harness's on one command line.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use crate::cli::args::{HostArgs, SelectArgs};

/// The flags of the conformance tests that libtest does not know: those of `kfunc run` that select and configure.
#[derive(Debug, Default, Parser)]
#[command(name = "conformance", disable_help_flag = true, disable_version_flag = true, no_binary_name = true)]
pub struct Own {
    /// Which kernels and cases.
    #[command(flatten)]
    pub select: SelectArgs,
    /// How and from where.
    #[command(flatten)]
    pub host: HostArgs,
}

/// Splits the words of a command line (without the program's name) into ours and the rest, each in order. What is ours
/// is read from [`Own`], so a new flag needs no second list. Behind `--` nothing is ours.
pub fn split(words: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let command = Own::command();
    let takes_value = |name: &str| {
        command.get_arguments().find(|arg| arg.get_long() == Some(name)).map(|arg| arg.get_action().takes_values())
    };
    let (mut ours, mut rest) = (Vec::new(), Vec::new());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word);
            rest.extend(words);
            break;
        }
        let text = word.to_string_lossy();
        let (name, inline) = match text.strip_prefix("--").map(|flag| flag.split_once('=').unwrap_or((flag, ""))) {
            Some((name, _)) => (name.to_owned(), text.contains('=')),
            None => (String::new(), false),
        };
        match takes_value(&name) {
            None => rest.push(word),
            Some(value) => {
                ours.push(word);
                if value && !inline {
                    ours.extend(words.next());
                }
            }
        }
    }
    (ours, rest)
}

/// Reads our flags, and what the environment says for those that are not given.
///
/// # Errors
/// A message for people, without a prefix.
pub fn parse(ours: Vec<OsString>) -> Result<Own, String> {
    Own::try_parse_from(ours).map_err(|error| {
        let text = error.render().to_string();
        text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
    })
}

/// Help for our flags, to stand before the test harness's own.
pub fn help() -> String {
    let help = Own::command().help_template("Flags of the conformance tests:\n{options}\n").render_help();
    format!("{help}\nFlags of the test harness:\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(line: &str) -> (String, String) {
        let (ours, rest) = split(line.split_whitespace().map(OsString::from));
        let join = |words: Vec<OsString>| words.iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ");
        (join(ours), join(rest))
    }

    #[track_caller]
    fn splits(line: &str, ours: &str, rest: &str) {
        assert_eq!(halves(line), (ours.to_owned(), rest.to_owned()));
    }

    #[test]
    fn each_side_gets_its_flags() {
        splits("--arch riscv64 strchr", "--arch riscv64", "strchr");
        splits("strchr --arch=riscv64,arm64 --exact", "--arch=riscv64,arm64", "strchr --exact");
        splits("--list --format terse --offline", "--offline", "--list --format terse");
        splits("--arch a --arch b --test-threads 2", "--arch a --arch b", "--test-threads 2");
        splits(
            "--kernel stock:trixie --suite probe --accel tcg x",
            "--kernel stock:trixie --suite probe --accel tcg",
            "x",
        );
        splits("--arch-file f.toml --mirror http://m/d --skip a", "--arch-file f.toml --mirror http://m/d", "--skip a");
        splits("--exact n --nocapture --ignored", "", "--exact n --nocapture --ignored");
        splits("-- --arch x", "", "-- --arch x");
        splits("--archx y --bogus", "", "--archx y --bogus");
        splits("--arch", "--arch", "");
    }

    #[test]
    fn ours_are_read() {
        let (ours, _) = split(["--arch", "riscv64,arm64", "--arch=arm32", "--jobs", "3", "x"].map(OsString::from));
        let own = parse(ours).expect("they are right");
        assert_eq!(own.select.arch, ["riscv64", "arm64", "arm32"]);
        assert_eq!(own.host.jobs, Some(3));
    }

    #[test]
    fn a_missing_or_bad_value_is_said() {
        let error = parse(vec!["--arch".into()]).expect_err("no value");
        assert!(error.starts_with("a value is required for '--arch <ARCH>'"), "{error}");
        let error = parse(vec!["--accel".into(), "kwm".into()]).expect_err("bad value");
        assert!(error.contains("'kwm'") && error.contains("kvm"), "{error}");
    }

    #[test]
    fn the_help_names_them() {
        let help = help();
        assert!(help.contains("--arch <ARCH>") && help.contains("--accel <HOW>"), "{help}");
    }
}
