//! `kfunc expect`: the edit of the expectations that a saved run asks for. Proposed; made only with `--apply`.

use std::path::{Path, PathBuf};

use similar::TextDiff;

use super::args::ExpectArgs;
use super::error::Error;
use super::{exit, out, table};
use crate::{arch, expect, results};

/// Prints the proposal as a diff, or makes the edit; gives the exit code.
pub fn expect(args: &ExpectArgs) -> Result<u8, Error> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => in_checkout()?,
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::Infrastructure(format!("cannot read {name}: {error}; name another with --file")))?;
    let saved = table::saved(args.results.as_deref())?;
    let arches = arch::load(&[]).map_err(|error| Error::Usage(error.to_string()))?;
    let arches: Vec<String> = arches.into_iter().map(|arch| arch.name).collect();
    let proposal = expect::propose(&saved, &name, &text, &arches).map_err(|error| Error::Usage(error.to_string()))?;
    if proposal.is_empty() {
        out::stderr(&format!("{name}: the run asks for no change\n"));
        return Ok(exit::OK);
    }
    if args.apply && proposal.text != text {
        results::write_atomically(&path, proposal.text.as_bytes())?;
    }
    out::stdout(&diff(&text, &proposal.text))?;
    let verb = if args.apply { "changed" } else { "proposed" };
    for line in &proposal.edits {
        out::stderr(&format!("{verb}: {line}\n"));
    }
    for line in &proposal.remarks {
        out::stderr(&format!("to be looked at: {line}\n"));
    }
    if proposal.text.contains("\nreason = \"\"") {
        out::stderr("new entries need a reason and a link: until then the harness refuses the file\n");
    }
    Ok(if args.apply && proposal.remarks.is_empty() { exit::OK } else { exit::WRONG })
}

/// The file of the checkout that the current folder is in.
fn in_checkout() -> Result<PathBuf, Error> {
    let here = std::env::current_dir().map_err(|error| {
        Error::Infrastructure(format!("there is no current folder: {error}; name the file with --file"))
    })?;
    let wanted = here.ancestors().map(|dir| dir.join(testcases::EXPECTATIONS_PATH)).find(|path| path.is_file());
    let found = wanted.ok_or_else(|| {
        let wanted = testcases::EXPECTATIONS_PATH;
        Error::Usage(format!("no {wanted} here or in a folder above; go to a checkout, or name the file with --file"))
    })?;
    // As short as it can be said.
    Ok(found.strip_prefix(&here).map_or(found.clone(), Path::to_path_buf))
}

/// A unified diff as `patch -p1` takes it at the checkout's root.
fn diff(old: &str, new: &str) -> String {
    let path = testcases::EXPECTATIONS_PATH;
    TextDiff::from_lines(old, new).unified_diff().header(&format!("a/{path}"), &format!("b/{path}")).to_string()
}
