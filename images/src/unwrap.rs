//! Takes the wrapping off a kernel until it is what QEMU's `-kernel` boots, and checks for which machine it is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::deb::decompress;
use crate::error::{Error, IoContext, Result};
use crate::format::{HEAD, Layer, Machine, identify};
use crate::pvh;

/// A kernel in a zboot image in gzip is two layers; nothing sensible has more than this.
const MAX_LAYERS: usize = 4;
/// No kernel is larger than this; a vmlinux with debug information is not far from it.
const MAX_SIZE: u64 = 2 << 30;

/// Creates the file that [`unwrap_kernel`] writes to, and looks at again.
pub(crate) fn create(path: &Path) -> Result<File> {
    File::options().read(true).write(true).create(true).truncate(true).open(path).context("create", path)
}

/// Writes the bare kernel in `input` to `out`, which must be readable. `name` is for messages. Returns the kernel's machine.
pub(crate) fn unwrap_kernel(
    mut input: impl Read + Seek,
    name: &str,
    out: &mut File,
    scratch: impl Fn() -> Result<File>,
) -> Result<Machine> {
    let not = |reason: String| Error::NotAKernel { path: name.to_owned(), reason };
    let mut layer = look(&mut input).map_err(|e| not(e.to_string()))?.map_err(not)?;
    if let Layer::Kernel(machine) = layer {
        finish(&mut input, machine, out, name)?;
        return Ok(machine);
    }
    let mut file = scratch()?;
    peel(&mut input, layer, &mut file, name)?;
    for _ in 1..MAX_LAYERS {
        layer = look(&mut file).map_err(|e| not(e.to_string()))?.map_err(not)?;
        if let Layer::Kernel(machine) = layer {
            finish(&mut file, machine, out, name)?;
            return Ok(machine);
        }
        let mut next = scratch()?;
        peel(&mut file, layer, &mut next, name)?;
        file = next;
    }
    Err(not(format!("it is wrapped more than {MAX_LAYERS} times")))
}

/// The machine of a kernel on disk, and whether the file is bare.
pub(crate) fn inspect(path: &Path) -> Result<Layer> {
    let mut file = File::open(path).context("open the kernel", path)?;
    look(&mut file)
        .context("read the kernel", path)?
        .map_err(|reason| Error::NotAKernel { path: path.display().to_string(), reason })
}

fn look(input: &mut (impl Read + Seek)) -> io::Result<Result<Layer, String>> {
    let mut head = Vec::new();
    input.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    input.seek(SeekFrom::Start(0))?;
    Ok(identify(&head))
}

fn peel(input: &mut (impl Read + Seek), layer: Layer, out: &mut File, name: &str) -> Result<()> {
    let not = |e: io::Error| Error::NotAKernel {
        path: name.to_owned(),
        reason: format!("its compressed part is damaged: {e}"),
    };
    let mut reader = match layer {
        Layer::Kernel(_) => return Ok(()),
        Layer::Compressed(compression) => decompress(compression.suffix(), input).map_err(not)?,
        Layer::Zboot { offset, size, compression } => {
            input.seek(SeekFrom::Start(offset)).map_err(not)?;
            let payload = input.by_ref().take(size);
            decompress(compression.suffix(), payload).map_err(not)?
        }
    };
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    loop {
        let n = reader.read(&mut buffer).map_err(not)?;
        if n == 0 {
            break;
        }
        done += n as u64;
        if done > MAX_SIZE {
            return Err(Error::NotAKernel {
                path: name.to_owned(),
                reason: "it unpacks to more than 2 GiB".to_owned(),
            });
        }
        out.write_all(&buffer[..n]).context("write the unpacked kernel of", name)?;
    }
    out.seek(SeekFrom::Start(0)).context("rewind the unpacked kernel of", name)?;
    Ok(())
}

/// Writes the bare kernel; for x86 the one inside the bzImage, if it can be entered.
fn finish(input: &mut (impl Read + Seek), machine: Machine, out: &mut File, name: &str) -> Result<()> {
    if matches!(machine.elf_machine, 3 | 62) {
        if pvh::extract(input, MAX_SIZE, out).context("write the unpacked kernel of", name)? {
            return Ok(());
        }
        input.seek(SeekFrom::Start(0)).context("rewind", name)?;
    }
    io::copy(input, out).context("write the kernel of", name)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Vec<u8> {
        let mut kernel = vec![0; 5000];
        kernel[..2].copy_from_slice(b"MZ");
        kernel[0x38..0x3c].copy_from_slice(b"RSC\x05");
        kernel
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn zboot(bytes: &[u8]) -> Vec<u8> {
        let payload = zstd::stream::encode_all(bytes, 1).unwrap();
        let mut out = vec![0; 64];
        out[..2].copy_from_slice(b"MZ");
        out[4..8].copy_from_slice(b"zimg");
        out[8..12].copy_from_slice(&64_u32.to_le_bytes());
        out[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        out[24..28].copy_from_slice(b"zstd");
        out.extend(payload);
        out.extend([0x55; 100]); // an EFI program has more sections
        out
    }

    fn unwrapped(bytes: &[u8]) -> Result<(Machine, Vec<u8>)> {
        let mut out = tempfile::tempfile().unwrap();
        let machine = unwrap_kernel(io::Cursor::new(bytes), "vmlinuz", &mut out, || Ok(tempfile::tempfile().unwrap()))?;
        let mut got = Vec::new();
        out.seek(SeekFrom::Start(0)).unwrap();
        out.read_to_end(&mut got).unwrap();
        Ok((machine, got))
    }

    #[test]
    fn every_wrapping_comes_off() {
        for wrapped in [bare(), gz(&bare()), zboot(&bare()), gz(&zboot(&bare()))] {
            let (machine, kernel) = unwrapped(&wrapped).unwrap();
            assert_eq!(machine, Machine { elf_machine: 243, bits: 64 });
            assert_eq!(kernel, bare());
        }
    }

    #[test]
    fn damaged_wrappings_are_errors() {
        let zboot = zboot(&bare());
        let gz = gz(&bare());
        let nested = (0..6).fold(bare(), |inner, _| self::gz(&inner));
        for bytes in [&zboot[..70], &gz[..gz.len() - 9], b"MZ no kernel", b"", &nested[..]] {
            assert!(matches!(unwrapped(bytes), Err(Error::NotAKernel { .. })), "{} bytes", bytes.len());
        }
    }
}
