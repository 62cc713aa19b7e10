//! One program made of its function and everything it calls, the way the kernel wants it: functions one after another,
//! distances between them filled in, type and line information moved along. Pure; maps and kfuncs are left to the loader
//! as [`Fixup`]s.

use super::btfext::{CoreRelo, LineInfo};
use super::error::ObjectError;
use super::insn::Insn;
use super::object::{Object, Reference};
use crate::btf::put_u32;

/// The kernel's limit on instructions of a privileged program (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MAX_INSNS: usize = 1_000_000;
/// Bytes of `struct bpf_func_info` and of `struct bpf_line_info`.
pub(crate) const FUNC_INFO: u32 = 8;
/// See [`FUNC_INFO`].
pub(crate) const LINE_INFO: u32 = 16;

/// A linked program.
#[derive(Debug, Default)]
pub(crate) struct Linked {
    pub insns: Vec<Insn>,
    pub fixups: Vec<Fixup>,
    pub core: Vec<(usize, CoreRelo)>,
    /// (instruction, type id of the FUNC).
    funcs: Vec<(u32, u32)>,
    /// (instruction, line).
    lines: Vec<(u32, LineInfo)>,
    /// First instruction of each function and its name, for messages.
    places: Vec<(usize, String)>,
}

/// An instruction that waits for a map's fd or a kernel symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixup {
    pub at: usize,
    pub what: Reference,
}

impl Linked {
    /// Links the function with this index.
    pub fn new(object: &Object, entry: usize) -> Result<Self, ObjectError> {
        let order = object.closure(entry)?;
        let mut linked = Self::default();
        let mut start_of = Vec::with_capacity(order.len());
        for &index in &order {
            let function = &object.functions[index];
            start_of.push((index, linked.insns.len()));
            linked.places.push((linked.insns.len(), function.name.clone()));
            linked.append(object, index);
            if linked.insns.len() > MAX_INSNS {
                return Err(ObjectError::malformed(&function.name, "more than a million instructions"));
            }
        }
        for &(index, start) in &start_of {
            let function = &object.functions[index];
            for at in 0..function.len {
                let Some(Ok(callee)) = object.callee(function, at) else { continue };
                let Some(&(_, target)) = start_of.iter().find(|(i, _)| *i == callee) else { continue };
                let here = start + at as usize;
                let insn = &mut linked.insns[here];
                // Both kinds count instructions from the next one.
                insn.imm = (target as i64 - here as i64 - 1) as i32;
            }
        }
        Ok(linked)
    }

    fn append(&mut self, object: &Object, index: usize) {
        let function = &object.functions[index];
        let base = self.insns.len();
        self.insns.extend_from_slice(object.insns_of(function));
        for at in 0..function.len {
            match object.references.get(&(function.section, function.start + at)) {
                None | Some(Reference::Code { .. }) => {}
                Some(&what) => self.fixups.push(Fixup { at: base + at as usize, what }),
            }
        }
        let Some(info) = object.info(function.section) else { return };
        let (from, to) = (8 * function.start, 8 * (function.start + function.len));
        let moved = |offset: u32| base as u32 + (offset - from) / 8;
        if let Some(&(offset, type_id)) = info.funcs.iter().find(|(offset, _)| *offset == from) {
            self.funcs.push((moved(offset), type_id));
        }
        let begin = info.lines.partition_point(|line| line.insn_off < from);
        for line in info.lines[begin..].iter().take_while(|line| line.insn_off < to) {
            self.lines.push((moved(line.insn_off), *line));
        }
        let begin = info.relos.partition_point(|relo| relo.insn_off < from);
        for relo in info.relos[begin..].iter().take_while(|relo| relo.insn_off < to) {
            self.core.push((moved(relo.insn_off) as usize, *relo));
        }
    }

    /// `function+instruction`, for messages.
    pub fn place(&self, at: usize) -> String {
        match self.places.iter().rfind(|(start, _)| *start <= at) {
            Some((start, name)) => format!("{name}+{}", at - start),
            None => format!("+{at}"),
        }
    }

    /// `struct bpf_func_info[]`. The kernel wants one for each function or none at all.
    pub fn func_info(&self, object: &Object) -> (Vec<u8>, u32) {
        let mut out = Vec::new();
        if self.funcs.len() != self.places.len() {
            return (out, 0);
        }
        for &(at, type_id) in &self.funcs {
            put_u32(object.endian, &mut out, at);
            put_u32(object.endian, &mut out, type_id);
        }
        (out, self.funcs.len() as u32)
    }

    /// `struct bpf_line_info[]`. The kernel wants the first instruction of each function to have one.
    pub fn line_info(&self, object: &Object) -> (Vec<u8>, u32) {
        let mut out = Vec::new();
        let covered = |start: usize| self.lines.binary_search_by_key(&(start as u32), |(at, _)| *at).is_ok();
        if !self.places.iter().all(|(start, _)| covered(*start)) {
            return (out, 0);
        }
        let mut count = 0;
        let mut last = None;
        for (at, line) in &self.lines {
            // Two lines for one instruction are refused; the first is the statement's.
            if last == Some(*at) {
                continue;
            }
            last = Some(*at);
            for word in [*at, line.file, line.text, line.line_col] {
                put_u32(object.endian, &mut out, word);
            }
            count += 1;
        }
        (out, count)
    }
}
