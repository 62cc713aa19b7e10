//! Integers in either byte order, in bounded buffers.

use crate::arch::Endian;

/// The two bytes at `at`, if they are inside.
pub(crate) fn at_u16(endian: Endian, bytes: &[u8], at: usize) -> Option<u16> {
    let b = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(match endian {
        Endian::Little => u16::from_le_bytes(b),
        Endian::Big => u16::from_be_bytes(b),
    })
}

/// The four bytes at `at`, if they are inside.
pub(crate) fn at_u32(endian: Endian, bytes: &[u8], at: usize) -> Option<u32> {
    let b = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(match endian {
        Endian::Little => u32::from_le_bytes(b),
        Endian::Big => u32::from_be_bytes(b),
    })
}

/// The eight bytes at `at`, if they are inside.
pub(crate) fn at_u64(endian: Endian, bytes: &[u8], at: usize) -> Option<u64> {
    let b = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
    Some(match endian {
        Endian::Little => u64::from_le_bytes(b),
        Endian::Big => u64::from_be_bytes(b),
    })
}

/// Appends two bytes.
pub(crate) fn put_u16(endian: Endian, out: &mut Vec<u8>, value: u16) {
    out.extend(match endian {
        Endian::Little => value.to_le_bytes(),
        Endian::Big => value.to_be_bytes(),
    });
}

/// Appends four bytes.
pub(crate) fn put_u32(endian: Endian, out: &mut Vec<u8>, value: u32) {
    out.extend(match endian {
        Endian::Little => value.to_le_bytes(),
        Endian::Big => value.to_be_bytes(),
    });
}

/// Appends eight bytes.
pub(crate) fn put_u64(endian: Endian, out: &mut Vec<u8>, value: u64) {
    out.extend(match endian {
        Endian::Little => value.to_le_bytes(),
        Endian::Big => value.to_be_bytes(),
    });
}
