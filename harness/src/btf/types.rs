//! One BTF type as a borrowed view: its fixed head decoded, its tail decoded on demand.

use super::raw::at_u32;
use crate::arch::Endian;

/// Bytes of `struct btf_type`.
pub(super) const HEAD: usize = 12;

/// `BTF_INT_SIGNED`.
pub const INT_SIGNED: u32 = 1;
/// `BTF_INT_CHAR`.
pub const INT_CHAR: u32 = 2;
/// `BTF_INT_BOOL`.
pub const INT_BOOL: u32 = 4;

/// What a type is (`BTF_KIND_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)] // each is the kernel's kind of that name
pub enum Kind {
    Int = 1,
    Ptr,
    Array,
    Struct,
    Union,
    Enum,
    Fwd,
    Typedef,
    Volatile,
    Const,
    Restrict,
    Func,
    FuncProto,
    Var,
    Datasec,
    Float,
    DeclTag,
    TypeTag,
    Enum64,
}

impl Kind {
    const ALL: [Self; 19] = [
        Self::Int,
        Self::Ptr,
        Self::Array,
        Self::Struct,
        Self::Union,
        Self::Enum,
        Self::Fwd,
        Self::Typedef,
        Self::Volatile,
        Self::Const,
        Self::Restrict,
        Self::Func,
        Self::FuncProto,
        Self::Var,
        Self::Datasec,
        Self::Float,
        Self::DeclTag,
        Self::TypeTag,
        Self::Enum64,
    ];

    /// The kind with this number.
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        Self::ALL.get(bits.checked_sub(1)? as usize).copied()
    }

    /// const, volatile, restrict, type tag.
    pub fn is_modifier(self) -> bool {
        matches!(self, Self::Const | Self::Volatile | Self::Restrict | Self::TypeTag)
    }

    /// struct or union.
    pub fn is_composite(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    /// enum of 32 or 64 bits.
    pub fn is_enum(self) -> bool {
        matches!(self, Self::Enum | Self::Enum64)
    }
}

/// `BTF_INFO_KIND`. Bits 29 and 30 are reserved as zero, so including them makes a future meaning an unknown kind.
pub(super) fn kind_bits(info: u32) -> u32 {
    (info >> 24) & 0x7f
}

/// `BTF_INFO_VLEN`. Bits 16 to 23 were reserved as zero; including them refuses what would be misread without them.
fn vlen_bits(info: u32) -> usize {
    (info & 0x00ff_ffff) as usize
}

/// Bytes that follow the head. `None` for an unknown kind.
pub(super) fn tail_len(info: u32) -> Option<usize> {
    let n = vlen_bits(info);
    Some(match Kind::from_bits(kind_bits(info))? {
        Kind::Int | Kind::Var | Kind::DeclTag => 4,
        Kind::Array => 12,
        Kind::Struct | Kind::Union | Kind::Datasec | Kind::Enum64 => 12 * n,
        Kind::Enum | Kind::FuncProto => 8 * n,
        // A function's linkage stands where others have their count.
        Kind::Ptr
        | Kind::Fwd
        | Kind::Typedef
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::Func
        | Kind::Float
        | Kind::TypeTag => 0,
    })
}

/// Bytes that follow the head of a kind unknown here, from the layout section: per kind `struct btf_layout` with the size of
/// what comes once, the size of an element, and flags.
pub(super) fn described_len(info: u32, layout: &[u8]) -> Option<usize> {
    let at = 4 * kind_bits(info) as usize;
    let row = layout.get(at..at + 4)?;
    (kind_bits(info) != 0).then(|| usize::from(row[0]) + usize::from(row[1]) * vlen_bits(info))
}

/// One type.
#[derive(Debug, Clone, Copy)]
pub struct Type<'a> {
    /// Its id.
    pub id: u32,
    /// Its kind.
    pub kind: Kind,
    pub(super) info: u32,
    pub(super) name_off: u32,
    pub(super) size_or_type: u32,
    pub(super) tail: &'a [u8],
    pub(super) endian: Endian,
}

/// A member of a struct or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Offset of its name.
    pub name_off: u32,
    /// Its type.
    pub type_id: u32,
    /// Where it begins, in bits.
    pub bit_offset: u32,
    /// Width of a bit field, 0 for others.
    pub bit_size: u32,
}

/// A parameter of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Offset of its name.
    pub name_off: u32,
    /// Its type; 0 in last place means variable arguments.
    pub type_id: u32,
}

/// A value of an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnumValue {
    /// Offset of its name.
    pub name_off: u32,
    /// The value, sign-extended when the enum is signed.
    pub value: u64,
}

/// A variable in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VarInSection {
    /// Type id of the VAR (or FUNC, for externs).
    pub type_id: u32,
    /// Offset in the section.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

impl<'a> Type<'a> {
    /// Number of members, parameters, values, variables; linkage of a function.
    pub fn vlen(&self) -> u32 {
        vlen_bits(self.info) as u32
    }

    /// `kind_flag`: bit fields (struct, union), union (forward), signed values (enum).
    pub fn flag(&self) -> bool {
        self.info >> 31 != 0
    }

    /// Offset of the name in the string section.
    pub fn name_off(&self) -> u32 {
        self.name_off
    }

    /// Size in bytes, of kinds that carry one.
    pub fn size(&self) -> u32 {
        self.size_or_type
    }

    /// Type referred to, of kinds that carry one.
    pub fn type_id(&self) -> u32 {
        self.size_or_type
    }

    fn word(&self, index: usize) -> u32 {
        at_u32(self.endian, self.tail, 4 * index).unwrap_or(0)
    }

    fn rows(&self, words: usize) -> impl Iterator<Item = usize> + use<'a> {
        (0..self.tail.len() / (4 * words)).map(move |row| row * words)
    }

    /// Encoding of an integer: `INT_SIGNED`, `INT_CHAR`, `INT_BOOL`.
    pub fn int_encoding(&self) -> u32 {
        if self.kind == Kind::Int { (self.word(0) >> 24) & 0xf } else { 0 }
    }

    /// Width of an integer in bits and the offset of its first bit.
    pub fn int_bits(&self) -> (u32, u32) {
        if self.kind == Kind::Int { (self.word(0) & 0xff, (self.word(0) >> 16) & 0xff) } else { (0, 0) }
    }

    /// Element type, index type and length of an array.
    pub fn array(&self) -> Option<(u32, u32, u32)> {
        (self.kind == Kind::Array).then(|| (self.word(0), self.word(1), self.word(2)))
    }

    /// Members of a struct or union; none for other kinds.
    pub fn members(&self) -> impl Iterator<Item = Member> + use<'a> {
        let this = *self;
        let is = this.kind.is_composite();
        this.rows(3).take_while(move |_| is).map(move |row| {
            let offset = this.word(row + 2);
            let (bit_offset, bit_size) = if this.flag() { (offset & 0x00ff_ffff, offset >> 24) } else { (offset, 0) };
            Member { name_off: this.word(row), type_id: this.word(row + 1), bit_offset, bit_size }
        })
    }

    /// Parameters of a function prototype.
    pub fn params(&self) -> impl Iterator<Item = Param> + use<'a> {
        let this = *self;
        let is = this.kind == Kind::FuncProto;
        this.rows(2)
            .take_while(move |_| is)
            .map(move |row| Param { name_off: this.word(row), type_id: this.word(row + 1) })
    }

    /// Values of an enum.
    pub fn values(&self) -> impl Iterator<Item = EnumValue> + use<'a> {
        let this = *self;
        let wide = this.kind == Kind::Enum64;
        let is = this.kind.is_enum();
        this.rows(if wide { 3 } else { 2 }).take_while(move |_| is).map(move |row| {
            let low = this.word(row + 1);
            let value = if wide {
                u64::from(low) | u64::from(this.word(row + 2)) << 32
            } else if this.flag() {
                i64::from(low as i32) as u64
            } else {
                u64::from(low)
            };
            EnumValue { name_off: this.word(row), value }
        })
    }

    /// Variables of a section.
    pub fn variables(&self) -> impl Iterator<Item = VarInSection> + use<'a> {
        let this = *self;
        let is = this.kind == Kind::Datasec;
        this.rows(3).take_while(move |_| is).map(move |row| VarInSection {
            type_id: this.word(row),
            offset: this.word(row + 1),
            size: this.word(row + 2),
        })
    }

    /// Linkage of a variable (`BTF_VAR_*`) or function (`BTF_FUNC_*`).
    pub fn linkage(&self) -> u32 {
        match self.kind {
            Kind::Var => self.word(0),
            Kind::Func => self.vlen(),
            _ => 0,
        }
    }

    /// Which member or parameter a declaration tag is on; -1 for the declaration itself.
    pub fn tag_component(&self) -> Option<i32> {
        (self.kind == Kind::DeclTag).then(|| self.word(0) as i32)
    }
}
