//! Reading the ELF file: sections, symbols and relocations become an [`Object`].

use std::collections::{BTreeMap, HashMap};

use object::elf;
use object::read::elf::{ElfFile64, FileHeader};
use object::{Endianness, Object as _, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionIndex};

use super::btfext::BtfExt;
use super::error::ObjectError;
use super::insn::{INSN_BYTES, Insn, PSEUDO_FUNC};
use super::map::{MapDef, Slot};
use super::object::{Code, Extern, Function, Object, Reference};
use super::progbtf::{self, KSYMS, Layout};
use super::section::ProgSpec;
use crate::arch::Endian;
use crate::btf::{Btf, Kind};

/// Where functions live that are no programs.
const TEXT: &str = ".text";
const MAPS: &str = ".maps";
/// Bytes of a slot in a `values` array: a pointer in the object.
const SLOT_BYTES: u64 = 8;

/// Parses an object.
pub(super) fn read(bytes: &[u8]) -> Result<Object, ObjectError> {
    let elf = ElfFile64::<Endianness>::parse(bytes)?;
    let machine = elf.elf_header().e_machine(elf.endian());
    if machine != elf::EM_BPF {
        return Err(ObjectError::Machine(machine.0));
    }
    Reader::new(&elf)?.read()
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
