//! Map definitions: what `SEC(".maps")` variables and data sections say, as the attributes of `BPF_MAP_CREATE`.

use super::error::ObjectError;
use crate::btf::{Btf, Kind, Type};

/// Map types this loader treats specially (`enum bpf_map_type`).
pub(crate) mod kind {
    pub const ARRAY: u32 = 2;
    pub const PROG_ARRAY: u32 = 3;
    pub const ARRAY_OF_MAPS: u32 = 12;
    pub const HASH_OF_MAPS: u32 = 13;
}

/// `BPF_F_RDONLY_PROG`: programs may only read it.
const RDONLY_PROG: u32 = 1 << 7;
/// Size of a pointer in a BPF program, whatever the kernel's is.
pub(crate) const BPF_POINTER: u64 = 8;
/// Largest data section accepted.
const DATA_MAX: u64 = 16 << 20;

/// A map to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapDef {
    /// Name of the variable, or of the data section.
    pub name: String,
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Number of entries.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// `map_extra`; an arena's user address.
    pub extra: u64,
    /// Type of the key in the object's BTF, 0 when there is none.
    pub key_type: u32,
    /// Type of the value, 0 when there is none. The kernel finds locks, timers, kptrs, lists and trees by it.
    pub value_type: u32,
    /// Template of the maps inside a map of maps.
    pub inner: Option<Box<MapDef>>,
    /// Entries with a program or map in them from the start.
    pub slots: Vec<(u32, Slot)>,
    /// Initial content of a data section; empty for others.
    pub initial: Vec<u8>,
    /// Whether user space too loses the right to write once the content is in place.
    pub frozen: bool,
}

/// What stands in an entry from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// A program, by name.
    Program(String),
    /// Another map, by its index in [`super::Object::maps`].
    Map(usize),
}

impl MapDef {
    /// The map of a data section.
    pub(crate) fn data(name: &str, size: u64, initial: Vec<u8>, datasec: u32) -> Result<Self, ObjectError> {
        if size == 0 || size > DATA_MAX {
            return Err(ObjectError::malformed(name, format!("a data section of {size} bytes (1 to {DATA_MAX})")));
        }
        let read_only = name.starts_with(".rodata");
        Ok(Self {
            name: name.into(),
            map_type: kind::ARRAY,
            key_size: 4,
            value_size: size as u32,
            max_entries: 1,
            flags: if read_only { RDONLY_PROG } else { 0 },
            value_type: datasec,
            initial,
            frozen: read_only,
            ..Self::default()
        })
    }

    /// Whether this is a data section.
    pub fn is_data(&self) -> bool {
        self.name.starts_with('.')
    }

    /// Reads a BTF-defined map: the struct behind a variable of `.maps`.
    pub(crate) fn from_btf(btf: &Btf, name: &str, type_id: u32) -> Result<Self, ObjectError> {
        Self::from_struct(btf, name, type_id, true)
    }

    fn from_struct(btf: &Btf, name: &str, type_id: u32, may_nest: bool) -> Result<Self, ObjectError> {
        let bad = |what: String| ObjectError::map(name, what);
        let ty = btf.resolve(type_id).filter(|ty| ty.kind == Kind::Struct);
        let ty = ty.ok_or_else(|| bad("its type is no struct".into()))?;
        let mut def = Self { name: name.into(), ..Self::default() };
        for member in ty.members() {
            let field = btf.string(member.name_off);
            let number = || number(btf, member.type_id).ok_or_else(|| bad(format!("{field} is no __uint or __ulong")));
            let small = || {
                let value = number()?;
                u32::try_from(value).map_err(|_| bad(format!("{field} = {value} does not fit 32 bits")))
            };
            match field {
                "type" => def.map_type = small()?,
                "max_entries" => def.max_entries = small()?,
                "map_flags" => def.flags = small()?,
                "map_extra" => def.extra = number()?,
                "key_size" => def.key_size = small()?,
                "value_size" => def.value_size = small()?,
                // Where it is placed or pinned is no business of a guest that lives for one run.
                "numa_node" | "pinning" => {}
                "key" => {
                    (def.key_type, def.key_size) = pointee(btf, member.type_id).ok_or_else(|| bad(untyped(field)))?
                }
                "value" => {
                    (def.value_type, def.value_size) =
                        pointee(btf, member.type_id).ok_or_else(|| bad(untyped(field)))?;
                }
                "values" if may_nest => {
                    def.value_size = 4;
                    if let Some(inner) = inner_type(btf, member.type_id).filter(|ty| ty.kind == Kind::Struct) {
                        def.inner = Some(Box::new(Self::from_struct(btf, &format!("{name}.inner"), inner.id, false)?));
                    }
                }
                other => return Err(bad(format!("unknown attribute {other:?}"))),
            }
        }
        if def.map_type == 0 {
            return Err(bad("no type".into()));
        }
        if matches!(def.map_type, kind::ARRAY_OF_MAPS | kind::HASH_OF_MAPS) && def.inner.is_none() {
            return Err(bad("a map of maps needs __array(values, struct …)".into()));
        }
        if !keeps_types(def.map_type) {
            (def.key_type, def.value_type) = (0, 0);
        }
        Ok(def)
    }
}

fn untyped(field: &str) -> String {
    format!("{field} is no pointer to a type with a size")
}

/// `__uint(x, n)` is `int (*x)[n]`; `__ulong(x, n)` is an anonymous enum with the one value n.
fn number(btf: &Btf, type_id: u32) -> Option<u64> {
    let ty = btf.resolve(type_id)?;
    match ty.kind {
        Kind::Ptr => Some(u64::from(btf.resolve(ty.type_id())?.array()?.2)),
        kind if kind.is_enum() => ty.values().next().map(|v| v.value),
        _ => None,
    }
}

/// `__type(key, T)` is `T *key`.
fn pointee(btf: &Btf, type_id: u32) -> Option<(u32, u32)> {
    let ty = btf.resolve(type_id).filter(|ty| ty.kind == Kind::Ptr)?;
    let size = btf.size_of(ty.type_id(), BPF_POINTER)?;
    Some((ty.type_id(), u32::try_from(size).ok()?))
}

/// `__array(values, T)` is `T *values[]`.
fn inner_type(btf: &Btf, type_id: u32) -> Option<Type<'_>> {
    let element = btf.resolve(type_id)?.array()?.0;
    let pointer = btf.resolve(element).filter(|ty| ty.kind == Kind::Ptr)?;
    btf.resolve(pointer.type_id())
}

/// Map types that take key and value types; the others refuse them (`map_check_no_btf` and friends).
fn keeps_types(map_type: u32) -> bool {
    const WITHOUT: [u32; 16] = [3, 4, 7, 8, 12, 13, 14, 15, 16, 17, 18, 22, 23, 25, 27, 33];
    !WITHOUT.contains(&map_type)
}
