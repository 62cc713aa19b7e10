use super::*;
use crate::btf::INT_SIGNED;
use crate::btf::tests::Builder;

const LITTLE: Endian = Endian::Little;

/// The program's view: `struct task { int pid; struct task *parent; unsigned long flags:3; int list[4]; }`.
fn local() -> Btf {
    let mut b = Builder::new(LITTLE);
    let int = b.int("int", 4, INT_SIGNED);
    let long = b.int("unsigned long", 8, 0);
    let pointer = b.add(Kind::Ptr, "", 0, 4, &[]);
    let task = b.composite(
        Kind::Struct,
        "task___mine",
        40,
        &[("pid", int, 0), ("parent", pointer, 64), ("counter", long, 128), ("list", 5, 192)],
    );
    assert_eq!(task, 4);
    b.add(Kind::Array, "", 0, 0, &[int, int, 4]);
    b.string("0:0");
    Btf::parse(&b.blob()).unwrap()
}

/// The kernel's: other offsets, `pid` in an anonymous struct, a shorter list, a narrower `counter`.
fn kernel(word: u32) -> Btf {
    let mut b = Builder::new(LITTLE);
    let int = b.int("int", 4, INT_SIGNED);
    let long = b.int("long unsigned int", word, 0);
    let inner = b.composite(Kind::Struct, "", 8, &[("tgid", int, 0), ("pid", int, 32)]);
    let pointer = b.add(Kind::Ptr, "", 0, 6, &[]);
    let list = b.add(Kind::Array, "", 0, 0, &[int, int, 2]);
    b.composite(
        Kind::Struct,
        "task",
        64,
        &[("", inner, 64), ("parent", pointer, 192), ("counter", long, 256), ("list", list, 320)],
    );
    Btf::parse(&b.blob()).unwrap()
}

fn ask(kind: u32, path: &str, kernel: Option<&Btf>, word: WordSize) -> Result<Option<Answer>, String> {
    let local = local();
    let kind = RelocKind::from_number(kind).unwrap();
    let target = CoreTarget { kernel, endian: LITTLE, word };
    let spec = parse(&local, 4, path, kind).ok_or("bad path")?;
    let found = match kernel {
        Some(k) => search(&local, &spec, k, kind, target)?,
        None => None,
    };
    match kernel.zip(found) {
        Some((k, found)) => compute(&local, &spec, k, &found, kind, target),
        None => Ok(kind.asks().then_some(Answer { value: 0, sizes: None })),
    }
}

fn value(kind: u32, path: &str) -> Option<u64> {
    ask(kind, path, Some(&kernel(8)), WordSize::Bits64).unwrap().map(|a| a.value)
}

#[test]
fn fields_are_found_by_name() {
    assert_eq!(value(0, "0:0"), Some(12), "pid is in an anonymous struct");
    assert_eq!(value(0, "0:1"), Some(24));
    assert_eq!(value(1, "0:2"), Some(8));
    assert_eq!(value(2, "0:0"), Some(1));
    assert_eq!(value(3, "0:0"), Some(1), "int is signed");
    assert_eq!(value(3, "0:2"), Some(0));
    assert_eq!(value(0, "0:3:1"), Some(44));
    assert_eq!(value(0, "1:0"), Some(64 + 12), "the second element of an array of them");
    assert_eq!((value(4, "0:0"), value(5, "0:0")), (Some(32), Some(32)));
}

#[test]
fn what_is_not_there_is_answered_or_poisons() {
    assert_eq!(value(0, "0:3:3"), None, "the kernel's list has two elements");
    assert_eq!(value(2, "0:3:3"), Some(0));
    let none = ask(2, "0:0", None, WordSize::Bits64).unwrap().map(|a| a.value);
    assert_eq!(none, Some(0), "without BTF nothing exists");
    assert_eq!(ask(0, "0:0", None, WordSize::Bits64), Ok(None));
    assert!(ask(0, "0:9", Some(&kernel(8)), WordSize::Bits64).is_err(), "a path that the program itself does not have");
    assert!(ask(0, "0:x", Some(&kernel(8)), WordSize::Bits64).is_err());
}

#[test]
fn a_narrower_field_is_accessed_in_its_width() {
    let answer = ask(0, "0:2", Some(&kernel(4)), WordSize::Bits32).unwrap().unwrap();
    assert_eq!(answer.sizes, Some((8, 4)));
    let mut insns =
        [Insn::load(super::super::insn::Size::Dw, super::super::insn::Reg::R1, super::super::insn::Reg::R2, 16)];
    patch(&mut insns, 0, Some(answer)).unwrap();
    assert_eq!(insns[0].code, 0x61, "u32");
    assert_eq!(insns[0].off, 32);
    let answer = ask(0, "0:1", Some(&kernel(4)), WordSize::Bits32).unwrap().unwrap();
    assert_eq!(answer.sizes, Some((8, 4)), "pointers too");
}

#[test]
fn poisoned_instructions_name_no_helper() {
    let mut insns = Insn::ld_imm64(super::super::insn::Reg::R1, 7).to_vec();
    patch(&mut insns, 0, None).unwrap();
    assert!(insns.iter().all(|i| i.code == CALL && i.imm == 195_896_080));
}

#[test]
fn values_that_do_not_fit_are_errors() {
    let answer = Some(Answer { value: 40_000, sizes: None });
    let reg = super::super::insn::Reg::R1;
    let mut insns = [Insn::load(super::super::insn::Size::W, reg, reg, 0)];
    assert!(patch(&mut insns, 0, answer).is_err());
    let mut insns = [Insn::exit()];
    assert!(patch(&mut insns, 0, answer).is_err());
    let mut insns = [Insn::mov_imm(reg, 0)];
    patch(&mut insns, 0, answer).unwrap();
    assert_eq!(insns[0].imm, 40_000);
}

#[test]
fn bit_fields() {
    // Bits 5 to 7 of the second byte: flag bit 31 of info says that offsets carry sizes.
    let mut b = Builder::new(LITTLE);
    let int = b.int("unsigned int", 4, 0);
    let name = b.string("s");
    let field = b.string("f");
    b.raw(&[name, 1 << 31 | (Kind::Struct as u32) << 24 | 1, 4, field, int, 3 << 24 | 13]);
    let btf = Btf::parse(&b.blob()).unwrap();
    let spec = parse(&btf, 2, "0:0", RelocKind::FieldLshift).unwrap();
    for (endian, lshift) in [(Endian::Little, 64 - 16), (Endian::Big, 32 + 13)] {
        let target = CoreTarget { kernel: Some(&btf), endian, word: WordSize::Bits64 };
        let get = |kind| compute(&btf, &spec, &btf, &spec, kind, target).unwrap().unwrap().value;
        assert_eq!(get(RelocKind::FieldLshift), lshift);
        assert_eq!(get(RelocKind::FieldRshift), 61);
        assert_eq!((get(RelocKind::FieldByteOffset), get(RelocKind::FieldByteSize)), (0, 4));
    }
}

#[test]
fn enum_values() {
    let make = |value: u32| {
        let mut b = Builder::new(LITTLE);
        let (a, c) = (b.string("A"), b.string("B"));
        b.add(Kind::Enum, "e", 2, 4, &[a, 1, c, value]);
        Btf::parse(&b.blob()).unwrap()
    };
    let (local, kernel) = (make(2), make(7));
    let target = CoreTarget { kernel: Some(&kernel), endian: LITTLE, word: WordSize::Bits64 };
    let spec = parse(&local, 1, "1", RelocKind::EnumValue).unwrap();
    let found = search(&local, &spec, &kernel, RelocKind::EnumValue, target).unwrap().unwrap();
    assert_eq!(compute(&local, &spec, &kernel, &found, RelocKind::EnumValue, target).unwrap().unwrap().value, 7);
}

#[test]
fn two_kernel_types_that_disagree_are_an_error() {
    let mut b = Builder::new(LITTLE);
    let int = b.int("int", 4, INT_SIGNED);
    b.composite(Kind::Struct, "task", 8, &[("pid", int, 0)]);
    b.composite(Kind::Struct, "task", 8, &[("pid", int, 32)]);
    let kernel = Btf::parse(&b.blob()).unwrap();
    assert!(ask(0, "0:0", Some(&kernel), WordSize::Bits64).is_err());
    let exists = ask(2, "0:0", Some(&kernel), WordSize::Bits64).unwrap().map(|a| a.value);
    assert_eq!(exists, Some(1), "both say that it exists");
}
