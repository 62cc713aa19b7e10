//! The README of a bundle: what is wrong, how to see it again, which kernel that was. For somebody who has nothing but the
//! archive.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{CELL, CellFile, SUFFIX};
use crate::model::{Cell, ImageInfo, Outcome, Standing};
use crate::report::{clean, evidence, quote};
use crate::results::timestamp;

/// Most lines of a block; the files have all.
const SHOWN: usize = 80;

/// The text. `files`: the other members, which it lists.
pub(super) fn readme(file: &CellFile, name: &str, files: &BTreeMap<String, Vec<u8>>) -> String {
    let cell = &file.cell;
    let release = release(file);
    let mut out = String::new();
    let _ = writeln!(out, "# {} on {}, Linux {}\n", code(&cell.name()), code(&file.arch), code(&release));
    let _ = writeln!(out, "{}\n", what_is_wrong(cell));
    fault(&mut out, cell);
    case(&mut out, file);
    let seen = &cell.observation;
    if let Some(text) = seen.facts.get("machine code") {
        out.push_str("## What the JIT made of it\n\nAround the last call:\n\n");
        block(&mut out, "", &clean::lines(text));
    }
    if let Some(text) = seen.facts.get("program") {
        let loaded = if seen.load_errno == Some(0) { "loaded" } else { "given to the kernel" };
        let _ = writeln!(out, "## The program\n\nAs it was {loaded}, in the verifier's notation:\n");
        block(&mut out, "", &clean::lines(text));
    }
    let log = clean::lines(&seen.verifier_log);
    if !log.is_empty() {
        out.push_str("## What the verifier said\n\n");
        block(&mut out, "", &log[log.len().saturating_sub(SHOWN)..]);
    }
    let console: Vec<String> = seen.console.iter().map(|line| clean::line(line)).collect();
    if !console.is_empty() {
        out.push_str("## What stood on the console\n\n");
        block(&mut out, "", &console);
    }
    again(&mut out, file, name, files);
    kernel(&mut out, file);
    listing(&mut out, files);
    out
}

fn release(file: &CellFile) -> String {
    let guest = file.guest.as_ref().map(|guest| guest.release.clone()).filter(|release| !release.is_empty());
    guest.or(file.image.as_ref().map(|image| image.release.clone())).unwrap_or_else(|| "unknown".into())
}

/// One sentence.
fn what_is_wrong(cell: &Cell) -> String {
    let calls = match cell.kfuncs.as_slice() {
        [] => "A BPF program called a kernel function (kfunc)".to_owned(),
        names => {
            let names: Vec<String> = names.iter().map(|name| code(name)).collect();
            format!(
                "A BPF program called {} ({})",
                names.join(", "),
                if names.len() == 1 { "a kfunc" } else { "kfuncs" }
            )
        }
    };
    match (&cell.standing, &cell.outcome) {
        (Standing::UnexpectedPass { reason }, _) => {
            format!("**This is recorded as failing ({}), and it passed.**", code(reason))
        }
        (_, Outcome::WrongValue { what, expected, got }) => {
            format!("{calls}, and **{}: expected {}, got {}**.", code(what), code(expected), code(got))
        }
        (_, outcome) => format!("{calls}: **{}**.", code(&evidence::outcome(outcome))),
    }
}

/// Prototype, sent, received.
fn fault(out: &mut String, cell: &Cell) {
    let seen = &cell.observation;
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(text) = seen.facts.get("prototype") {
        rows.extend(text.lines().map(|line| ("prototype", code(line))));
    }
    for (name, fact) in
        [("maps", "maps"), ("sent", "sent"), ("arguments", "smallest"), ("alone", "alone"), ("where", "place")]
    {
        if let Some(text) = seen.facts.get(fact) {
            rows.push((name, code(text)));
        }
    }
    if let Outcome::WrongValue { what, expected, got } = &cell.outcome {
        rows.extend([("compared", code(what)), ("expected", code(expected)), ("received", code(got))]);
    }
    if let Some(errno) = seen.load_errno.filter(|errno| *errno != 0) {
        rows.push(("load", code(&evidence::errno_name(errno))));
    }
    if let Some(errno) = seen.run_errno.filter(|errno| *errno != 0) {
        rows.push(("run", code(&evidence::errno_name(errno))));
    }
    if let Some(value) = seen.retval {
        rows.push(("return value", code(&format!("{value:#x}"))));
    }
    rows.extend(seen.observed.iter().map(|(index, value)| ("observed", code(&format!("[{index}] = {value:#x}")))));
    if let Some(end) = &seen.guest_end {
        rows.push(("guest", code(&evidence::ended(end))));
    }
    if let Standing::KnownFailure { reason, link } = &cell.standing {
        rows.push(("known", format!("{} ({})", code(reason), code(link))));
    }
    table(out, &rows);
}

/// The case as it is written.
fn case(out: &mut String, file: &CellFile) {
    let cell = &file.cell;
    let Some(at) = &cell.location else { return };
    let _ = writeln!(out, "## The case\n\n{}:\n", code(&format!("{}:{}", at.file, at.line)));
    let source = testcases::SOURCES.iter().find(|source| source.path == at.file);
    let lines: Vec<&str> = source.map(|source| source.text.lines().collect()).unwrap_or_default();
    let here = usize::try_from(at.line).unwrap_or(usize::MAX).saturating_sub(1).min(lines.len());
    let from = lines[..here].iter().rposition(|line| line.starts_with("SEC(")).unwrap_or(here);
    let to = lines[here..].iter().position(|line| *line == "}").map_or(here, |end| here + end + 1);
    block(out, "c", &lines[from..to].iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
    if file.commit.as_deref() != option_env!("KFUNC_COMMIT") {
        let here = option_env!("KFUNC_COMMIT").unwrap_or("unknown");
        let _ =
            writeln!(out, "This is the source at commit {}; {} ran the cell.\n", code(here), code(&written_by(file)));
    }
    if source.is_some() {
        out.push_str(
            "`input[]` is filled before the run (`__input`), and `observed[]` read after it (`__observe`: index, type, \
             value). The values come from a map so that neither compiler nor verifier knows them.\n\n",
        );
    }
}

fn again(out: &mut String, file: &CellFile, name: &str, files: &BTreeMap<String, Vec<u8>>) {
    let (version, url) = (clean::line(&file.harness), env!("CARGO_PKG_REPOSITORY"));
    let _ = writeln!(out, "## Run it again\n\n```sh\nbundle={}", quote::word(&format!("{name}{SUFFIX}")));
    let _ = writeln!(
        out,
        "kfunc repro $bundle                  # in the same kernel\n\
         kfunc repro $bundle --tree ~/linux   # in one built from your tree: is it repaired?\n\
         kfunc repro $bundle --kernel FILE    # in yours: bzImage, Image, vmlinuz, vmlinux\n\
         ```\n\n\
         Exit status 1: it still fails; 0: it is right. It takes seconds, QEMU, and no root. `kfunc` {version} is the command of \
         kfunc-conformance, <{url}>: in a checkout `cargo kfunc repro`, after `ci/setup`, which installs QEMU and clang.\n"
    );
    if let Some(calls) = &file.abi {
        let _ = writeln!(
            out,
            "The values are those of seed {} with {} random calls; the functions called are those of the module in \
             `source/testcases/kmod`.\n",
            calls.seed, calls.cases
        );
    } else if let (Some(at), true) = (&file.cell.location, files.keys().any(|path| path.ends_with(".bpf.c"))) {
        let source = clean::line(&at.file);
        let _ = writeln!(
            out,
            "Without kfunc, the object is compiled with\n\n```sh\nclang --target=bpfel -mcpu=v3 -O2 -g -c -I \
             source/testcases/include source/{source} -o case.o\n```\n"
        );
    }
    if files.contains_key("program.bin") {
        out.push_str(
            "`program.bin` has the instructions as `BPF_PROG_LOAD` got them; kfuncs are named by BTF ids of this very kernel, \
             and the fds of maps are numbered from 1.\n\n",
        );
    }
}

fn kernel(out: &mut String, file: &CellFile) {
    out.push_str("## The kernel\n\n");
    let mut rows = vec![("release", code(&release(file))), ("asked for as", code(&file.kernel))];
    if let Some(image) = &file.image {
        rows.push(("provider", code(&image.provider)));
        rows.push(("image key", code(&image.key)));
        let hashes =
            [("SHA-256 of the kernel", &image.kernel_sha256), ("SHA-256 of its configuration", &image.config_sha256)];
        rows.extend(hashes.into_iter().filter_map(|(name, hash)| Some((name, code(hash.as_ref()?)))));
        rows.extend(
            image.provenance.iter().flat_map(|(name, text)| text.lines().map(|line| (name.as_str(), code(line)))),
        );
    }
    if let Some(guest) = &file.guest {
        rows.extend(guest.btf_sha256.iter().map(|hash| ("SHA-256 of its BTF", code(hash))));
        rows.push(("QEMU", format!("{}, {}", code(&guest.qemu), code(&guest.accel))));
    }
    rows.push(("run by", code(&written_by(file))));
    rows.push(("host", code(&file.host.kernel)));
    rows.push(("run at", code(&timestamp(file.started))));
    table(out, &rows);
    if let Some(image) = &file.image {
        out.push_str("How to get it: ");
        out.push_str(&how_to_get(image, &file.arch));
        out.push_str("\n\n");
    }
}

/// Version and commit of the harness that ran the cell.
fn written_by(file: &CellFile) -> String {
    let commit = file.commit.as_ref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
    format!("kfunc {}{commit}", file.harness)
}

/// For README and for `kfunc repro`, when it cannot get the kernel by itself. Markdown.
pub fn how_to_get(image: &ImageInfo, arch: &str) -> String {
    let fact = |name: &str| image.provenance.get(name).map(|text| clean::line(text)).unwrap_or_default();
    let key = clean::line(&image.key);
    let import = format!(
        "whoever has it can write it into one file, `kfunc images export {}`, and `kfunc images import` reads that",
        quote::word(&key)
    );
    match image.provider.as_str() {
        "stock" => format!(
            "`kfunc repro` takes it from its cache or from a Debian mirror. By hand: package `{0}`, version `{1}`, architecture \
             `{2}` (`apt-get download {0}:{2}={1}`); when the suite has a newer one, from Debian's archive of snapshots. Or \
             {import}.",
            fact("package"),
            fact("version"),
            fact("architecture"),
        ),
        "built" => {
            let variant = match fact("variant").as_str() {
                "" | "plain" => String::new(),
                other => format!(" --variant {}", quote::word(other)),
            };
            let toolchain = match fact("toolchain").as_str() {
                "" => String::new(),
                other => format!(" --toolchain {}", quote::word(other)),
            };
            let build = format!("kfunc images build --arch {}{variant}{toolchain}", quote::word(&clean::line(arch)));
            match (fact("package"), fact("suite")) {
                (package, suite) if !package.is_empty() => format!(
                    "`{build} --suite {}` builds it while the suite has package `{package}` in version `{}`. Or {import}.",
                    quote::word(&suite),
                    fact("version"),
                ),
                _ => format!(
                    "it was built from a source of the sender's own ({}): `{build} --source DIR` with the same source. Or \
                     {import}.",
                    code(&fact("source")),
                ),
            }
        }
        _ => format!("it is a file of the sender's own, with the SHA-256 `{}`: ask for it.", fact("sha256")),
    }
}

fn listing(out: &mut String, files: &BTreeMap<String, Vec<u8>>) {
    out.push_str("## Files\n\n");
    let about = |path: &str| match path {
        "console.txt" => "what the kernel said while the case ran",
        "machine-code.txt" => "what the JIT made of the program, around its last call",
        "program.bin" => "the program as it was loaded, instruction by instruction",
        "program.txt" => "the same in the verifier's notation",
        "qemu.txt" => "how the guest was started",
        "verifier.log" => "what the verifier said",
        path if path.starts_with("source/") => "the source of the case and what it includes or calls",
        _ => "",
    };
    let mut sources = false;
    let _ = writeln!(out, "- {}: what was seen and how it was judged, for programs", code(CELL));
    for path in files.keys() {
        if path.starts_with("source/") {
            if !std::mem::replace(&mut sources, true) {
                let _ = writeln!(out, "- `source/`: {}", about(path));
            }
        } else {
            let _ = writeln!(out, "- {}: {}", code(path), about(path));
        }
    }
}

/// A code span on one line. Nothing that a guest said becomes markup.
fn code(text: &str) -> String {
    format!("`{}`", clean::line(text).replace('`', "'"))
}

fn table(out: &mut String, rows: &[(&str, String)]) {
    if rows.is_empty() {
        return;
    }
    out.push_str("| | |\n|---|---|\n");
    for (name, text) in rows {
        let _ = writeln!(out, "| {} | {} |", clean::line(name).replace('|', "\\|"), text.replace('|', "\\|"));
    }
    out.push('\n');
}

/// A fenced block whose fence is longer than any in it.
fn block(out: &mut String, language: &str, lines: &[String]) {
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(out, "{fence}{language}");
    for line in lines.iter().take(SHOWN) {
        let _ = writeln!(out, "{line}");
    }
    if lines.len() > SHOWN {
        let _ = writeln!(out, "… {} more", lines.len() - SHOWN);
    }
    let _ = writeln!(out, "{fence}\n");
}
