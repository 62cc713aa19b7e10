//! The object's BTF, made acceptable to the kernel.
//!
//! clang leaves open what only the linker's view of the object knows (sizes of sections, offsets of variables), and the
//! kernel refuses what only user space needs (functions in a `.ksyms` section, extern linkage). The same changes as
//! libbpf makes, on a copy of the bytes.

use std::collections::{HashMap, HashSet};

use super::error::ObjectError;
use crate::arch::Endian;
use crate::btf::{Btf, Kind, put_u16, put_u32};

/// Bytes of `struct btf_type`.
const HEAD: usize = 12;
/// `BTF_FUNC_STATIC`, `BTF_FUNC_GLOBAL`, `BTF_FUNC_EXTERN`.
const FUNC_STATIC: u32 = 0;
const FUNC_GLOBAL: u32 = 1;
/// `BTF_VAR_STATIC`, `BTF_VAR_GLOBAL_ALLOCATED`.
const VAR_STATIC: u32 = 0;
const VAR_GLOBAL: u32 = 1;
/// Where externs are declared.
pub(crate) const KSYMS: &str = ".ksyms";

/// What the ELF file knows and BTF does not.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Size of each section by name.
    pub sections: HashMap<String, u64>,
    /// Offset of each variable in its section, by name.
    pub variables: HashMap<String, u64>,
    /// Global functions with hidden visibility: to the kernel they are static, so that they are verified with their caller.
    pub hidden: HashSet<String>,
}

/// The bytes for `BPF_BTF_LOAD`.
pub(crate) fn for_kernel(btf: &Btf, layout: &Layout) -> Result<Vec<u8>, ObjectError> {
    let mut patch = Patch {
        endian: btf.endian(),
        types: btf.type_bytes().to_vec(),
        strings: btf.string_section().to_vec(),
        next_id: btf.end_id(),
    };
    for ty in btf.iter() {
        match ty.kind {
            Kind::Datasec if btf.name(&ty) == KSYMS => patch.externs(btf, ty.id)?,
            Kind::Datasec => patch.section(btf, ty.id, layout)?,
            Kind::Func if ty.vlen() == FUNC_GLOBAL && layout.hidden.contains(btf.name(&ty)) => {
                patch.linkage(btf, ty.id, FUNC_STATIC);
            }
            _ => {}
        }
    }
    Ok(patch.blob())
}

/// A copy for kernels that do not know declaration tags (before 5.16), type tags (5.17) and 64-bit enums (6.0): each becomes
/// something old of the same length and meaning as little as possible. Gives `None` when nothing would change.
pub(crate) fn for_old_kernel(blob: &[u8]) -> Option<Vec<u8>> {
    let btf = Btf::parse(blob).ok()?;
    let mut patch = Patch {
        endian: btf.endian(),
        types: btf.type_bytes().to_vec(),
        strings: btf.string_section().to_vec(),
        next_id: btf.end_id(),
    };
    let mut changed = false;
    for ty in btf.iter() {
        let at = btf.type_offset(ty.id)?;
        match ty.kind {
            // A nameless integer of one byte: a tag has the same four bytes behind its head.
            Kind::DeclTag => {
                patch.set(at, 0);
                patch.set(at + 4, (Kind::Int as u32) << 24);
                patch.set(at + 8, 1);
                patch.set(at + HEAD, 8);
            }
            Kind::TypeTag => {
                patch.set(at, 0);
                patch.set(at + 4, (Kind::Const as u32) << 24);
            }
            // A union has rows of three words too: name, type, offset.
            Kind::Enum64 => {
                let int = btf.iter().find(|t| t.kind == Kind::Int && t.size() <= ty.size()).map(|t| t.id)?;
                patch.set(at + 4, (Kind::Union as u32) << 24 | ty.vlen());
                for row in 0..ty.vlen() as usize {
                    patch.set(at + HEAD + 12 * row + 4, int);
                    patch.set(at + HEAD + 12 * row + 8, 0);
                }
            }
            _ => continue,
        }
        changed = true;
    }
    changed.then(|| patch.blob())
}

struct Patch {
    endian: Endian,
    types: Vec<u8>,
    strings: Vec<u8>,
    next_id: u32,
}

impl Patch {
    fn set(&mut self, at: usize, value: u32) {
        let mut bytes = Vec::with_capacity(4);
        put_u32(self.endian, &mut bytes, value);
        if let Some(place) = self.types.get_mut(at..at + 4) {
            place.copy_from_slice(&bytes);
        }
    }

    fn append(&mut self, words: &[u32]) -> u32 {
        words.iter().for_each(|&word| put_u32(self.endian, &mut self.types, word));
        self.next_id += 1;
        self.next_id - 1
    }

    fn string(&mut self, text: &str) -> u32 {
        let at = self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    /// A function's linkage stands in the low bits of its info word.
    fn linkage(&mut self, btf: &Btf, func: u32, linkage: u32) {
        if let Some(at) = btf.type_offset(func) {
            self.set(at + 4, (Kind::Func as u32) << 24 | linkage);
        }
    }

    /// Offsets and sizes of a section's variables, sorted as the kernel wants them.
    fn section(&mut self, btf: &Btf, id: u32, layout: &Layout) -> Result<(), ObjectError> {
        let (Some(ty), Some(at)) = (btf.get(id), btf.type_offset(id)) else { return Ok(()) };
        let name = btf.name(&ty);
        let size = layout.sections.get(name).copied().unwrap_or(u64::from(ty.size()));
        if size == 0 || size > u64::from(u32::MAX) {
            return Err(ObjectError::malformed(
                name,
                "BTF has variables in this section, but the object has no such section",
            ));
        }
        self.set(at + 8, size as u32);
        let mut variables = Vec::new();
        for mut var in ty.variables() {
            let decl = btf.get(var.type_id).filter(|t| t.kind == Kind::Var);
            let decl = decl.ok_or_else(|| ObjectError::malformed(name, "BTF lists something that is no variable"))?;
            if decl.linkage() != VAR_STATIC {
                let offset = layout.variables.get(btf.name(&decl)).ok_or_else(|| {
                    ObjectError::malformed(name, format!("variable {} has no symbol", btf.name(&decl)))
                })?;
                var.offset = *offset as u32;
            }
            variables.push(var);
        }
        variables.sort_by_key(|var| var.offset);
        for (row, var) in variables.iter().enumerate() {
            let row = at + HEAD + 12 * row;
            self.set(row, var.type_id);
            self.set(row + 4, var.offset);
            self.set(row + 8, var.size);
        }
        Ok(())
    }

    /// The kernel wants variables in a section, with storage: functions are replaced by one `int`, extern variables become
    /// `int`s, and functions lose their extern linkage.
    fn externs(&mut self, btf: &Btf, id: u32) -> Result<(), ObjectError> {
        let (Some(ty), Some(at)) = (btf.get(id), btf.type_offset(id)) else { return Ok(()) };
        let int = btf.iter().find(|t| t.kind == Kind::Int && t.size() == 4 && t.int_bits() == (32, 0)).map(|t| t.id);
        let name = self.string("dummy_ksym");
        let int = int.unwrap_or_else(|| {
            let int_name = self.string("int");
            self.append(&[int_name, (Kind::Int as u32) << 24, 4, 1 << 24 | 32])
        });
        let dummy = self.append(&[name, (Kind::Var as u32) << 24, int, VAR_GLOBAL]);
        let mut count = 0;
        for (index, var) in ty.variables().enumerate() {
            let row = at + HEAD + 12 * index;
            let decl = btf.get(var.type_id);
            match decl.map(|t| (t.kind, t)) {
                Some((Kind::Func, func)) => {
                    self.linkage(btf, func.id, FUNC_GLOBAL);
                    self.name_params(btf, func.type_id(), name);
                    self.set(row, dummy);
                }
                Some((Kind::Var, var)) => {
                    if let Some(place) = btf.type_offset(var.id) {
                        self.set(place + 8, int);
                        self.set(place + HEAD, VAR_GLOBAL);
                    }
                }
                _ => {
                    return Err(ObjectError::malformed(
                        KSYMS,
                        "BTF lists something that is no function and no variable",
                    ));
                }
            }
            self.set(row + 4, 4 * index as u32);
            self.set(row + 8, 4);
            count += 4;
        }
        self.set(at + 8, count);
        Ok(())
    }

    /// The kernel refuses parameters without a name (`btf_func_check`).
    fn name_params(&mut self, btf: &Btf, proto: u32, name: u32) {
        let (Some(ty), Some(at)) = (btf.get(proto), btf.type_offset(proto)) else { return };
        for (index, param) in ty.params().enumerate() {
            if param.name_off == 0 && param.type_id != 0 {
                self.set(at + HEAD + 8 * index, name);
            }
        }
    }

    fn blob(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + self.types.len() + self.strings.len());
        put_u16(self.endian, &mut out, 0xeb9f);
        out.extend([1, 0]);
        for word in [24, 0, self.types.len(), self.types.len(), self.strings.len()] {
            put_u32(self.endian, &mut out, word as u32);
        }
        out.extend(self.types);
        out.extend(self.strings);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::tests::Builder;

    #[test]
    fn old_kernels_get_what_they_know() {
        let mut b = Builder::new(Endian::Little);
        let int = b.int("int", 4, 0);
        let name = b.string("comment:1:test_expect_success");
        b.raw(&[name, (Kind::DeclTag as u32) << 24, int, u32::MAX]);
        let tag = b.add(Kind::TypeTag, "kptr", 0, int, &[]);
        let value = b.string("A");
        let wide = b.add(Kind::Enum64, "e", 1, 8, &[value, 1, 2]);
        let old = Btf::parse(&for_old_kernel(&b.blob()).unwrap()).unwrap();
        let kinds: Vec<Kind> = old.iter().map(|t| t.kind).collect();
        assert_eq!(kinds, [Kind::Int, Kind::Int, Kind::Const, Kind::Union]);
        assert_eq!(old.resolve(tag).map(|t| t.id), Some(int));
        assert_eq!(old.get(wide).unwrap().members().next().map(|m| m.type_id), Some(int));
        assert_eq!(for_old_kernel(&old_blob()), None, "nothing to do is said");
    }

    fn old_blob() -> Vec<u8> {
        let mut b = Builder::new(Endian::Big);
        b.int("int", 4, 0);
        b.blob()
    }
}
