//! The machine code that the JIT made of a program, disassembled around its calls: `BPF_OBJ_GET_INFO_BY_FD` and LLVM's
//! disassembler. Evidence for people; when it cannot be had, a line says why.

use std::io::Write as _;
use std::process::{Command, Stdio};

use object::write::Object;
use object::{Architecture, BinaryFormat, Endianness, SectionKind};

use crate::arch::{Arch, Endian};
use crate::bpf::attr::{Attr, cmd, peeked, result, submit};
use crate::btf::{at_u32, at_u64, put_u64};
use crate::sys::{Batch, Sys, SysError};

/// Bytes of `struct bpf_prog_info` that are asked for, up to `jited_func_lens`.
const INFO: u64 = 128;
/// Most code fetched.
const CODE_MAX: u32 = 64 << 10;
/// Lines shown before the last call, and after it.
const BEFORE: usize = 22;
/// See [`BEFORE`].
const AFTER: usize = 8;

/// The code around a program's last call, or why there is none to show.
///
/// # Errors
/// When the guest is gone.
pub(crate) fn around_call(sys: &mut dyn Sys, arch: &Arch, program: i32) -> Result<Option<String>, SysError> {
    let Some((address, code)) = fetch(sys, program)? else { return Ok(None) };
    Ok(Some(match disassemble(arch, address, &code) {
        Ok(lines) => window(&lines).join("\n"),
        Err(why) => format!("not disassembled: {why}"),
    }))
}

/// Address and bytes of a program's first function.
pub(super) fn fetch(sys: &mut dyn Sys, program: i32) -> Result<Option<(u64, Vec<u8>)>, SysError> {
    let target = sys.target().clone();
    let info = |batch: &mut Batch, room: u32, code: u64, address: u64, length: u64| {
        let mut bytes = vec![0; INFO as usize];
        let mut put32 = |at: usize, value: u32| {
            let value = match target.endian {
                Endian::Little => value.to_le_bytes(),
                Endian::Big => value.to_be_bytes(),
            };
            bytes[at..at + 4].copy_from_slice(&value);
        };
        put32(16, room);
        put32(104, u32::from(address != 0));
        put32(108, u32::from(length != 0));
        for (at, value) in [(24, code), (112, address), (120, length)] {
            let mut word = Vec::new();
            put_u64(target.endian, &mut word, value);
            bytes[at..at + 8].copy_from_slice(&word);
        }
        let at = batch.bytes(bytes);
        let attr = Attr::new(target.endian, 16).fd(0, program).u32(4, INFO as u32).u64(8, at);
        attr.call(batch, target.syscalls.bpf, cmd::OBJ_GET_INFO_BY_FD);
        batch.peek(at, INFO);
    };
    let mut batch = Batch::new(&target);
    let code = batch.zeroed(u64::from(CODE_MAX));
    let address = batch.zeroed(8);
    let length = batch.zeroed(8);
    info(&mut batch, CODE_MAX, code, address, length);
    batch.peek(address, 8);
    batch.peek(length, 4);
    let replies = submit(sys, &batch)?;
    if result(&replies, 0)?.is_err() {
        return Ok(None);
    }
    let all = at_u32(target.endian, peeked(&replies, 0)?, 16).unwrap_or(0);
    let first = at_u32(target.endian, peeked(&replies, 2)?, 0).unwrap_or(0);
    let bytes = if first == 0 { all } else { first }.min(all).min(CODE_MAX);
    let start = at_u64(target.endian, peeked(&replies, 1)?, 0).unwrap_or(0);
    if bytes == 0 {
        return Ok(None);
    }
    let mut batch = Batch::new(&target);
    // The same place as before: each batch begins at the arena's start, and nothing was written there since.
    let again = batch.reserve(u64::from(CODE_MAX));
    batch.peek(again, u64::from(bytes));
    let replies = submit(sys, &batch)?;
    Ok(Some((start, peeked(&replies, 0)?.to_vec())))
}

/// `address: bytes instruction`, one a line.
fn disassemble(arch: &Arch, address: u64, code: &[u8]) -> Result<Vec<String>, String> {
    let clang = images::clang().map_err(|e| e.to_string())?;
    let program = beside(&clang.path, "llvm-objdump");
    let mut file = tempfile::Builder::new().suffix(".o").tempfile().map_err(|e| e.to_string())?;
    file.write_all(&elf(arch, code)?).map_err(|e| e.to_string())?;
    let output = Command::new(&program)
        .args([
            "-d",
            "--no-print-imm-hex",
            &format!("--adjust-vma={address:#x}"),
            &format!("--mattr={}", features(arch)),
        ])
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {program}: {e}; it comes with LLVM (on Debian: apt-get install llvm)"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {}", said.lines().next().unwrap_or("no reason given")));
    }
    let is_code = |line: &&str| {
        let rest = line.trim_start();
        rest.split_once(':').is_some_and(|(at, _)| !at.is_empty() && at.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter(is_code).map(|line| line.trim_end().replace('\t', " ").trim_start().to_owned()).collect())
}

/// The program of LLVM's that is installed beside clang: `clang-19` has `llvm-objdump-19`.
fn beside(clang: &std::path::Path, tool: &str) -> String {
    let name = clang.file_name().unwrap_or_default().to_string_lossy();
    let suffix = name.strip_prefix("clang").unwrap_or_default();
    clang.with_file_name(format!("{tool}{suffix}")).display().to_string()
}

fn elf(arch: &Arch, code: &[u8]) -> Result<Vec<u8>, String> {
    // e_machine of elf.h.
    let architecture = match (arch.machine.elf_machine, arch.machine.bits) {
        (62, _) => Architecture::X86_64,
        (3, _) => Architecture::I386,
        (183, _) => Architecture::Aarch64,
        (243, 64) => Architecture::Riscv64,
        (258, 64) => Architecture::LoongArch64,
        (22, 64) => Architecture::S390x,
        (21, _) => Architecture::PowerPc64,
        (40, _) => Architecture::Arm,
        (machine, bits) => return Err(format!("no disassembler is known for ELF machine {machine} of {bits} bits")),
    };
    let endian = match arch.endian {
        Endian::Little => Endianness::Little,
        Endian::Big => Endianness::Big,
    };
    let mut elf = Object::new(BinaryFormat::Elf, architecture, endian);
    let section = elf.add_section(Vec::new(), b".text".to_vec(), SectionKind::Text);
    elf.append_section_data(section, code, 16);
    elf.write().map_err(|e| e.to_string())
}

/// Extensions that JITs use and LLVM does not take for granted.
fn features(arch: &Arch) -> &'static str {
    match arch.machine.elf_machine {
        243 => "+m,+a,+f,+d,+c,+zba,+zbb,+zacas,+zabha",
        183 => "+v8.5a,+lse,+pauth,+bti",
        _ => "",
    }
}

/// What stands around the last call.
fn window(lines: &[String]) -> &[String] {
    let is_call = |line: &String| {
        let mut words = line.split_whitespace();
        words.any(|word| {
            matches!(word, "call" | "callq" | "calll" | "bl" | "blr" | "jalr" | "jal" | "jirl" | "brasl" | "bctrl")
        })
    };
    let at = lines.iter().rposition(is_call).unwrap_or(0);
    &lines[at.saturating_sub(BEFORE)..(at + AFTER).min(lines.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(arch: &str, code: &[u8]) -> Vec<String> {
        let arches = crate::arch::load(&[]).unwrap();
        let arch = arches.iter().find(|candidate| candidate.name == arch).unwrap();
        disassemble(arch, 0x1000, code).unwrap()
    }

    #[test]
    fn code_of_every_arch_is_read() {
        let x86 = shown("x86_64", &[0x48, 0x89, 0xf8, 0xe8, 1, 2, 3, 4, 0xc3]);
        assert_eq!(x86.len(), 3);
        assert!(x86[0].starts_with("1000:") && x86[0].contains("movq"), "{x86:?}");
        assert!(shown("riscv64", &[0x82, 0x80])[0].contains("ret"));
        assert!(shown("arm64", &[0xc0, 0x03, 0x5f, 0xd6])[0].contains("ret"));
        assert!(shown("loongarch64", &[0x20, 0x00, 0x00, 0x4c])[0].contains("ret"));
        assert!(shown("x86_32", &[0xc3])[0].contains("ret"));
    }

    #[test]
    fn the_window_is_around_the_last_call() {
        let lines: Vec<String> =
            (0..100).map(|n| if n == 50 { "50: e8 callq 0x1".into() } else { format!("{n}: nop") }).collect();
        let shown = window(&lines);
        assert_eq!((shown[0].as_str(), shown.len()), ("28: nop", BEFORE + AFTER));
        assert!(window(&[]).is_empty());
    }
}
