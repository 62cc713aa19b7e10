//! Bundles of the reports' fixture: what is in them, and what is refused.

use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::contents::{Contents, contents, name};
use super::read::from_bytes;
use super::*;
use crate::model::{ImageInfo, KernelResults, RunResults};
use crate::report::fixture;

/// `r1 = 0x100000002; call KFUNC#7; exit`, little endian.
const PROGRAM: &str = "180100000200000000000000010000008520000007000000\
                       9500000000000000";

/// The fixture's run with the cell and the kernel as a real run leaves them.
fn run() -> RunResults {
    let mut run = fixture::five();
    let kernel = &mut run.kernels[3];
    kernel.image = Some(ImageInfo {
        provider: "stock".into(),
        release: "7.2.12+deb14-riscv64".into(),
        key: "7.2.12+deb14-riscv64-57d693127a71".into(),
        kernel_sha256: Some("4b".repeat(32)),
        config_sha256: Some("c0".repeat(32)),
        kconfig: BTreeMap::new(),
        provenance: [("package", "linux-binary-7.2.12+deb14-riscv64"), ("version", "7.2.12-1"), ("suite", "testing")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    });
    if let Some(guest) = &mut kernel.guest {
        guest.btf_sha256 = Some("bf".repeat(32));
        guest.command = "/home/me/bin/qemu-system-riscv64 -machine virt -kernel \
                         '/home/me/my cache/images/7.2.12+deb14-riscv64-57d693127a71/kernel' -initrd \
                         /home/me/c/initramfs/c28c.cpio -append 'console=ttyS0 panic=-1'"
            .into();
    }
    let cell = &mut kernel.cells[4];
    cell.case = "dirty_arguments::char_second".into();
    cell.location = Some(crate::model::Location { file: "testcases/stock/dirty_arguments.bpf.c".into(), line: 68 });
    let facts = &mut cell.observation.facts;
    facts.insert("prototype".into(), "int bpf_strchr(const char *s__ign, char c)".into());
    facts.insert("program".into(), "0: (18) r1 = 0x100000002\n2: (85) call bpf_strchr#7".into());
    facts.insert("machine code".into(), "1000: 8082 ret".into());
    cell.observation.program = PROGRAM.into();
    run
}

fn made(run: &RunResults) -> Contents {
    let kernel: &KernelResults = &run.kernels[3];
    let cell = &kernel.cells[4];
    contents(run, kernel, cell, name(kernel, cell)).unwrap()
}

fn packed() -> Vec<u8> {
    archive::pack(&made(&run())).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    from_bytes(bytes, Path::new("b.tar.gz")).expect_err("it must be refused").to_string()
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, tar).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut GzDecoder::new(bytes), &mut tar).unwrap();
    tar
}

/// An archive of these members, whatever their names and kinds.
fn archive_of(members: &[(&str, tar::EntryType, &[u8], u64)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (path, kind, data, size) in members {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(*size);
        header.set_mode(0o644);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(data);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar)
}

#[test]
fn the_same_cell_gives_the_same_bytes_and_is_read_back() {
    let run = run();
    let bytes = packed();
    assert_eq!(bytes, packed());
    assert_eq!(made(&run).name, "riscv64-7.2.12+deb14-riscv64-stock-dirty_arguments.char_second");
    let read = from_bytes(&bytes, Path::new("b.tar.gz")).unwrap().file;
    assert_eq!(read.cell.observation, run.kernels[3].cells[4].observation);
    assert_eq!((read.arch.as_str(), read.cell.name().as_str()), ("riscv64", "stock::dirty_arguments::char_second"));
    let mut later = run.clone();
    later.started += 1;
    assert_ne!(bytes, archive::pack(&made(&later)).unwrap());
}

#[test]
fn everything_that_is_promised_is_in_it() {
    let contents = made(&run());
    let text = |path: &str| String::from_utf8(contents.files[path].clone()).unwrap();
    for path in [
        "README.md",
        "cell.json",
        "console.txt",
        "machine-code.txt",
        "program.bin",
        "program.txt",
        "qemu.txt",
        "source/testcases/include/kfunc_case.h",
        "source/testcases/stock/dirty_arguments.bpf.c",
        "verifier.log",
    ] {
        assert!(contents.files.contains_key(path), "{path}");
        assert!(
            path == "cell.json" || path == "README.md" || contents.files.len() == 10,
            "{:?}",
            contents.files.keys()
        );
    }
    assert_eq!(contents.files["program.bin"].len(), 32);
    assert_eq!(text("program.txt"), "0: (18) r1 = 0x100000002\n2: (85) call bpf_strchr#7\n3: (95) exit\n");
    let qemu = text("qemu.txt");
    assert!(
        qemu.contains("KERNEL=images/7.2.12+deb14-riscv64-57d693127a71/kernel\nINITRD=initramfs/c28c.cpio\n"),
        "{qemu}"
    );
    let command =
        "qemu-system-riscv64 -machine virt -kernel \"$KERNEL\" -initrd \"$INITRD\" -append 'console=ttyS0 panic=-1'\n";
    assert!(qemu.ends_with(command), "{qemu}");
    let readme = text("README.md");
    for said in [
        "# `stock::dirty_arguments::char_second` on `riscv64`, Linux `7.2.12+deb14-riscv64`",
        "A BPF program called `bpf_strchr` (a kfunc), and **`observed[0] as s32`: expected `1`, got `-1`**.",
        "| prototype | `int bpf_strchr(const char *s__ign, char c)` |",
        "__description(\"char in second position",
        "observed[2] = bpf_strchr(banana, input[2]);",
        "1000: 8082 ret",
        "bundle=riscv64-7.2.12+deb14-riscv64-stock-dirty_arguments.char_second.tar.gz\nkfunc repro $bundle ",
        "| version | `7.2.12-1` |",
        "| SHA-256 of the kernel | `4b4b",
        "| SHA-256 of its configuration | `c0c0",
        "| SHA-256 of its BTF | `bfbf",
        "| run by | `kfunc 0.1.0",
        "apt-get download linux-binary-7.2.12+deb14-riscv64",
        "- `program.bin`: ",
    ] {
        assert!(readme.contains(said), "{said} is not in\n{readme}");
    }
    for (path, bytes) in &contents.files {
        assert!(!String::from_utf8_lossy(bytes).contains("/home/me"), "{path} has a path of the sender's machine");
    }
}

#[test]
fn what_a_guest_says_becomes_no_markup() {
    let mut run = run();
    let cell = &mut run.kernels[3].cells[4];
    cell.observation.console = vec!["```".into(), "\u{1b}[31m<script>".into()];
    cell.kfuncs = vec!["a`b|c".into()];
    let contents = made(&run);
    let readme = String::from_utf8(contents.files["README.md"].clone()).unwrap();
    assert!(readme.contains("````\n```\n<script>\n````") && !readme.contains('\u{1b}'), "{readme}");
    assert!(readme.contains("`a'b|c`"), "{readme}");
}

#[test]
fn names_stay_in_their_folder() {
    let mut run = run();
    let kernel = &mut run.kernels[3];
    if let Some(guest) = &mut kernel.guest {
        guest.release = "../../7.2 x".repeat(20);
    }
    kernel.arch = "-r".into();
    let name = name(kernel, &kernel.cells[4]);
    assert!(name.len() <= 120 && name.starts_with("r-..") && !name.contains('/') && !name.contains(' '), "{name}");
    archive::pack(&made(&run)).unwrap();
}

#[test]
fn an_abi_cell_has_its_seed_and_the_module() {
    let mut run = run();
    run.abi = Some(AbiSettings { seed: 7, cases: 20 });
    run.kernels[3].cells[4].suite = "abi".into();
    run.kernels[3].cells[4].location = None;
    let contents = made(&run);
    assert!(contents.files.contains_key("source/testcases/kmod/kfuncs.c"));
    let read = from_bytes(&archive::pack(&contents).unwrap(), Path::new("b")).unwrap().file;
    assert_eq!(read.abi, Some(AbiSettings { seed: 7, cases: 20 }));
}

#[test]
fn what_was_cut_is_refused_at_every_length() {
    let bytes = packed();
    for len in (0..bytes.len()).step_by(61).chain([bytes.len() - 1]) {
        let message = refused(&bytes[..len]);
        assert!(message.starts_with("b.tar.gz is no repro bundle: it "), "{len}: {message}");
        assert!(message.ends_with("write one with `kfunc bundle`"), "{message}");
    }
    // A whole archive with members missing.
    let tar = gunzip(&bytes);
    let first = 512 + made(&run()).files[CELL].len().next_multiple_of(512);
    let message = refused(&gzip(&[&tar[..first], &[0; 1024]].concat()));
    assert!(message.contains("README.md is in its cell.json and not in it: it was cut"), "{message}");
    assert!(refused(&gzip(&tar[first..])).contains("it has no cell.json"));
}

#[test]
fn what_was_edited_is_refused() {
    let edited = |from: &str, to: &str| {
        let mut tar = gunzip(&packed());
        let at = tar.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        tar[at..at + to.len()].copy_from_slice(to.as_bytes());
        refused(&gzip(&tar))
    };
    assert!(edited("A BPF program called", "B").starts_with("b.tar.gz: README.md was changed after the bundle"));
    assert!(edited("\"riscv64\"", "\"riscv32\"").starts_with("b.tar.gz: cell.json was changed after the bundle"));
    assert!(
        edited("\"schema\": 1", "\"schema\": 9").starts_with("b.tar.gz has schema '9', this kfunc reads 1; use the")
    );
    assert!(edited("\"digest\"", "\"digits\"").contains("its cell.json: it has no field `digest`"));
}

#[test]
fn hostile_archives_are_refused() {
    use tar::EntryType::{Fifo, GNULongName, Regular, Symlink};
    for (members, said) in [
        (&[("b/../../x", Regular, &b"x"[..], 1)][..], "'b/../../x' could lead out of it"),
        (&[("/etc/passwd", Regular, b"x", 1)], "'/etc/passwd' could lead out of it"),
        (&[("x", Regular, b"x", 1)], "'x' could lead out of it"),
        (&[("b/.hidden", Regular, b"x", 1)], "could lead out of it"),
        (&[("b/\u{1b}[31m", Regular, b"x", 1)], "'b/\\u{1b}[31m' could lead out of it"),
        (&[("b/link", Symlink, b"", 0)], "'b/link' is no plain file"),
        (&[("b/pipe", Fifo, b"", 0)], "is no plain file"),
        (&[("b/long", GNULongName, b"x", 1)], "is no plain file"),
        (&[("b/x", Regular, b"x", 1), ("c/x", Regular, b"x", 1)], "'c/x' is in another folder"),
        (&[("b/x", Regular, b"x", 1), ("b/x", Regular, b"x", 1)], "'b/x' is there twice"),
        (&[("b/huge", Regular, b"", 1 << 33)], "'b/huge' is larger than 16"),
        (&[("b/cell.json", Regular, b"[]", 2)], "its cell.json: not a JSON object"),
        (&[("b/cell.json", Regular, b"{}", 2)], "it has no field `schema`"),
        (&[], "it is empty"),
    ] {
        let message = refused(&archive_of(members));
        assert!(message.contains(said), "{said}: {message}");
    }
    let many: Vec<String> = (0..300).map(|n| format!("b/{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), Regular, &b""[..], 0)).collect();
    assert!(refused(&archive_of(&many)).contains("more than 256 members"));
    assert!(refused(b"PK\x03\x04").contains("it is no gzip'd archive"));
    assert!(refused(&gzip(b"hello")).contains("it "));
    assert!(refused(&[0; (16 << 20) + 1]).contains("it is larger than"));
}

#[test]
fn an_archive_that_unpacks_without_end_is_refused() {
    use tar::EntryType::Regular;
    let zeros = vec![0; 15 << 20];
    let size = zeros.len() as u64;
    let members: Vec<_> = ["b/1", "b/2", "b/3", "b/4", "b/5"].map(|name| (name, Regular, &zeros[..], size)).to_vec();
    let bytes = archive_of(&members);
    assert!(bytes.len() < 1 << 20);
    assert!(refused(&bytes).contains("'b/5' is larger than"));
}

#[test]
fn what_is_no_file_is_an_error_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let error = read(&dir.path().join("absent.tar.gz")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("absent.tar.gz"), "{error}");
    assert!(read(dir.path()).unwrap_err().to_string().contains("it is a folder: name the archive itself"));
}
