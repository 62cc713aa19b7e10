//! From a cell of a saved run to the files of its bundle. Pure: the same cell gives the same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use images::{KernelSpec, Source};
use serde_json::Value;

use super::{CELL, CellFile, Error, Member, SCHEMA, readme, sha256};
use crate::arch::Endian;
use crate::bpf::disasm::disassemble;
use crate::bpf::insn::{INSN_BYTES, Insn};
use crate::model::{Cell, GuestInfo, ImageInfo, KernelResults, Observation, RunResults};
use crate::report::{clean, quote};

/// Most characters of a bundle's name: it is the name of a file and of the folder in it.
const NAME_MAX: usize = 120;

/// A bundle before it is packed.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Name of the file without its suffix, and of the folder in it.
    pub name: String,
    /// Seconds since 1970: the time of every member.
    pub time: u64,
    /// Members by path beneath the folder.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// `ARCH-RELEASE-SUITE-CASE` in characters that every file system and shell takes.
pub fn name(kernel: &KernelResults, cell: &Cell) -> String {
    let release = kernel.guest.as_ref().map(|guest| guest.release.as_str()).filter(|release| !release.is_empty());
    let release = release.or(kernel.image.as_ref().map(|image| image.release.as_str())).unwrap_or("unknown");
    let case = cell.case.replace("::", ".");
    let plain: String = format!("{}-{release}-{}-{case}", kernel.arch, cell.suite)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '_' })
        .collect();
    let plain = plain.trim_start_matches(['.', '-']).to_owned();
    if plain.len() <= NAME_MAX {
        plain
    } else {
        format!("{}-{}", &plain[..NAME_MAX - 9], &sha256(plain.as_bytes())[..8])
    }
}

/// All files of a cell's bundle.
///
/// # Errors
/// When something cannot be serialised, which these types give no reason to.
pub fn contents(run: &RunResults, kernel: &KernelResults, cell: &Cell, name: String) -> Result<Contents, Error> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut add = |path: &str, text: String| drop(files.insert(path.to_owned(), text.into_bytes()));
    let seen = &cell.observation;
    let or = |text: String, otherwise: &str| if text.is_empty() { format!("({otherwise})\n") } else { text + "\n" };
    add("verifier.log", or(clean::lines(&seen.verifier_log).join("\n"), "empty: it is kept when the kernel refuses"));
    let console: Vec<String> = seen.console.iter().map(|line| clean::line(line)).collect();
    add("console.txt", or(console.join("\n"), "nothing while the case ran"));
    if let Some(guest) = &kernel.guest {
        add("qemu.txt", qemu(guest, kernel.image.as_ref()));
    }
    if let Some(code) = seen.facts.get("machine code") {
        add("machine-code.txt", clean::lines(code).join("\n") + "\n");
    }
    if let Some(text) = program_text(&kernel.arch, seen) {
        add("program.txt", text);
    }
    for (path, text) in sources(cell) {
        add(&format!("source/{path}"), text.to_owned());
    }
    if let Some(bytes) = program(seen) {
        files.insert("program.bin".to_owned(), bytes);
    }
    let mut file = CellFile {
        schema: SCHEMA,
        harness: run.harness.clone(),
        commit: run.commit.clone(),
        started: run.started,
        host: run.host.clone(),
        arch: kernel.arch.clone(),
        kernel: without_folders(&kernel.kernel),
        image: kernel.image.clone().map(image),
        guest: kernel.guest.clone().map(|guest| GuestInfo { command: command(&guest.command).0, ..guest }),
        abi: run.abi.filter(|_| takes_calls(cell)),
        cell: cell.clone(),
        files: BTreeMap::new(),
    };
    files.insert("README.md".to_owned(), readme::readme(&file, &name, &files).into_bytes());
    let member = |bytes: &Vec<u8>| Member { size: bytes.len() as u64, sha256: sha256(bytes) };
    file.files = files.iter().map(|(path, bytes)| (path.clone(), member(bytes))).collect();
    files.insert(CELL.to_owned(), to_text(&file)?.into_bytes());
    Ok(Contents { name, time: run.started, files })
}

/// The text of `cell.json`.
fn to_text(file: &CellFile) -> Result<String, Error> {
    let failed = |error: serde_json::Error| Error::Pack { what: CELL.into(), why: error.to_string() };
    let digest = digest(file).map_err(failed)?;
    let mut value = serde_json::to_value(file).map_err(failed)?;
    if let Value::Object(fields) = &mut value {
        fields.insert("digest".into(), Value::String(digest));
    }
    Ok(serde_json::to_string_pretty(&value).map_err(failed)? + "\n")
}

/// Over the compact JSON of everything but itself.
pub(super) fn digest(file: &CellFile) -> Result<String, serde_json::Error> {
    Ok(sha256(&serde_json::to_vec(file)?))
}

/// Whether the seed decides what a cell runs.
fn takes_calls(cell: &Cell) -> bool {
    cell.suite == "abi" || (cell.suite == "control" && cell.case.starts_with("abi"))
}

/// The sources behind a cell, by path in the repository.
fn sources(cell: &Cell) -> Vec<(String, &'static str)> {
    if takes_calls(cell) {
        return testcases::KMOD.iter().map(|(name, text)| (format!("testcases/kmod/{name}"), *text)).collect();
    }
    let Some(at) = &cell.location else { return Vec::new() };
    let Some(source) = testcases::SOURCES.iter().find(|source| source.path == at.file) else { return Vec::new() };
    let headers = testcases::HEADERS.iter().map(|(name, text)| (format!("testcases/include/{name}"), *text));
    std::iter::once((source.path.to_owned(), source.text)).chain(headers).collect()
}

/// The instructions as they were loaded.
pub(super) fn program(seen: &Observation) -> Option<Vec<u8>> {
    let digits = seen.program.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2 * INSN_BYTES) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The whole program in the verifier's notation; as far as it was listed when its bytes were not kept.
fn program_text(arch: &str, seen: &Observation) -> Option<String> {
    let listed = seen.facts.get("program");
    let Some(bytes) = program(seen) else { return Some(clean::lines(listed?).join("\n") + "\n") };
    let arches = crate::arch::load(&[]).unwrap_or_default();
    let endian = arches.iter().find(|known| known.name == arch).map_or(Endian::Little, |known| known.endian);
    let insns: Vec<Insn> =
        (0..bytes.len()).step_by(INSN_BYTES).filter_map(|at| Insn::decode(endian, &bytes, at)).collect();
    // The names stand in what was listed when the kernel's types were at hand: `call NAME#ID`.
    let names: BTreeMap<i32, String> = listed
        .into_iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.split_once(") call ")?.1.split_once('#'))
        .filter_map(|(name, id)| Some((id.trim().parse().ok()?, clean::line(name))))
        .collect();
    Some(disassemble(&insns, |id, _| names.get(&id).cloned()))
}

/// The image without paths of this machine.
fn image(mut image: ImageInfo) -> ImageInfo {
    for name in ["file", "tree"] {
        if let Some(path) = image.provenance.get_mut(name) {
            *path = last_part(Path::new(path));
        }
    }
    image
}

/// A kernel as it was asked for, of whose path the last part is left.
fn without_folders(kernel: &str) -> String {
    match kernel.parse() {
        Ok(KernelSpec::Local(path)) => last_part(&path),
        Ok(KernelSpec::Built { source: Source::Path(path), variant }) => {
            KernelSpec::Built { source: Source::Path(last_part(&path).into()), variant }.to_string()
        }
        _ => kernel.to_owned(),
    }
}

fn last_part(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A guest's command with `$KERNEL` and `$INITRD`, and what these were: beneath the cache where they are.
fn command(typed: &str) -> (String, Vec<(&'static str, String)>) {
    let beneath = |path: &str| {
        let folders = ["/images/", "/initramfs/"];
        let at = folders.iter().filter_map(|folder| path.rfind(folder)).max();
        at.map_or_else(|| last_part(Path::new(path)), |at| path[at + 1..].to_owned())
    };
    let (mut out, mut variables) = (Vec::new(), Vec::new());
    let mut words = quote::split(typed).into_iter();
    out.extend(words.next().map(|program| quote::word(&last_part(Path::new(&program)))));
    while let Some(word) = words.next() {
        let variable = match word.as_str() {
            "-kernel" => Some("KERNEL"),
            "-initrd" => Some("INITRD"),
            _ => None,
        };
        out.push(quote::word(&word));
        if let (Some(variable), Some(path)) = (variable, variable.and_then(|_| words.next())) {
            out.push(format!("\"${variable}\""));
            variables.push((variable, beneath(&path)));
        }
    }
    (clean::line(&out.join(" ")), variables)
}

fn qemu(guest: &GuestInfo, image: Option<&ImageInfo>) -> String {
    let (command, variables) = command(&guest.command);
    let mut text = String::from(
        "# How the guest was started. The agent in the initramfs does what kfunc tells it over file descriptor 100, so by \
         hand\n# this boots and waits. Paths are beneath the cache (`kfunc images path`).\n",
    );
    text.push_str(&format!("# {}, {}\n", clean::line(&guest.qemu), clean::line(&guest.accel)));
    if let Some(image) = image {
        text.push_str(&format!("# kernel {} (image {})\n", clean::line(&image.release), clean::line(&image.key)));
    }
    for (name, path) in variables {
        text.push_str(&format!("{name}={}\n", quote::word(&clean::line(&path))));
    }
    text + &command + "\n"
}
