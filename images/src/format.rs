//! What a kernel file is, told from its first bytes: wrapped (gzip, zstd, xz, EFI zboot) or bare, and for which machine.
//!
//! Sources: Documentation/arch/x86/boot.rst, Documentation/arch/arm64/booting.rst,
//! Documentation/arch/riscv/boot-image-header.rst, arch/arm/boot/compressed/head.S (zImage magic),
//! drivers/firmware/efi/libstub/zboot-header.S, the PE and ELF specifications. Pure.

use serde::{Deserialize, Serialize};

/// Bytes that [`identify`] wants to see.
pub(crate) const HEAD: usize = 4096;

/// What an arch's kernels look like, so that a kernel for another arch is caught before it is booted. Part of an arch file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// `e_machine` of the ELF specification, which stands for the machine in every format: 62, 183, 243, 258, 40.
    pub elf_machine: u16,
    /// 32 or 64.
    pub bits: u8,
}

impl Machine {
    /// For messages.
    pub fn name(self) -> String {
        let name = match self.elf_machine {
            3 => "x86",
            8 => "MIPS",
            15 => "PA-RISC",
            20 | 21 => "PowerPC",
            22 => "S/390",
            40 => "ARM",
            62 => "x86-64",
            183 => "AArch64",
            243 => "RISC-V",
            258 => "LoongArch",
            other => return format!("ELF machine {other}, {} bits", self.bits),
        };
        format!("{name}, {} bits", self.bits)
    }
}

/// A way to wrap a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
    Xz,
}

impl Compression {
    /// As [`crate::deb::decompress`] calls it.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
            Self::Xz => "xz",
        }
    }
}

/// The outermost layer of a kernel file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The whole file is compressed.
    Compressed(Compression),
    /// An EFI program that carries the kernel (`CONFIG_EFI_ZBOOT`).
    Zboot { offset: u64, size: u64, compression: Compression },
    /// A kernel that QEMU's `-kernel` takes as it is.
    Kernel(Machine),
}

/// Looks at the first [`HEAD`] bytes (fewer for a shorter file).
pub(crate) fn identify(head: &[u8]) -> Result<Layer, String> {
    if let Some(compression) = compression(head) {
        return Ok(Layer::Compressed(compression));
    }
    if at(head, 4, b"zimg") {
        return zboot(head);
    }
    if at(head, 0x202, b"HdrS") {
        // xloadflags (boot protocol 2.12): bit 0 is XLF_KERNEL_64.
        let wide = u16_at(head, 0x206) >= Some(0x020c) && u16_at(head, 0x236).is_some_and(|flags| flags & 1 != 0);
        return Ok(Layer::Kernel(if wide { machine(62, 64) } else { machine(3, 32) }));
    }
    if at(head, 0x38, b"ARM\x64") {
        return Ok(Layer::Kernel(machine(183, 64)));
    }
    if at(head, 0x38, b"RSC\x05") {
        let bits = if pe_machine(head) == Some(0x5032) { 32 } else { 64 };
        return Ok(Layer::Kernel(machine(243, bits)));
    }
    if at(head, 0x24, &0x016f_2818_u32.to_le_bytes()) {
        return Ok(Layer::Kernel(machine(40, 32)));
    }
    if at(head, 0, b"\x7fELF") {
        return elf(head);
    }
    if at(head, 0, b"MZ") {
        let pe = pe_machine(head).ok_or("it begins like an EFI program but has no PE header")?;
        return Ok(Layer::Kernel(match pe {
            0x014c => machine(3, 32),
            0x8664 => machine(62, 64),
            0xaa64 => machine(183, 64),
            0x01c0 | 0x01c2 | 0x01c4 => machine(40, 32),
            0x5032 => machine(243, 32),
            0x5064 => machine(243, 64),
            0x6232 => machine(258, 32),
            0x6264 => machine(258, 64),
            other => return Err(format!("it is an EFI program for the unknown machine {other:#06x}")),
        }));
    }
    Err("its format is none of bzImage, Image, zImage, EFI program, ELF, or one of these in gzip, zstd, xz or EFI zboot".to_owned())
}

fn machine(elf_machine: u16, bits: u8) -> Machine {
    Machine { elf_machine, bits }
}

/// The compression that begins so.
pub(crate) fn compression(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Xz),
        _ => None,
    }
}

/// Where in a bzImage the compressed kernel is (boot protocol 2.08: `payload_offset` counts from the protected-mode code).
pub(crate) fn bzimage_payload(head: &[u8]) -> Option<(u64, u64)> {
    if !at(head, 0x202, b"HdrS") || u16_at(head, 0x206)? < 0x0208 {
        return None;
    }
    let sectors = match *head.get(0x1f1)? {
        0 => 4, // as the protocol says of old kernels
        n => u64::from(n),
    };
    Some(((sectors + 1) * 512 + u64::from(u32_at(head, 0x248)?), u32_at(head, 0x24c)?.into()))
}

/// Offset and size of the payload at 8 and 12, its compression in words at 24.
fn zboot(head: &[u8]) -> Result<Layer, String> {
    let short = || "its EFI zboot header is cut short".to_owned();
    let (offset, size) = (u32_at(head, 8).ok_or_else(short)?, u32_at(head, 12).ok_or_else(short)?);
    let name = head.get(24..56).ok_or_else(short)?.split(|b| *b == 0).next().unwrap_or_default();
    let compression = match name {
        b"gzip" => Compression::Gzip,
        b"zstd" | b"zstd22" => Compression::Zstd,
        b"xzkern" | b"xz" => Compression::Xz,
        other => return Err(format!("its EFI zboot compression '{}' is not supported", other.escape_ascii())),
    };
    Ok(Layer::Zboot { offset: offset.into(), size: size.into(), compression })
}

fn elf(head: &[u8]) -> Result<Layer, String> {
    let bits = match head.get(4) {
        Some(1) => 32,
        Some(2) => 64,
        _ => return Err("its ELF header has no class".to_owned()),
    };
    let raw: [u8; 2] = head.get(18..20).and_then(|b| b.try_into().ok()).ok_or("its ELF header is cut short")?;
    let elf_machine = if head.get(5) == Some(&2) { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) };
    Ok(Layer::Kernel(machine(elf_machine, bits)))
}

fn pe_machine(head: &[u8]) -> Option<u16> {
    let pe = u32_at(head, 0x3c)? as usize;
    at(head, pe, b"PE\0\0").then(|| u16_at(head, pe + 4))?
}

fn at(bytes: &[u8], offset: usize, magic: &[u8]) -> bool {
    offset.checked_add(magic.len()).and_then(|end| bytes.get(offset..end)) == Some(magic)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(offset..offset.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        for (offset, part) in parts {
            bytes[*offset..offset + part.len()].copy_from_slice(part);
        }
        bytes
    }

    #[test]
    fn tells_the_formats_that_debian_ships() {
        let pe = |machine: u16| (0x3c_usize, [&0x40_u32.to_le_bytes()[..], b"PE\0\0", &machine.to_le_bytes()].concat());
        let (at, loong) = pe(0x6264);
        let cases: &[(Vec<u8>, Layer)] = &[
            (head(&[(0, b"MZ"), (0x202, b"HdrS\x0f\x02"), (0x236, b"\x7f\x00")]), Layer::Kernel(machine(62, 64))),
            (head(&[(0x202, b"HdrS\x0f\x02"), (0x236, b"\x00\x00")]), Layer::Kernel(machine(3, 32))),
            (head(&[(0, b"MZ"), (0x38, b"ARM\x64")]), Layer::Kernel(machine(183, 64))),
            (head(&[(0, b"MZ"), (0x38, b"RSC\x05")]), Layer::Kernel(machine(243, 64))),
            (head(&[(0x24, b"\x18\x28\x6f\x01")]), Layer::Kernel(machine(40, 32))),
            (head(&[(0, b"MZ"), (at, &loong)]), Layer::Kernel(machine(258, 64))),
            (head(&[(0, b"\x7fELF\x02\x01"), (18, b"\x3e\x00")]), Layer::Kernel(machine(62, 64))),
            (head(&[(0, b"\x7fELF\x02\x02"), (18, b"\x00\x16")]), Layer::Kernel(machine(22, 64))),
            (head(&[(0, b"\x1f\x8b")]), Layer::Compressed(Compression::Gzip)),
            (
                head(&[(0, b"MZ\0\0zimg"), (8, b"\xe0\x5c\x01\x00\x1a\x3a\x84\x00"), (24, b"zstd")]),
                Layer::Zboot { offset: 0x15ce0, size: 0x843a1a, compression: Compression::Zstd },
            ),
        ];
        for (bytes, want) in cases {
            assert_eq!(identify(bytes).as_ref(), Ok(want));
        }
    }

    #[test]
    fn garbage_of_any_length_is_an_error_and_no_panic() {
        for length in [0, 1, 2, 5, 0x40, 0x204, HEAD] {
            assert!(identify(&vec![b'x'; length]).is_err());
            assert!(identify(&[b"MZ\0\0zimg".as_slice(), &vec![0xff; length]].concat()).is_err());
            assert!(identify(&[b"\x7fELF".as_slice(), &vec![0xff; length.min(4)]].concat()).is_err());
        }
        let mut wild = head(&[(0, b"MZ")]);
        wild[0x3c..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(identify(&wild).is_err());
    }
}
