//! `.BTF.ext`: which type a function has, which source line an instruction has, and the CO-RE relocations.
//!
//! Every offset is that of an instruction in its section, in bytes, as clang wrote it.

use std::collections::BTreeMap;

use super::error::ObjectError;
use crate::arch::Endian;
use crate::btf::{Btf, at_u16, at_u32};

const NAME: &str = ".BTF.ext";
const MAGIC: u16 = 0xeb9f;

/// One CO-RE relocation (`struct bpf_core_relo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CoreRelo {
    /// Byte offset of the instruction in its section.
    pub insn_off: u32,
    /// Root type, in the object's BTF.
    pub type_id: u32,
    /// String offset of the access path, e.g. `0:1:2`.
    pub access: u32,
    /// `enum bpf_core_relo_kind`.
    pub kind: u32,
}

/// One line (`struct bpf_line_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineInfo {
    /// Byte offset of the instruction in its section.
    pub insn_off: u32,
    /// String offset of the file's name.
    pub file: u32,
    /// String offset of the line's text.
    pub text: u32,
    /// `line << 10 | column`.
    pub line_col: u32,
}

/// What one section has.
#[derive(Debug, Clone, Default)]
pub(crate) struct SectionInfo {
    /// (byte offset, type id of the FUNC), in file order.
    pub funcs: Vec<(u32, u32)>,
    /// Sorted by offset.
    pub lines: Vec<LineInfo>,
    /// Sorted by offset.
    pub relos: Vec<CoreRelo>,
}

/// The whole, by section name.
#[derive(Debug, Clone, Default)]
pub(crate) struct BtfExt {
    pub sections: BTreeMap<String, SectionInfo>,
}

impl BtfExt {
    /// Parses the section's bytes; names are looked up in the object's BTF.
    pub fn parse(bytes: &[u8], btf: &Btf) -> Result<Self, ObjectError> {
        let endian = btf.endian();
        if at_u16(endian, bytes, 0) != Some(MAGIC) || bytes.get(2) != Some(&1) {
            return Err(ObjectError::malformed(NAME, "not a version 1 header in the object's byte order"));
        }
        let word = |at| at_u32(endian, bytes, at).ok_or_else(|| ObjectError::malformed(NAME, "truncated header"));
        let header = word(4)?;
        let mut ext = Self::default();
        ext.rows(bytes, btf, (header, word(8)?, word(12)?), 8, |section, row| {
            section.funcs.push((field(endian, row, 0), field(endian, row, 1)));
        })?;
        ext.rows(bytes, btf, (header, word(16)?, word(20)?), 16, |section, row| {
            section.lines.push(LineInfo {
                insn_off: field(endian, row, 0),
                file: field(endian, row, 1),
                text: field(endian, row, 2),
                line_col: field(endian, row, 3),
            });
        })?;
        // The CO-RE part came later (LLVM 10): a shorter header has none.
        if header >= 32 {
            ext.rows(bytes, btf, (header, word(24)?, word(28)?), 16, |section, row| {
                section.relos.push(CoreRelo {
                    insn_off: field(endian, row, 0),
                    type_id: field(endian, row, 1),
                    access: field(endian, row, 2),
                    kind: field(endian, row, 3),
                });
            })?;
        }
        for section in ext.sections.values_mut() {
            section.lines.sort_by_key(|line| line.insn_off);
            section.relos.sort_by_key(|relo| relo.insn_off);
        }
        Ok(ext)
    }

    /// One part: a record size, then per section a name, a count and the records.
    fn rows(
        &mut self,
        bytes: &[u8],
        btf: &Btf,
        (header, offset, len): (u32, u32, u32),
        least: usize,
        mut take: impl FnMut(&mut SectionInfo, &[u8]),
    ) -> Result<(), ObjectError> {
        if len == 0 {
            return Ok(());
        }
        let bad = |what: &str| ObjectError::malformed(NAME, what);
        let start = header as usize + offset as usize;
        let part = bytes.get(start..start.saturating_add(len as usize)).ok_or_else(|| bad("a part is not inside"))?;
        let endian = btf.endian();
        let record = at_u32(endian, part, 0).ok_or_else(|| bad("truncated part"))? as usize;
        if record < least || record > 256 {
            return Err(bad("nonsensical record size"));
        }
        let mut at = 4;
        while at < part.len() {
            let name = at_u32(endian, part, at).ok_or_else(|| bad("truncated section head"))?;
            let count = at_u32(endian, part, at + 4).ok_or_else(|| bad("truncated section head"))? as usize;
            at += 8;
            let end = count.checked_mul(record).and_then(|n| n.checked_add(at));
            let rows = end.and_then(|end| part.get(at..end)).ok_or_else(|| bad("truncated records"))?;
            let section = self.sections.entry(btf.string(name).to_owned()).or_default();
            rows.chunks_exact(record).for_each(|row| take(section, row));
            at += rows.len();
        }
        Ok(())
    }
}

fn field(endian: Endian, row: &[u8], index: usize) -> u32 {
    at_u32(endian, row, 4 * index).unwrap_or(0)
}
