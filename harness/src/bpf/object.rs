//! A BPF object file as clang writes it: functions, maps, externs and types. Pure; nothing of the kernel under test is known.

use std::collections::{BTreeMap, HashMap};

use super::annotations::{AnnotationError, Annotations};
use super::btfext::{BtfExt, SectionInfo};
use super::error::ObjectError;
use super::insn::{CALL, INSN_BYTES, Insn};
use super::map::MapDef;
use super::section::ProgSpec;
use crate::arch::Endian;
use crate::btf::Btf;
use crate::model::Location;

/// A parsed object.
#[derive(Debug)]
pub struct Object {
    pub(crate) endian: Endian,
    pub(crate) license: String,
    pub(crate) btf: Btf,
    pub(crate) kernel_btf: Vec<u8>,
    pub(crate) ext: BtfExt,
    pub(crate) code: BTreeMap<usize, Code>,
    pub(crate) functions: Vec<Function>,
    pub(crate) maps: Vec<MapDef>,
    pub(crate) externs: Vec<Extern>,
    pub(crate) references: HashMap<(usize, u32), Reference>,
    /// Decl tags on functions: name of the function to (tag, …), in BTF order.
    pub(super) tags: HashMap<String, Vec<String>>,
}

/// An executable section.
#[derive(Debug)]
pub(crate) struct Code {
    pub name: String,
    pub insns: Vec<Insn>,
}

/// A function: a program, or one that programs call.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub name: String,
    /// Index of its section.
    pub section: usize,
    /// First instruction in the section.
    pub start: u32,
    /// Number of instructions.
    pub len: u32,
    /// Absent for functions of `.text`.
    pub spec: Option<ProgSpec>,
}

/// A symbol the kernel must provide.
#[derive(Debug, Clone)]
pub(crate) struct Extern {
    pub name: String,
    pub weak: bool,
    pub is_func: bool,
}

/// What an instruction refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    /// Something in an executable section, at a byte offset.
    Code { section: usize, offset: u64 },
    /// A map, by index.
    Map(usize),
    /// A place in a data section's map.
    Data { map: usize, offset: u64 },
    /// An extern, by index.
    Extern(usize),
}

/// A program of an object, for whoever plans and lists.
#[derive(Debug)]
pub struct ProgramInfo {
    /// Name of the function.
    pub name: String,
    /// Name of its section, e.g. `syscall`.
    pub section: String,
    /// How it is loaded.
    pub spec: ProgSpec,
    /// What its tags say, or why they make no sense.
    pub annotations: Result<Annotations, AnnotationError>,
    /// Where it is written: path as the compiler was given it, and line.
    pub location: Option<Location>,
    /// Kfuncs it calls, directly or in functions it calls, sorted.
    pub kfuncs: Vec<String>,
}

impl Object {
    /// Parses an object.
    ///
    /// # Errors
    /// When it is no BPF object or something in it makes no sense. Tags are judged per program, see [`Object::programs`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        super::elf::read(bytes)
    }

    /// Byte order of the kernels it is for.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// Its licence; empty when it has none.
    pub fn license(&self) -> &str {
        &self.license
    }

    /// Its types, as clang wrote them.
    pub fn btf(&self) -> &Btf {
        &self.btf
    }

    /// Its maps, data sections included.
    pub fn maps(&self) -> &[MapDef] {
        &self.maps
    }

    /// Its programs in the order of their sections and places.
    pub fn programs(&self) -> Vec<ProgramInfo> {
        let mut list = Vec::new();
        for (index, function) in self.functions.iter().enumerate() {
            let Some(spec) = &function.spec else { continue };
            let location = self.location(function);
            let tags = self.tags.get(&function.name).map_or(&[][..], Vec::as_slice);
            list.push(ProgramInfo {
                name: function.name.clone(),
                section: self.section_name(function.section).to_owned(),
                spec: spec.clone(),
                annotations: Annotations::from_tags(&function.name, location.as_ref(), tags),
                location,
                kfuncs: self.kfuncs(index),
            });
        }
        list
    }

    pub(crate) fn section_name(&self, section: usize) -> &str {
        self.code.get(&section).map_or("", |code| &code.name)
    }

    pub(crate) fn info(&self, section: usize) -> Option<&SectionInfo> {
        self.ext.sections.get(self.section_name(section))
    }

    pub(crate) fn tags_of(&self, function: &str) -> &[String] {
        self.tags.get(function).map_or(&[], Vec::as_slice)
    }

    /// How many functions a program is made of: itself, and those that it calls or hands to the kernel as callbacks.
    ///
    /// # Errors
    /// When there is no such program, or it refers into the middle of a function.
    pub fn functions_of(&self, program: &str) -> Result<usize, String> {
        let entry = self.program(program).ok_or_else(|| format!("there is no program {program}"))?;
        self.closure(entry).map(|functions| functions.len()).map_err(|e| e.to_string())
    }

    /// The index of a program.
    pub(crate) fn program(&self, name: &str) -> Option<usize> {
        self.functions.iter().position(|f| f.name == name && f.spec.is_some())
    }

    /// The function that begins at this instruction.
    pub(crate) fn function_at(&self, section: usize, insn: i64) -> Option<usize> {
        self.functions.iter().position(|f| f.section == section && i64::from(f.start) == insn)
    }

    pub(crate) fn insns_of(&self, function: &Function) -> &[Insn] {
        let range = function.start as usize..(function.start + function.len) as usize;
        self.code.get(&function.section).and_then(|code| code.insns.get(range)).unwrap_or(&[])
    }

    /// Which function an instruction that names one means; `None` when it names none or nothing that exists.
    pub(crate) fn callee(&self, function: &Function, at: u32) -> Option<Result<usize, String>> {
        let insn = *self.insns_of(function).get(at as usize)?;
        let here = function.start + at;
        let target = match self.references.get(&(function.section, here)) {
            Some(Reference::Code { section, offset }) => {
                let base = (*offset / INSN_BYTES as u64) as i64;
                // A call's immediate counts instructions from the next one, an address's counts bytes.
                let distance = if insn.code == CALL { i64::from(insn.imm) + 1 } else { i64::from(insn.imm) / 8 };
                (*section, base + distance)
            }
            Some(_) => return None,
            None if insn.is_pseudo_call() || insn.is_pseudo_func() => {
                (function.section, i64::from(here) + i64::from(insn.imm) + 1)
            }
            None => return None,
        };
        Some(self.function_at(target.0, target.1).ok_or_else(|| "refers into the middle of a function".into()))
    }

    /// Functions that are part of a program with this entry: itself first, then what it calls or takes the address of.
    pub(crate) fn closure(&self, entry: usize) -> Result<Vec<usize>, ObjectError> {
        let mut order = vec![entry];
        let mut next = 0;
        while let Some(&index) = order.get(next) {
            next += 1;
            let function = &self.functions[index];
            for at in 0..function.len {
                match self.callee(function, at) {
                    Some(Ok(callee)) if !order.contains(&callee) => order.push(callee),
                    Some(Err(what)) => {
                        return Err(ObjectError::Relocation { place: format!("{}+{at}", function.name), what });
                    }
                    _ => {}
                }
            }
            if next == order.len() {
                // Named by a tag instead of an instruction; the kernel looks for it in the program it is on.
                let wanted = self.tags_of(&self.functions[entry].name).iter();
                for name in wanted.filter_map(|tag| tag.strip_prefix("exception_callback:")) {
                    if let Some(callback) = self.functions.iter().position(|f| f.name == name && f.spec.is_none())
                        && !order.contains(&callback)
                    {
                        order.push(callback);
                    }
                }
            }
        }
        Ok(order)
    }

    fn kfuncs(&self, entry: usize) -> Vec<String> {
        let mut names = Vec::new();
        for index in self.closure(entry).unwrap_or_default() {
            let function = &self.functions[index];
            for at in 0..function.len {
                if let Some(Reference::Extern(e)) = self.references.get(&(function.section, function.start + at))
                    && self.externs[*e].is_func
                {
                    names.push(self.externs[*e].name.clone());
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where a function begins in the source: that of its first instruction's line.
    fn location(&self, function: &Function) -> Option<Location> {
        let line = self.info(function.section)?.lines.iter().find(|l| l.insn_off == 8 * function.start)?;
        Some(Location { file: self.btf.string(line.file).to_owned(), line: line.line_col >> 10 })
    }
}
