//! What the module says it received: `struct kfunc_record` of `testcases/kmod`, read from its log.

use crate::arch::Endian;
use crate::btf::{at_u32, at_u64};

/// Bytes of one record.
pub const BYTES: usize = 160;
/// Most records the log holds.
pub const MOST: usize = 4096;
/// Flag: the stack pointer was not aligned as the psABI demands when the function was entered.
pub const MISALIGNED: u32 = 1;
/// Flag: records were lost after this one.
pub const LOST: u32 = 2;
/// Flag: the function does not do on this architecture what its name says.
pub const NOT_IMPLEMENTED: u32 = 4;

impl Record {
    /// Whether the argument at a position, from 1, was not equal to itself after it went through memory.
    pub fn differs(&self, position: usize) -> bool {
        self.flags >> (7 + position) & 1 != 0
    }
}

/// One call as its callee saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Name of the function.
    pub name: String,
    /// Flags.
    pub flags: u32,
    /// Arguments, widened to 64 bits as C widens them.
    pub args: Vec<u64>,
    /// Stack pointer or frame address.
    pub sp: u64,
    /// What it returned, widened.
    pub result: u64,
}

/// Takes a log apart. A cut record at the end is left out, names are bounded: it comes from a guest.
pub fn parse(endian: Endian, bytes: &[u8]) -> Vec<Record> {
    let one = |bytes: &[u8]| -> Option<Record> {
        let name = bytes.get(..40)?;
        let name = name.split(|&b| b == 0).next().unwrap_or_default();
        let count = (at_u32(endian, bytes, 40)? as usize).min(12);
        let args: Option<Vec<u64>> = (0..count).map(|index| at_u64(endian, bytes, 48 + 8 * index)).collect();
        Some(Record {
            name: crate::guest::console::clean(&String::from_utf8_lossy(name)),
            flags: at_u32(endian, bytes, 44)?,
            args: args?,
            sp: at_u64(endian, bytes, 144)?,
            result: at_u64(endian, bytes, 152)?,
        })
    };
    bytes.chunks_exact(BYTES).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_as_the_module_writes_it() {
        let mut bytes = vec![0; BYTES + 7];
        bytes[..9].copy_from_slice(b"kfc_rec_0");
        bytes[40] = 200; // more arguments than there can be
        bytes[44] = 1;
        bytes[48] = 0x80;
        bytes[152] = 9;
        let records = parse(Endian::Little, &bytes);
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].name.as_str(), records[0].flags, records[0].result), ("kfc_rec_0", 1, 9));
        assert!(!(1..=12).any(|position| records[0].differs(position)));
        bytes[45] = 2;
        assert!(parse(Endian::Little, &bytes)[0].differs(2));
        assert_eq!((records[0].args.len(), records[0].args[0]), (12, 0x80));
    }
}
