//! CO-RE relocations: what clang recorded of accesses to kernel types, recomputed for the kernel under test.
//!
//! The rules are libbpf's (`tools/lib/bpf/relo_core.c`): a local type is searched by name without flavour among the
//! kernel's types, the access path is followed by member names, and what cannot be found makes the instruction an invalid
//! call, so that a program is refused only if it would get there.

use super::btfext::CoreRelo;
use super::error::LoadError;
use super::insn::{CALL, Insn, class};
use super::link::Linked;
use super::map::BPF_POINTER;
use crate::arch::{Endian, WordSize};
use crate::btf::{Btf, Kind, MAX_DEPTH, Type, essential};

/// Helper number of a poisoned instruction; verifier logs say `invalid func unknown#195896080`.
pub(crate) const POISON: i32 = 0x0bad_2310;
/// Longest access path.
const PATH_MAX: usize = 64;
/// Members looked at for one relocation, so that hostile BTF cannot make the search long.
const BUDGET: u32 = 1_000_000;

/// `enum bpf_core_relo_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RelocKind {
    FieldByteOffset,
    FieldByteSize,
    FieldExists,
    FieldSigned,
    FieldLshift,
    FieldRshift,
    TypeIdLocal,
    TypeIdTarget,
    TypeExists,
    TypeSize,
    EnumExists,
    EnumValue,
    TypeMatches,
}

impl RelocKind {
    fn from_number(number: u32) -> Option<Self> {
        use RelocKind::*;
        const ALL: [RelocKind; 13] = [
            FieldByteOffset,
            FieldByteSize,
            FieldExists,
            FieldSigned,
            FieldLshift,
            FieldRshift,
            TypeIdLocal,
            TypeIdTarget,
            TypeExists,
            TypeSize,
            EnumExists,
            EnumValue,
            TypeMatches,
        ];
        ALL.get(number as usize).copied()
    }

    fn is_field(self) -> bool {
        (self as u32) < Self::TypeIdLocal as u32
    }

    fn is_enum(self) -> bool {
        matches!(self, Self::EnumExists | Self::EnumValue)
    }

    /// Whether "not there" is an answer instead of a failure.
    fn asks(self) -> bool {
        matches!(self, Self::FieldExists | Self::TypeExists | Self::EnumExists | Self::TypeMatches | Self::TypeSize)
    }
}

/// Where and in what byte order the answers are valid.
#[derive(Clone, Copy)]
pub(crate) struct CoreTarget<'a> {
    /// The kernel's types; without them every question about them is answered with "not there".
    pub kernel: Option<&'a Btf>,
    pub endian: Endian,
    pub word: WordSize,
}

/// A followed access path.
#[derive(Debug, Clone, Default)]
struct Spec {
    /// Root type after modifiers.
    root: u32,
    /// Named steps and array steps.
    steps: Vec<Step>,
    /// Where the field begins.
    bit_offset: u64,
    /// Type of the field, 0 for the root itself.
    field: u32,
    /// Width of a bit field, 0 for others.
    bit_size: u32,
    /// For enums: the value.
    value: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Index(u32),
    Name(String),
}

/// What an instruction gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    value: u64,
    /// Bytes of the field in the program's view and in the kernel's, where the access must be as wide as the field.
    sizes: Option<(u64, u64)>,
}

/// Applies all of a program's relocations.
pub(crate) fn apply(linked: &mut Linked, local: &Btf, target: CoreTarget<'_>) -> Result<(), LoadError> {
    for (at, relo) in std::mem::take(&mut linked.core) {
        let bad = |linked: &Linked, what: String| LoadError::Core { place: linked.place(at), what };
        let answer = answer(&relo, local, target).map_err(|what| bad(linked, what))?;
        patch(&mut linked.insns, at, answer).map_err(|what| bad(linked, what))?;
    }
    Ok(())
}

/// The new value; `None` when the instruction must not be reached.
fn answer(relo: &CoreRelo, local: &Btf, target: CoreTarget<'_>) -> Result<Option<Answer>, String> {
    let kind = RelocKind::from_number(relo.kind).ok_or_else(|| format!("unknown kind {}", relo.kind))?;
    if kind == RelocKind::TypeIdLocal {
        return Ok(Some(Answer { value: u64::from(relo.type_id), sizes: None }));
    }
    let path = local.string(relo.access);
    let spec =
        parse(local, relo.type_id, path, kind).ok_or_else(|| format!("access path \"{path}\" makes no sense"))?;
    let found = match target.kernel {
        Some(kernel) => search(local, &spec, kernel, kind, target)?,
        None => None,
    };
    let Some((kernel, found)) = target.kernel.zip(found) else {
        return Ok(kind.asks().then_some(Answer { value: 0, sizes: None }));
    };
    compute(local, &spec, kernel, &found, kind, target)
}

/// Candidates by name; more than one may fit, but all must give the same answer.
fn search(
    local: &Btf,
    spec: &Spec,
    kernel: &Btf,
    kind: RelocKind,
    target: CoreTarget<'_>,
) -> Result<Option<Spec>, String> {
    let Some(root) = local.get(spec.root) else { return Ok(None) };
    let name = local.name(&root);
    let mut budget = BUDGET;
    let mut chosen: Option<(Spec, Option<Answer>)> = None;
    for candidate in kernel.by_essential_name(name) {
        let same = candidate.kind == root.kind || (candidate.kind.is_enum() && root.kind.is_enum());
        if !same || name.is_empty() {
            continue;
        }
        let Some(found) = follow(local, spec, kernel, candidate, kind, &mut budget) else { continue };
        let answer = compute(local, spec, kernel, &found, kind, target)?;
        match &chosen {
            // Types are often there twice; ids differ, layouts must not.
            Some((_, before)) if *before != answer && kind != RelocKind::TypeIdTarget => {
                return Err(format!("the kernel has several types {name} that give different answers"));
            }
            Some(_) => {}
            None => chosen = Some((found, answer)),
        }
    }
    Ok(chosen.map(|(found, _)| found))
}

/// Reads an access path such as `0:1:2` against the program's own types.
fn parse(btf: &Btf, type_id: u32, path: &str, kind: RelocKind) -> Option<Spec> {
    let indices: Vec<u32> = path.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let (&first, rest) = indices.split_first()?;
    if indices.len() > PATH_MAX {
        return None;
    }
    if !kind.is_field() && !kind.is_enum() {
        // Types themselves: a typedef is searched as one.
        let ty = btf.skip_modifiers(type_id)?;
        return Some(Spec { root: ty.id, ..Spec::default() });
    }
    let root = btf.resolve(type_id)?;
    let mut spec = Spec { root: root.id, ..Spec::default() };
    if kind.is_enum() {
        let value = root.values().nth(first as usize)?;
        spec.steps.push(Step::Name(btf.string(value.name_off).to_owned()));
        spec.value = value.value;
        return rest.is_empty().then_some(spec);
    }
    spec.steps.push(Step::Index(first));
    spec.bit_offset = u64::from(first).checked_mul(btf.size_of(root.id, BPF_POINTER)?)?.checked_mul(8)?;
    spec.field = root.id;
    for &index in rest {
        let ty = btf.resolve(spec.field)?;
        if ty.kind.is_composite() {
            let member = ty.members().nth(index as usize)?;
            spec.bit_offset = spec.bit_offset.checked_add(u64::from(member.bit_offset))?;
            spec.bit_size = member.bit_size;
            spec.field = member.type_id;
            let name = btf.string(member.name_off);
            if !name.is_empty() {
                spec.steps.push(Step::Name(name.to_owned()));
            }
        } else {
            let (element, _, _) = ty.array()?;
            let size = btf.size_of(element, BPF_POINTER)?;
            spec.bit_offset = spec.bit_offset.checked_add(size.checked_mul(u64::from(index))?.checked_mul(8)?)?;
            spec.bit_size = 0;
            spec.field = element;
            spec.steps.push(Step::Index(index));
        }
    }
    Some(spec)
}

/// Follows the same path in a kernel type. `None` when it is not there or is something else.
fn follow(local: &Btf, spec: &Spec, kernel: &Btf, root: Type<'_>, kind: RelocKind, budget: &mut u32) -> Option<Spec> {
    let mut found = Spec { root: root.id, ..Spec::default() };
    if kind.is_enum() {
        let Some(Step::Name(name)) = spec.steps.first() else { return None };
        let wanted = essential(name.as_bytes());
        let value = root.values().find(|v| essential(kernel.string(v.name_off).as_bytes()) == wanted)?;
        found.value = value.value;
        return Some(found);
    }
    if !kind.is_field() {
        return (kind != RelocKind::TypeMatches || matches(local, spec.root, kernel, root)).then_some(found);
    }
    found.field = root.id;
    let pointer = kernel_pointer(kernel);
    for (depth, step) in spec.steps.iter().enumerate() {
        match step {
            Step::Index(index) => {
                // The first index is that of the pointer the access starts from; it may point at an array.
                let element = if depth == 0 { root.id } else { kernel.resolve(found.field)?.array()?.0 };
                if depth > 0 {
                    let length = kernel.resolve(found.field)?.array()?.2;
                    // A last member of length 0 is a flexible array.
                    if length != 0 && *index >= length {
                        return None;
                    }
                    found.field = element;
                    found.bit_size = 0;
                }
                if *index > 0 {
                    let step = kernel.size_of(element, pointer)?.checked_mul(u64::from(*index))?.checked_mul(8)?;
                    found.bit_offset = found.bit_offset.checked_add(step)?;
                }
            }
            Step::Name(name) => {
                let ty = kernel.resolve(found.field).filter(|ty| ty.kind.is_composite())?;
                let (offset, bits, field) = member(kernel, ty, name, 0, budget)?;
                found.bit_offset = found.bit_offset.checked_add(offset)?;
                found.bit_size = bits;
                found.field = field;
            }
        }
    }
    fields_fit(local, spec.field, kernel, found.field).then_some(found)
}

/// A member by name, looking into anonymous structs and unions: (bit offset, width of a bit field, type).
fn member(btf: &Btf, ty: Type<'_>, name: &str, depth: u32, budget: &mut u32) -> Option<(u64, u32, u32)> {
    if depth >= MAX_DEPTH {
        return None;
    }
    for member_of in ty.members() {
        *budget = budget.checked_sub(1)?;
        let found = btf.string(member_of.name_off);
        let offset = u64::from(member_of.bit_offset);
        if found == name {
            return Some((offset, member_of.bit_size, member_of.type_id));
        }
        if found.is_empty() {
            let Some(inner) = btf.resolve(member_of.type_id).filter(|t| t.kind.is_composite()) else { continue };
            if let Some((more, bits, field)) = member(btf, inner, name, depth + 1, budget) {
                return Some((offset + more, bits, field));
            }
        }
    }
    None
}

/// Whether two field types are of the same sort (`bpf_core_fields_are_compat`).
fn fields_fit(local: &Btf, mut a: u32, kernel: &Btf, mut b: u32) -> bool {
    for _ in 0..MAX_DEPTH {
        let (Some(left), Some(right)) = (local.resolve(a), kernel.resolve(b)) else { return a == 0 && b == 0 };
        if left.kind.is_composite() && right.kind.is_composite() {
            return true;
        }
        let enums = left.kind.is_enum() && right.kind.is_enum();
        if left.kind != right.kind && !enums {
            return false;
        }
        match left.kind {
            Kind::Ptr | Kind::Float | Kind::FuncProto => return true,
            Kind::Fwd | Kind::Enum | Kind::Enum64 => {
                let (left, right) = (local.name(&left), kernel.name(&right));
                return left.is_empty()
                    || right.is_empty()
                    || essential(left.as_bytes()) == essential(right.as_bytes());
            }
            // Any integer may stand for any other; bit-field-like ones are long gone from BTF.
            Kind::Int => return left.int_bits().1 == 0 && right.int_bits().1 == 0,
            Kind::Array => {
                let (Some(left), Some(right)) = (left.array(), right.array()) else { return false };
                (a, b) = (left.0, right.0);
            }
            _ => return false,
        }
    }
    false
}

/// `BPF_CORE_TYPE_MATCHES`, simplified: the same members by name with fields of the same sort, the same values by name.
fn matches(local: &Btf, a: u32, kernel: &Btf, right: Type<'_>) -> bool {
    let Some(left) = local.get(a) else { return false };
    if left.kind.is_composite() {
        let mut budget = BUDGET;
        return left.members().all(|m| {
            let name = local.string(m.name_off);
            let found = member(kernel, right, name, 0, &mut budget);
            name.is_empty() || found.is_some_and(|(_, _, field)| fields_fit(local, m.type_id, kernel, field))
        });
    }
    if left.kind.is_enum() {
        return left.values().all(|v| {
            let name = local.string(v.name_off);
            right.values().any(|w| kernel.string(w.name_off) == name)
        });
    }
    true
}

/// Bytes of a pointer in the kernel, by its `unsigned long`; BTF itself does not say.
fn kernel_pointer(kernel: &Btf) -> u64 {
    match kernel.find(Kind::Int, "long unsigned int").or_else(|| kernel.find(Kind::Int, "unsigned long")) {
        Some(ty) if ty.size() == 4 => 4,
        _ => 8,
    }
}

fn compute(
    local: &Btf,
    spec: &Spec,
    kernel: &Btf,
    found: &Spec,
    kind: RelocKind,
    target: CoreTarget<'_>,
) -> Result<Option<Answer>, String> {
    let plain = |value| Ok(Some(Answer { value, sizes: None }));
    let pointer = target.word.bytes();
    match kind {
        RelocKind::FieldExists | RelocKind::TypeExists | RelocKind::EnumExists | RelocKind::TypeMatches => plain(1),
        RelocKind::TypeIdLocal => plain(u64::from(spec.root)),
        RelocKind::TypeIdTarget => plain(u64::from(found.root)),
        RelocKind::TypeSize => Ok(kernel.size_of(found.root, pointer).map(|value| Answer { value, sizes: None })),
        RelocKind::EnumValue => plain(found.value),
        _ => {
            let Some(place) = Place::of(kernel, found, pointer) else { return Ok(None) };
            match kind {
                RelocKind::FieldByteOffset => {
                    let here = Place::of(local, spec, BPF_POINTER);
                    let whole = spec.bit_size == 0 && found.bit_size == 0;
                    let sizes = here.filter(|_| whole).map(|h| (h.size, place.size)).filter(|(a, b)| a != b);
                    Ok(Some(Answer { value: place.offset, sizes: sizes.filter(|_| scalar(local, spec.field)) }))
                }
                RelocKind::FieldByteSize => plain(place.size),
                RelocKind::FieldSigned => plain(u64::from(signed(kernel, found.field))),
                // Shifts bring a number to the top of a register: larger things have none.
                RelocKind::FieldLshift | RelocKind::FieldRshift if place.size > 8 => Ok(None),
                RelocKind::FieldLshift => plain(match target.endian {
                    Endian::Little => 64 - (place.bit + place.bits),
                    Endian::Big => (8 - place.size) * 8 + place.bit,
                }),
                _ => plain(64 - place.bits),
            }
        }
    }
}

/// Whether the kernel loads such a field as one number.
fn scalar(btf: &Btf, field: u32) -> bool {
    btf.resolve(field).is_some_and(|ty| ty.kind.is_enum() || matches!(ty.kind, Kind::Int | Kind::Ptr))
}

fn signed(btf: &Btf, field: u32) -> bool {
    match btf.resolve(field) {
        Some(ty) if ty.kind.is_enum() => ty.flag(),
        Some(ty) => ty.int_encoding() & crate::btf::INT_SIGNED != 0,
        None => false,
    }
}

/// Where a field is loaded from: an aligned unit of `size` bytes at `offset`, and the field's `bits` at `bit` in it.
struct Place {
    offset: u64,
    size: u64,
    bit: u64,
    bits: u64,
}

impl Place {
    fn of(btf: &Btf, spec: &Spec, pointer: u64) -> Option<Self> {
        let mut size = btf.size_of(spec.field, pointer)?;
        if spec.bit_size == 0 {
            let bits = size.saturating_mul(8).min(64);
            return Some(Self { offset: spec.bit_offset / 8, size, bit: 0, bits });
        }
        let bits = u64::from(spec.bit_size);
        let mut offset = (spec.bit_offset / 8).checked_div(size)?.checked_mul(size)?;
        while spec.bit_offset + bits - offset * 8 > size * 8 {
            if size >= 8 {
                return None;
            }
            size *= 2;
            offset = spec.bit_offset / 8 / size * size;
        }
        (size <= 8).then_some(Self { offset, size, bit: spec.bit_offset - offset * 8, bits })
    }
}

/// Writes the answer into the instruction, or makes it one that must not be reached.
fn patch(insns: &mut [Insn], at: usize, answer: Option<Answer>) -> Result<(), String> {
    let insn = insns.get_mut(at).ok_or("is at no instruction")?;
    let wide = insn.is_ld_imm64();
    let Some(answer) = answer else {
        poison(insns, at);
        return Ok(());
    };
    let value = answer.value;
    match insn.class() {
        class::ALU | class::ALU64 if insn.code & 8 == 0 => {
            insn.imm = u32::try_from(value).map_err(|_| format!("{value} does not fit the immediate"))? as i32;
        }
        class::LDX | class::ST | class::STX => {
            insn.off = i16::try_from(value).map_err(|_| format!("offset {value} does not fit the instruction"))?;
            if let Some((here, there)) = answer.sizes {
                resize(insns, at, here, there);
            }
        }
        _ if wide => {
            insn.imm = value as u32 as i32;
            insns.get_mut(at + 1).ok_or("is at half an instruction")?.imm = (value >> 32) as u32 as i32;
        }
        _ => return Err(format!("is at an instruction ({:#04x}) that cannot take a value", insn.code)),
    }
    Ok(())
}

/// A field that is wider or narrower in this kernel (`long` on 32 bits) is accessed in its real width. A signed one would
/// lose its sign, so only loads that zero-extend qualify; others must not be reached.
fn resize(insns: &mut [Insn], at: usize, here: u64, there: u64) {
    const MODES: [(u64, u8); 4] = [(1, 0x10), (2, 0x08), (4, 0x00), (8, 0x18)];
    let mode = |bytes| MODES.iter().find(|(n, _)| *n == bytes).map(|(_, bits)| *bits);
    let (Some(insn), Some(new), Some(old)) = (insns.get_mut(at), mode(there), mode(here)) else { return };
    let plain = insn.code & 0xe0 == 0x60;
    if insn.code & 0x18 == old && plain {
        insn.code = insn.code & !0x18 | new;
    } else if insn.code & 0x18 != new {
        poison(insns, at);
    }
}

fn poison(insns: &mut [Insn], at: usize) {
    let halves = if insns.get(at).is_some_and(Insn::is_ld_imm64) { 2 } else { 1 };
    for insn in insns.iter_mut().skip(at).take(halves) {
        *insn = Insn { code: CALL, imm: POISON, ..Insn::default() };
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
