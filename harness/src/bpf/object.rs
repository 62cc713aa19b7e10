//! A BPF object file as clang writes it: functions, maps, externs and types. Pure; nothing of the kernel under test is known.

use std::collections::{BTreeMap, HashMap};

use object::elf;
use object::read::elf::{ElfFile64, FileHeader};
use object::{Endianness, Object as _, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionIndex};

use super::annotations::{AnnotationError, Annotations};
use super::btfext::{BtfExt, SectionInfo};
use super::error::ObjectError;
use super::insn::{CALL, INSN_BYTES, Insn, PSEUDO_FUNC};
use super::map::{MapDef, Slot};
use super::progbtf::{self, KSYMS, Layout};
use super::section::ProgSpec;
use crate::arch::Endian;
use crate::btf::{Btf, Kind};
use crate::model::Location;

/// Where functions live that are no programs.
const TEXT: &str = ".text";
const MAPS: &str = ".maps";
/// Bytes of a slot in a `values` array: a pointer in the object.
const SLOT_BYTES: u64 = 8;

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
    tags: HashMap<String, Vec<String>>,
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
        let elf = ElfFile64::<Endianness>::parse(bytes)?;
        let machine = elf.elf_header().e_machine(elf.endian());
        if machine != elf::EM_BPF {
            return Err(ObjectError::Machine(machine.0));
        }
        Reader::new(&elf)?.read()
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

/// The state while one ELF file is read.
struct Reader<'a> {
    elf: &'a ElfFile64<'a, Endianness>,
    endian: Endian,
    btf: Btf,
    code: BTreeMap<usize, Code>,
    functions: Vec<Function>,
    maps: Vec<MapDef>,
    /// Index in `maps` of a data section.
    data: HashMap<usize, usize>,
    /// Offset in `.maps` to index in `maps`.
    defined: BTreeMap<u64, usize>,
    externs: Vec<Extern>,
    /// Symbol index to index in `externs`.
    extern_symbols: HashMap<usize, usize>,
}

impl<'a> Reader<'a> {
    fn new(elf: &'a ElfFile64<'a, Endianness>) -> Result<Self, ObjectError> {
        let endian = if elf.endian() == Endianness::Little { Endian::Little } else { Endian::Big };
        let section = elf.section_by_name(".BTF").ok_or(ObjectError::NoBtf(".BTF"))?;
        let btf = Btf::parse(section.data()?).map_err(|source| ObjectError::Btf { section: ".BTF", source })?;
        if btf.endian() != endian {
            return Err(ObjectError::malformed(".BTF", "its byte order is not the object's"));
        }
        Ok(Self {
            elf,
            endian,
            btf,
            code: BTreeMap::new(),
            functions: Vec::new(),
            maps: Vec::new(),
            data: HashMap::new(),
            defined: BTreeMap::new(),
            externs: Vec::new(),
            extern_symbols: HashMap::new(),
        })
    }

    fn read(mut self) -> Result<Object, ObjectError> {
        let ext = match self.elf.section_by_name(".BTF.ext") {
            Some(section) => BtfExt::parse(section.data()?, &self.btf)?,
            None => return Err(ObjectError::NoBtf(".BTF.ext")),
        };
        let layout = self.sections()?;
        self.function_symbols()?;
        self.map_definitions(&layout)?;
        self.extern_symbols();
        let references = self.references()?;
        self.slots()?;
        let license = match self.elf.section_by_name("license") {
            Some(section) => {
                let bytes = section.data()?;
                String::from_utf8_lossy(bytes.split(|&b| b == 0).next().unwrap_or_default()).into_owned()
            }
            None => String::new(),
        };
        Ok(Object {
            endian: self.endian,
            license,
            kernel_btf: progbtf::for_kernel(&self.btf, &layout)?,
            tags: function_tags(&self.btf),
            btf: self.btf,
            ext,
            code: self.code,
            functions: self.functions,
            maps: self.maps,
            externs: self.externs,
            references,
        })
    }

    /// Code and data sections, and what BTF has to be told of them.
    fn sections(&mut self) -> Result<Layout, ObjectError> {
        let mut layout = Layout::default();
        for section in self.elf.sections() {
            let name = section.name()?;
            layout.sections.insert(name.to_owned(), section.size());
            let object::SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
            if !sh_flags.contains(elf::SHF_ALLOC) || section.size() == 0 {
                continue;
            }
            if sh_flags.contains(elf::SHF_EXECINSTR) {
                let bytes = section.data()?;
                if bytes.len() % INSN_BYTES != 0 {
                    return Err(ObjectError::malformed(name, "code that is no whole number of instructions"));
                }
                let insns = (0..bytes.len()).step_by(INSN_BYTES).filter_map(|at| Insn::decode(self.endian, bytes, at));
                self.code.insert(section.index().0, Code { name: name.into(), insns: insns.collect() });
            } else if [".data", ".bss", ".rodata"].iter().any(|kind| is_family(name, kind)) {
                let id = self.btf.find(Kind::Datasec, name).map_or(0, |ty| ty.id);
                let initial = if name.starts_with(".bss") { Vec::new() } else { section.data()?.to_vec() };
                self.data.insert(section.index().0, self.maps.len());
                self.maps.push(MapDef::data(name, section.size(), initial, id)?);
            }
        }
        for symbol in self.elf.symbols() {
            let name = symbol.name().unwrap_or_default();
            match symbol.kind() {
                object::SymbolKind::Data if symbol.is_global() => {
                    layout.variables.insert(name.to_owned(), symbol.address());
                }
                object::SymbolKind::Text if symbol.is_global() && is_hidden(&symbol) => {
                    layout.hidden.insert(name.to_owned());
                }
                _ => {}
            }
        }
        Ok(layout)
    }

    fn function_symbols(&mut self) -> Result<(), ObjectError> {
        for symbol in self.elf.symbols() {
            let (object::SymbolKind::Text, Some(section)) = (symbol.kind(), symbol.section_index()) else { continue };
            let Some(code) = self.code.get(&section.0) else { continue };
            let name = symbol.name()?.to_owned();
            let whole = symbol.address() % 8 == 0 && symbol.size() % 8 == 0 && symbol.size() > 0;
            let (start, len) = (symbol.address() / 8, symbol.size() / 8);
            if !whole || start.checked_add(len).is_none_or(|end| end > code.insns.len() as u64) {
                return Err(ObjectError::malformed(&code.name, format!("function {name} is not inside")));
            }
            let spec =
                if code.name == TEXT {
                    None
                } else {
                    Some(ProgSpec::from_section(&code.name).ok_or_else(|| ObjectError::UnknownSection {
                        program: name.clone(),
                        section: code.name.clone(),
                    })?)
                };
            let function = Function { name, section: section.0, start: start as u32, len: len as u32, spec };
            self.functions.push(function);
        }
        self.functions.sort_by_key(|f| (f.section, f.start));
        for pair in self.functions.windows(2) {
            if pair[0].section == pair[1].section && pair[0].start + pair[0].len > pair[1].start {
                return Err(ObjectError::malformed(
                    &self.code[&pair[0].section].name,
                    format!("functions {} and {} overlap", pair[0].name, pair[1].name),
                ));
            }
        }
        Ok(())
    }

    fn map_definitions(&mut self, layout: &Layout) -> Result<(), ObjectError> {
        let Some(datasec) = self.btf.find(Kind::Datasec, MAPS) else { return Ok(()) };
        let mut found = Vec::new();
        for var in datasec.variables() {
            let Some(decl) = self.btf.get(var.type_id).filter(|t| t.kind == Kind::Var) else {
                return Err(ObjectError::malformed(MAPS, "BTF lists something that is no variable"));
            };
            let name = self.btf.name(&decl);
            let Some(&offset) = layout.variables.get(name) else {
                return Err(ObjectError::map(name, "has no global symbol (is it static?)"));
            };
            found.push((offset, MapDef::from_btf(&self.btf, name, decl.type_id())?));
        }
        for (offset, def) in found {
            self.defined.insert(offset, self.maps.len());
            self.maps.push(def);
        }
        Ok(())
    }

    fn extern_symbols(&mut self) {
        let listed: HashMap<&str, bool> = self
            .btf
            .find(Kind::Datasec, KSYMS)
            .into_iter()
            .flat_map(|section| section.variables())
            .filter_map(|var| self.btf.get(var.type_id))
            .map(|decl| (self.btf.name(&decl), decl.kind == Kind::Func))
            .collect();
        for symbol in self.elf.symbols().filter(|s| s.is_undefined()) {
            let name = symbol.name().unwrap_or_default();
            if let Some(&is_func) = listed.get(name) {
                self.extern_symbols.insert(symbol.index().0, self.externs.len());
                self.externs.push(Extern { name: name.into(), weak: symbol.is_weak(), is_func });
            }
        }
    }

    fn references(&mut self) -> Result<HashMap<(usize, u32), Reference>, ObjectError> {
        let mut references = HashMap::new();
        let sections: Vec<usize> = self.code.keys().copied().collect();
        for index in sections {
            let section = self.elf.section_by_index(SectionIndex(index))?;
            for (offset, relocation) in section.relocations() {
                let place = || format!("{}+{offset:#x}", self.code[&index].name);
                let bad = |what: String| ObjectError::Relocation { place: place(), what };
                let RelocationTarget::Symbol(symbol) = relocation.target() else {
                    return Err(bad("relocation without a symbol".into()));
                };
                if let RelocationFlags::Elf { r_type } = relocation.flags() {
                    // The two that occur in code: of an ld_imm64, and of a call.
                    if r_type != elf::R_BPF_64_64 && r_type != elf::R_BPF_64_32 {
                        return Err(bad(format!("relocation type {} in code", r_type.0)));
                    }
                }
                let insn = (offset / INSN_BYTES as u64) as u32;
                if offset % INSN_BYTES as u64 != 0 || insn as usize >= self.code[&index].insns.len() {
                    return Err(bad("relocation that is at no instruction".into()));
                }
                let reference = self.reference(symbol.0).map_err(bad)?;
                if matches!(reference, Reference::Code { .. }) {
                    // clang marks the address of a static function only by the relocation.
                    let insns = &mut self.code.get_mut(&index).map(|code| &mut code.insns);
                    if let Some(insn) = insns.as_mut().and_then(|i| i.get_mut(insn as usize))
                        && insn.is_ld_imm64()
                    {
                        insn.src = PSEUDO_FUNC;
                    }
                }
                references.insert((index, insn), reference);
            }
        }
        Ok(references)
    }

    fn reference(&self, symbol: usize) -> Result<Reference, String> {
        let sym = self.elf.symbol_by_index(object::SymbolIndex(symbol)).map_err(|e| e.to_string())?;
        let name = sym.name().unwrap_or_default();
        if sym.is_undefined() {
            let index = self.extern_symbols.get(&symbol);
            return index.map(|&i| Reference::Extern(i)).ok_or_else(|| format!("{name} is undefined and not __ksym"));
        }
        let section = sym.section_index().ok_or_else(|| format!("{name} is in no section"))?.0;
        if self.code.contains_key(&section) {
            return Ok(Reference::Code { section, offset: sym.address() });
        }
        if let Some(&map) = self.data.get(&section) {
            return Ok(Reference::Data { map, offset: sym.address() });
        }
        if let Some(&map) = self.defined.get(&sym.address()).filter(|_| self.section_is(section, MAPS)) {
            return Ok(Reference::Map(map));
        }
        Err(format!("{name} is neither code, data, a map nor an extern"))
    }

    fn section_is(&self, index: usize, name: &str) -> bool {
        self.elf.section_by_index(SectionIndex(index)).is_ok_and(|s| s.name() == Ok(name))
    }

    /// `.values = { … }`: pointers in the definition of a map, as relocations of `.maps`. Data sections cannot hold any.
    fn slots(&mut self) -> Result<(), ObjectError> {
        for section in self.elf.sections() {
            let index = section.index().0;
            let name = section.name()?;
            let is_maps = name == MAPS;
            if !is_maps && !self.data.contains_key(&index) {
                continue;
            }
            for (offset, relocation) in section.relocations() {
                let bad = |what: String| ObjectError::Relocation { place: format!("{name}+{offset:#x}"), what };
                if !is_maps {
                    return Err(bad("a pointer in a data section; BPF has no way to initialise one".into()));
                }
                let RelocationTarget::Symbol(symbol) = relocation.target() else {
                    return Err(bad("relocation without a symbol".into()));
                };
                let Some((&base, &map)) = self.defined.range(..=offset).next_back() else {
                    return Err(bad("a pointer outside of any map".into()));
                };
                let values = self
                    .values_offset(&self.maps[map].name)
                    .ok_or_else(|| bad("a pointer outside of values".into()))?;
                let slot = offset.checked_sub(base + values).filter(|o| o % SLOT_BYTES == 0).map(|o| o / SLOT_BYTES);
                let slot = slot.ok_or_else(|| bad("a pointer outside of values".into()))? as u32;
                let entry = match self.reference(symbol.0).map_err(bad)? {
                    Reference::Map(inner) => Slot::Map(inner),
                    Reference::Code { section, offset } => {
                        let at = offset / INSN_BYTES as u64;
                        let program = self.functions.iter().find(|f| f.section == section && u64::from(f.start) == at);
                        let program = program.filter(|f| f.spec.is_some());
                        Slot::Program(program.ok_or_else(|| bad("a pointer to no program".into()))?.name.clone())
                    }
                    _ => return Err(bad("a pointer to neither a program nor a map".into())),
                };
                self.maps[map].slots.push((slot, entry));
            }
        }
        Ok(())
    }

    /// Byte offset of `values` in a map's definition.
    fn values_offset(&self, map: &str) -> Option<u64> {
        let var = self.btf.find(Kind::Var, map)?;
        let ty = self.btf.resolve(var.type_id())?;
        let member = ty.members().find(|m| self.btf.string(m.name_off) == "values")?;
        Some(u64::from(member.bit_offset / 8))
    }
}

/// `.data` and `.data.x`, but not `.database`.
fn is_family(name: &str, kind: &str) -> bool {
    name.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn is_hidden<'d>(symbol: &impl ObjectSymbol<'d>) -> bool {
    match symbol.flags() {
        object::SymbolFlags::Elf { st_other, .. } => {
            // STV_INTERNAL and STV_HIDDEN.
            matches!(st_other.0 & 3, 1 | 2)
        }
        _ => false,
    }
}

/// Tags on functions themselves, by the function's name.
fn function_tags(btf: &Btf) -> HashMap<String, Vec<String>> {
    let mut tags: HashMap<String, Vec<String>> = HashMap::new();
    for tag in btf.iter().filter(|t| t.tag_component() == Some(-1)) {
        if let Some(func) = btf.get(tag.type_id()).filter(|t| t.kind == Kind::Func) {
            tags.entry(btf.name(&func).to_owned()).or_default().push(btf.name(&tag).to_owned());
        }
    }
    tags
}
