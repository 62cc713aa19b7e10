//! BTF, the kernel's type information: read from a guest, from a module or from a BPF object.
//!
//! What comes from a guest is hostile input. Parsing is one pass over the type section that checks every length against
//! the buffer and keeps one offset per type; types are decoded on demand as borrowed [`Type`] views, and whatever follows
//! references has a depth limit or a budget. Nothing here does I/O, and nothing here may import `bpf` or `sys`.
//!
//! The format: `include/uapi/linux/btf.h` and `Documentation/bpf/btf.rst`.

mod cdecl;
mod raw;
#[cfg(test)]
pub(crate) mod tests;
mod types;

use std::ffi::CStr;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

pub(crate) use raw::{at_u16, at_u32, at_u64, put_u16, put_u32, put_u64};
pub use types::{EnumValue, INT_BOOL, INT_CHAR, INT_SIGNED, Kind, Member, Param, Type, VarInSection};

use crate::arch::Endian;

/// `BTF_MAGIC`.
const MAGIC: u16 = 0xeb9f;
/// Bytes of the header every version has.
const HEADER_MIN: usize = 24;
/// Bytes of a header with a layout section.
const HEADER_LAYOUT: u64 = 32;
/// Largest blob accepted: four times the kernel's own `BTF_MAX_SIZE` (16 MiB).
const MAX_BYTES: usize = 64 << 20;
/// Largest number of types accepted in base and split BTF together; the kernel's own is `BTF_MAX_TYPE` (0xfffff).
const MAX_TYPES: usize = 4 << 20;
/// Longest string read. Types may all name places in one long string without an end, so reading must be bounded or it is
/// quadratic. Names are at most `KSYM_NAME_LEN` (512) bytes; declaration tags and source lines are longer.
const STRING_MAX: usize = 4096;
/// Longest name that can be searched.
const NAME_MAX: usize = 512;
/// How many references a chain (typedef, const, pointer, array…) may have; the kernel's own is `MAX_RESOLVE_DEPTH` (32).
pub(crate) const MAX_DEPTH: u32 = 32;

/// Why a blob is not BTF.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BtfError {
    /// Does not start with a header.
    #[error("not BTF: {0}")]
    Header(&'static str),
    /// A section of the blob is not inside it.
    #[error("truncated BTF: the {section} section ({offset}+{len} bytes) is not inside the {total} bytes there are")]
    Section {
        /// `type`, `string` or `layout`.
        section: &'static str,
        /// Offset from the start of the blob.
        offset: u64,
        /// Length it claims.
        len: u64,
        /// Length of the blob.
        total: u64,
    },
    /// A type is cut off.
    #[error("truncated BTF: type {0} runs past the end of the type section")]
    Type(u32),
    /// A kind this parser does not know, so it cannot know how long the type is either.
    #[error("BTF type {id} has the unknown kind {kind}; a newer harness is needed")]
    UnknownKind {
        /// The type.
        id: u32,
        /// Its kind.
        kind: u32,
    },
    /// More bytes or types than any kernel has.
    #[error("BTF with more than {0} is refused")]
    TooBig(&'static str),
    /// Byte order of a split blob differs from its base.
    #[error("split BTF has another byte order than its base")]
    MixedEndian,
}

/// Parsed BTF: a base, or a split layer on top of one.
#[derive(Clone)]
pub struct Btf {
    endian: Endian,
    /// The type section.
    types: Vec<u8>,
    /// The string section.
    strings: Vec<u8>,
    /// Offset in `types` of each type of this layer, in id order.
    offsets: Vec<u32>,
    /// (hash of the essential name, id), sorted.
    names: Vec<(u32, u32)>,
    /// Names come from a guest: a keyed hash keeps it from choosing colliding ones.
    hasher: RandomState,
    base: Option<Arc<Btf>>,
    /// First id of this layer: 1 in a base, since 0 is `void`.
    first_id: u32,
    /// String offset at which this layer begins.
    first_string: u32,
}

impl std::fmt::Debug for Btf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Btf")
            .field("endian", &self.endian)
            .field("first_id", &self.first_id)
            .field("types", &self.offsets.len())
            .finish_non_exhaustive()
    }
}

impl Btf {
    /// Parses a base: vmlinux or a BPF object.
    ///
    /// # Errors
    /// When the blob is not well-formed BTF.
    pub fn parse(blob: &[u8]) -> Result<Self, BtfError> {
        Self::parse_layer(blob, None)
    }

    /// Parses split BTF (a module's): its ids and strings continue after those of `base`.
    ///
    /// # Errors
    /// As [`Btf::parse`].
    pub fn parse_split(blob: &[u8], base: Arc<Btf>) -> Result<Self, BtfError> {
        Self::parse_layer(blob, Some(base))
    }

    fn parse_layer(blob: &[u8], base: Option<Arc<Btf>>) -> Result<Self, BtfError> {
        if blob.len() > MAX_BYTES {
            return Err(BtfError::TooBig("64 MiB"));
        }
        let endian = match blob.get(..2) {
            Some(m) if u16::from_le_bytes([m[0], m[1]]) == MAGIC => Endian::Little,
            Some(m) if u16::from_be_bytes([m[0], m[1]]) == MAGIC => Endian::Big,
            _ => return Err(BtfError::Header("no magic number")),
        };
        if blob.len() < HEADER_MIN {
            return Err(BtfError::Header("shorter than its header"));
        }
        if blob[2] != 1 {
            return Err(BtfError::Header("not version 1"));
        }
        if base.as_ref().is_some_and(|b| b.endian != endian) {
            return Err(BtfError::MixedEndian);
        }
        let field = |at| u64::from(at_u32(endian, blob, at).unwrap_or(0));
        let header = field(4);
        if header < HEADER_MIN as u64 {
            return Err(BtfError::Header("header length below 24"));
        }
        let section = |name, offset: u64, len: u64| {
            let start = header + offset;
            let bytes = usize::try_from(start).ok().zip(usize::try_from(start + len).ok());
            bytes.and_then(|(from, to)| blob.get(from..to)).ok_or(BtfError::Section {
                section: name,
                offset: start,
                len,
                total: blob.len() as u64,
            })
        };
        let types = section("type", field(8), field(12))?;
        let strings = section("string", field(16), field(20))?;
        // A header of newer kernels can describe kinds it knows, so that older readers can step over them.
        let layout: &[u8] = if header >= HEADER_LAYOUT { section("layout", field(24), field(28))? } else { &[] };
        let (first_id, first_string) = match &base {
            Some(base) => (base.end_id(), base.end_string()),
            None => (1, 0),
        };
        let mut btf = Self {
            endian,
            offsets: Vec::with_capacity(types.len() / 24),
            types: types.to_vec(),
            strings: strings.to_vec(),
            names: Vec::new(),
            hasher: base.as_ref().map_or_else(RandomState::new, |b| b.hasher.clone()),
            base,
            first_id,
            first_string,
        };
        btf.index(layout)?;
        Ok(btf)
    }

    /// Walks the type section once: where each type is, and what its name hashes to.
    fn index(&mut self, layout: &[u8]) -> Result<(), BtfError> {
        let mut at = 0usize;
        let mut names = Vec::with_capacity(self.offsets.capacity());
        while at < self.types.len() {
            let id = self.first_id + self.offsets.len() as u32;
            if id as usize > MAX_TYPES {
                return Err(BtfError::TooBig("4194304 types"));
            }
            let head = self.types.get(at..at + types::HEAD).ok_or(BtfError::Type(id))?;
            let name = at_u32(self.endian, head, 0).unwrap_or(0);
            let info = at_u32(self.endian, head, 4).unwrap_or(0);
            let tail = types::tail_len(info).or_else(|| types::described_len(info, layout));
            let tail = tail.ok_or(BtfError::UnknownKind { id, kind: types::kind_bits(info) })?;
            let next = at + types::HEAD + tail;
            if next > self.types.len() {
                return Err(BtfError::Type(id));
            }
            if name != 0
                && let Some(text) = self.bounded_string(name, NAME_MAX)
            {
                names.push((self.hash(essential(text)), id));
            }
            self.offsets.push(at as u32);
            at = next;
        }
        names.sort_unstable();
        self.names = names;
        Ok(())
    }

    fn hash(&self, name: &[u8]) -> u32 {
        self.hasher.hash_one(name) as u32
    }

    /// Byte order.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// One more than the last id.
    pub fn end_id(&self) -> u32 {
        self.first_id + self.offsets.len() as u32
    }

    /// First id of this layer.
    pub fn first_id(&self) -> u32 {
        self.first_id
    }

    fn end_string(&self) -> u32 {
        self.first_string.saturating_add(self.strings.len() as u32)
    }

    /// The type with this id. `None` for 0 (`void`) and for ids that are not there.
    pub fn get(&self, id: u32) -> Option<Type<'_>> {
        if id < self.first_id {
            return self.base.as_deref()?.get(id);
        }
        let at = *self.offsets.get((id - self.first_id) as usize)? as usize;
        let bytes = self.types.get(at..)?;
        let info = at_u32(self.endian, bytes, 4)?;
        let kind = Kind::from_bits(types::kind_bits(info))?;
        let end = types::HEAD + types::tail_len(info)?;
        Some(Type {
            id,
            kind,
            info,
            name_off: at_u32(self.endian, bytes, 0)?,
            size_or_type: at_u32(self.endian, bytes, 8)?,
            tail: bytes.get(types::HEAD..end)?,
            endian: self.endian,
        })
    }

    /// Offset in the type section of a type of this layer, for whoever patches a copy of it.
    pub(crate) fn type_offset(&self, id: u32) -> Option<usize> {
        Some(*self.offsets.get(id.checked_sub(self.first_id)? as usize)? as usize)
    }

    /// The type section of this layer.
    pub(crate) fn type_bytes(&self) -> &[u8] {
        &self.types
    }

    /// The string section of this layer.
    pub(crate) fn string_section(&self) -> &[u8] {
        &self.strings
    }

    fn bounded_string(&self, offset: u32, most: usize) -> Option<&[u8]> {
        if offset < self.first_string {
            return self.base.as_deref()?.bounded_string(offset, most);
        }
        let rest = self.strings.get((offset - self.first_string) as usize..)?;
        let window = rest.get(..most + 1).unwrap_or(rest);
        CStr::from_bytes_until_nul(window).ok().map(CStr::to_bytes)
    }

    fn string_bytes(&self, offset: u32) -> Option<&[u8]> {
        self.bounded_string(offset, STRING_MAX)
    }

    /// The string at an offset; empty when there is none, it is not UTF-8 or longer than 4096 bytes.
    pub fn string(&self, offset: u32) -> &str {
        self.string_bytes(offset).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("")
    }

    /// A type's name; empty when anonymous.
    pub fn name(&self, ty: &Type<'_>) -> &str {
        self.string(ty.name_off)
    }

    /// Types whose name without flavour (`foo___bar` is a flavour of `foo`) is that of `name`, this layer's only.
    pub fn by_essential_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Type<'a>> + 'a {
        let wanted = essential(name.as_bytes());
        let hash = self.hash(wanted);
        let from = self.names.partition_point(|&(h, _)| h < hash);
        self.names[from..]
            .iter()
            .take_while(move |&&(h, _)| h == hash)
            .filter_map(|&(_, id)| self.get(id))
            .filter(move |ty| self.string_bytes(ty.name_off).is_some_and(|n| essential(n) == wanted))
    }

    /// The first type of this layer with this kind and exactly this name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<Type<'_>> {
        let hash = self.hash(essential(name.as_bytes()));
        let from = self.names.partition_point(|&(h, _)| h < hash);
        self.names[from..]
            .iter()
            .take_while(|&&(h, _)| h == hash)
            .filter_map(|&(_, id)| self.get(id))
            .find(|ty| ty.kind == kind && self.string_bytes(ty.name_off) == Some(name.as_bytes()))
    }

    /// The id of the function with this name, in this layer only.
    pub fn func(&self, name: &str) -> Option<u32> {
        self.find(Kind::Func, name).map(|ty| ty.id)
    }

    /// Types of this layer in id order.
    pub fn iter(&self) -> impl Iterator<Item = Type<'_>> {
        (self.first_id..self.end_id()).filter_map(|id| self.get(id))
    }

    /// Follows const, volatile, restrict and type tags, and typedefs too. `None` at `void`, at a dangling id, or when the
    /// chain is longer than 32.
    pub fn resolve(&self, id: u32) -> Option<Type<'_>> {
        self.follow(id, |kind| kind.is_modifier() || kind == Kind::Typedef)
    }

    /// Follows const, volatile, restrict and type tags, but stops at a typedef.
    pub fn skip_modifiers(&self, id: u32) -> Option<Type<'_>> {
        self.follow(id, Kind::is_modifier)
    }

    fn follow(&self, mut id: u32, through: impl Fn(Kind) -> bool) -> Option<Type<'_>> {
        for _ in 0..MAX_DEPTH {
            let ty = self.get(id)?;
            if !through(ty.kind) {
                return Some(ty);
            }
            id = ty.type_id();
        }
        None
    }

    /// Size in bytes of a value of this type where pointers have `pointer` bytes. `None` for what has no size.
    pub fn size_of(&self, mut id: u32, pointer: u64) -> Option<u64> {
        let mut count = 1u64;
        for _ in 0..MAX_DEPTH {
            let ty = self.get(id)?;
            let size = match ty.kind {
                Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float | Kind::Datasec => {
                    u64::from(ty.size())
                }
                Kind::Ptr => pointer,
                Kind::Array => {
                    let (element, _, n) = ty.array()?;
                    count = count.checked_mul(u64::from(n))?;
                    id = element;
                    continue;
                }
                Kind::Var => {
                    id = ty.type_id();
                    continue;
                }
                kind if kind.is_modifier() || kind == Kind::Typedef => {
                    id = ty.type_id();
                    continue;
                }
                _ => return None,
            };
            return count.checked_mul(size);
        }
        None
    }

    /// The C prototype of a function for people: `int bpf_strchr(const char *s__ign, char c)`. Bounded in length, so
    /// that hostile BTF cannot make it long.
    pub fn prototype(&self, func: u32) -> Option<String> {
        let ty = self.get(func).filter(|ty| ty.kind == Kind::Func)?;
        Some(cdecl::declare(self, ty.type_id(), self.name(&ty)))
    }

    /// A type for people, e.g. `const struct task_struct *`.
    pub fn type_text(&self, id: u32) -> String {
        cdecl::declare(self, id, "")
    }
}

/// A name without its flavour: `task_struct` of `task_struct___old`. Three underscores at the start make no flavour.
pub(crate) fn essential(name: &[u8]) -> &[u8] {
    // As libbpf's bpf_core_essential_name_len: the last "x___y" with characters other than '_' on both sides counts.
    if name.len() >= 5 {
        for i in (0..=name.len() - 5).rev() {
            let w = &name[i..i + 5];
            if w[0] != b'_' && &w[1..4] == b"___" && w[4] != b'_' {
                return &name[..=i];
            }
        }
    }
    name
}
