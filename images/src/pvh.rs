//! The kernel inside an x86 bzImage, when QEMU can boot it directly.
//!
//! A bzImage decompresses itself in the guest, which under TCG takes as long as the whole boot that follows (measured: 9 s
//! against 5 s to the agent on a busy machine). The `vmlinux` inside can be entered by the PVH protocol (`CONFIG_PVH`,
//! Documentation of Xen's `XEN_ELFNOTE_PHYS32_ENTRY`, QEMU hw/i386/x86-common.c), so it is taken out here once. The kernel
//! is the same; it only stays at the address it was linked for (as with `nokaslr`).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use object::read::elf::{ElfFile, FileHeader, ProgramHeader};

use crate::deb::decompress;
use crate::format::bzimage_payload;

/// Writes the inner kernel to `out`, which is empty. `Ok(false)`: it has none that QEMU could enter, the bzImage is booted as
/// it is, and `out` is empty again. Errors are those of `out` alone.
pub(crate) fn extract(bzimage: &mut (impl Read + Seek), limit: u64, out: &mut File) -> io::Result<bool> {
    let Some(payload) = payload(bzimage) else { return Ok(false) };
    let mut payload = payload.take(limit + 1);
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    loop {
        let n = match payload.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(_) => {
                done = limit + 1;
                break;
            }
        };
        done += n as u64;
        out.write_all(&buffer[..n])?;
    }
    let mut usable = (1..=limit).contains(&done);
    if usable {
        // A file that cannot be read would look like a kernel without an entry.
        out.seek(SeekFrom::Start(0))?;
        out.read_exact(&mut [0])?;
        usable = has_entry(out);
    }
    if !usable {
        out.set_len(0)?;
        out.seek(SeekFrom::Start(0))?;
    }
    Ok(usable)
}

/// A reader of the decompressed payload.
fn payload<'a>(bzimage: &'a mut (impl Read + Seek)) -> Option<Box<dyn Read + 'a>> {
    let mut head = vec![0; 0x260];
    bzimage.seek(SeekFrom::Start(0)).ok()?;
    bzimage.read_exact(&mut head).ok()?;
    let (offset, size) = bzimage_payload(&head)?;
    let mut magic = [0; 6];
    bzimage.seek(SeekFrom::Start(offset)).ok()?;
    bzimage.read_exact(&mut magic).ok()?;
    let compression = crate::format::compression(&magic)?;
    // scripts/Makefile.lib: all but gzip have the unpacked size appended, which is no part of the compressed stream.
    let size = if compression == crate::format::Compression::Gzip { size } else { size.checked_sub(4)? };
    bzimage.seek(SeekFrom::Start(offset)).ok()?;
    decompress(compression.suffix(), bzimage.by_ref().take(size)).ok()
}

/// Whether an ELF file has the note that QEMU looks for: owner `Xen`, type 18.
fn has_entry(file: &File) -> bool {
    let cache = object::ReadCache::new(file);
    noted::<object::elf::FileHeader64<object::Endianness>>(&cache)
        || noted::<object::elf::FileHeader32<object::Endianness>>(&cache)
}

fn noted<Elf: FileHeader<Endian = object::Endianness>>(cache: &object::ReadCache<&File>) -> bool {
    let Ok(elf) = ElfFile::<Elf, _>::parse(cache) else { return false };
    elf.elf_program_headers().iter().any(|segment| {
        let Ok(Some(mut notes)) = segment.notes(elf.endian(), elf.data()) else { return false };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == b"Xen" && note.n_type(elf.endian()) == object::elf::NoteType(18) {
                return true;
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest ELF32 with one PT_NOTE segment.
    fn elf32(owner: &[u8; 4], kind: u32) -> Vec<u8> {
        let mut out = vec![0; 52 + 32];
        out[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
        out[16..20].copy_from_slice(&[2, 0, 3, 0]); // ET_EXEC, EM_386
        out[20] = 1;
        out[28] = 52; // e_phoff
        out[40..46].copy_from_slice(&[52, 0, 32, 0, 1, 0]); // e_ehsize, e_phentsize, e_phnum
        out[52] = 4; // PT_NOTE
        out[56..58].copy_from_slice(&84_u16.to_le_bytes()); // p_offset
        out[68] = 20; // p_filesz
        out[72] = 20; // p_memsz
        out[80] = 4; // p_align
        note(&mut out, owner, kind);
        out
    }

    fn note(out: &mut Vec<u8>, owner: &[u8; 4], kind: u32) {
        for word in [4, 4, kind] {
            out.extend(word.to_le_bytes());
        }
        out.extend(owner);
        out.extend(0x0100_0000_u32.to_le_bytes());
    }

    /// The smallest ELF64 with one PT_NOTE segment.
    fn elf(owner: &[u8; 4], kind: u32) -> Vec<u8> {
        let mut out = vec![0; 64 + 56];
        out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        out[16..20].copy_from_slice(&[2, 0, 62, 0]); // ET_EXEC, EM_X86_64
        out[20] = 1;
        out[32] = 64; // e_phoff
        out[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]); // e_ehsize, e_phentsize, e_phnum
        out[64] = 4; // PT_NOTE
        out[72..74].copy_from_slice(&120_u16.to_le_bytes()); // p_offset
        out[96] = 20; // p_filesz
        out[104] = 20; // p_memsz
        out[112] = 4; // p_align
        note(&mut out, owner, kind);
        out
    }

    fn bzimage(inner: &[u8]) -> Vec<u8> {
        let mut payload = zstd::stream::encode_all(inner, 1).unwrap();
        payload.extend((inner.len() as u32).to_le_bytes());
        let mut out = vec![0; 1024];
        out[0x1f1] = 1; // setup sectors, besides the boot sector
        out[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
        out[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        out[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend([0xcc; 16]);
        out.extend(payload);
        out
    }

    fn extracted(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = tempfile::tempfile().unwrap();
        let found = extract(&mut io::Cursor::new(bytes), 1 << 20, &mut out).unwrap();
        let mut got = Vec::new();
        out.seek(SeekFrom::Start(0)).unwrap();
        out.read_to_end(&mut got).unwrap();
        assert_eq!(found, !got.is_empty());
        found.then_some(got)
    }

    #[test]
    fn takes_the_kernel_out_if_it_has_the_entry() {
        for inner in [elf(b"Xen\0", 18), elf32(b"Xen\0", 18)] {
            assert_eq!(extracted(&bzimage(&inner)), Some(inner));
        }
        assert_eq!(extracted(&bzimage(&elf32(b"Xen\0", 17))), None);
        assert_eq!(extracted(&bzimage(&elf(b"Xen\0", 17))), None);
        assert_eq!(extracted(&bzimage(&elf(b"GNU\0", 18))), None);
        assert_eq!(extracted(&bzimage(b"no ELF")), None);
    }

    #[test]
    fn an_output_that_cannot_be_looked_at_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = File::create(dir.path().join("kernel")).unwrap();
        let input = bzimage(&elf(b"Xen\0", 18));
        assert!(extract(&mut io::Cursor::new(&input), 1 << 20, &mut out).is_err());
        let mut out = crate::unwrap::create(&dir.path().join("kernel")).unwrap();
        assert!(extract(&mut io::Cursor::new(&input), 1 << 20, &mut out).unwrap());
    }

    #[test]
    fn anything_odd_leaves_the_bzimage_alone() {
        let good = bzimage(&elf(b"Xen\0", 18));
        for length in [0, 0x200, 0x250, 1040, good.len() - 20] {
            assert_eq!(extracted(&good[..length]), None, "{length}");
        }
        let mut large = good.clone();
        large[0x248..0x24c].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(extracted(&large), None);
        assert_eq!(extracted(&bzimage(&vec![0; 2 << 20])), None, "larger than the limit");
    }
}
