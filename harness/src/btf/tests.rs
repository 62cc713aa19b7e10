use std::time::{Duration, Instant};

use super::*;

/// BTF written by hand, for tests here and in `bpf`.
pub(crate) struct Builder {
    endian: Endian,
    types: Vec<u8>,
    strings: Vec<u8>,
    first_string: u32,
    next: u32,
}

impl Builder {
    pub(crate) fn new(endian: Endian) -> Self {
        Self { endian, types: Vec::new(), strings: vec![0], first_string: 0, next: 1 }
    }

    /// On top of another.
    pub(crate) fn split(base: &Btf) -> Self {
        let first_string = base.end_string();
        Self { endian: base.endian, types: Vec::new(), strings: Vec::new(), first_string, next: base.end_id() }
    }

    pub(crate) fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.first_string + self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    pub(crate) fn raw(&mut self, words: &[u32]) -> u32 {
        words.iter().for_each(|&word| put_u32(self.endian, &mut self.types, word));
        self.next += 1;
        self.next - 1
    }

    pub(crate) fn add(&mut self, kind: Kind, name: &str, vlen: u32, size_or_type: u32, tail: &[u32]) -> u32 {
        let name = self.string(name);
        let mut words = vec![name, (kind as u32) << 24 | vlen, size_or_type];
        words.extend(tail);
        self.raw(&words)
    }

    pub(crate) fn int(&mut self, name: &str, size: u32, encoding: u32) -> u32 {
        self.add(Kind::Int, name, 0, size, &[(encoding << 24) | (8 * size)])
    }

    /// Members: (name, type, bit offset).
    pub(crate) fn composite(&mut self, kind: Kind, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (name, ty, offset) in members {
            tail.extend([self.string(name), *ty, *offset]);
        }
        self.add(kind, name, members.len() as u32, size, &tail)
    }

    /// Parameters: (name, type).
    pub(crate) fn func(&mut self, name: &str, ret: u32, params: &[(&str, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (name, ty) in params {
            tail.extend([self.string(name), *ty]);
        }
        let proto = self.add(Kind::FuncProto, "", params.len() as u32, ret, &tail);
        self.add(Kind::Func, name, 1, proto, &[])
    }

    pub(crate) fn blob(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_u16(self.endian, &mut out, MAGIC);
        out.extend([1, 0]);
        for word in [24, 0, self.types.len(), self.types.len(), self.strings.len()] {
            put_u32(self.endian, &mut out, word as u32);
        }
        out.extend(&self.types);
        out.extend(&self.strings);
        out
    }
}

/// `int bpf_strchr(const char *s__ign, char c)` and a struct with an anonymous member.
fn sample(endian: Endian) -> Builder {
    let mut b = Builder::new(endian);
    let int = b.int("int", 4, INT_SIGNED);
    let char_ = b.int("char", 1, 0);
    let constant = b.add(Kind::Const, "", 0, char_, &[]);
    let pointer = b.add(Kind::Ptr, "", 0, constant, &[]);
    b.func("bpf_strchr", int, &[("s__ign", pointer), ("c", char_)]);
    b
}

#[test]
fn both_byte_orders() {
    for endian in [Endian::Little, Endian::Big] {
        let btf = Btf::parse(&sample(endian).blob()).unwrap();
        assert_eq!(btf.endian(), endian);
        let func = btf.func("bpf_strchr").unwrap();
        assert_eq!(btf.prototype(func).unwrap(), "int bpf_strchr(const char *s__ign, char c)");
        assert_eq!(btf.func("bpf_strch"), None);
        assert_eq!(btf.func("int"), None, "a type is no function");
    }
}

#[test]
fn split_ids_and_strings_continue() {
    let base = Arc::new(Btf::parse(&sample(Endian::Little).blob()).unwrap());
    let mut b = Builder::split(&base);
    let func = b.func("bpf_skb_ct_lookup", 1, &[("opts", 4)]);
    let split = Btf::parse_split(&b.blob(), base.clone()).unwrap();
    assert_eq!(split.func("bpf_skb_ct_lookup"), Some(func));
    assert_eq!(func, base.end_id() + 1, "ids continue after the base");
    assert_eq!(split.prototype(func).unwrap(), "int bpf_skb_ct_lookup(const char *opts)");
    assert_eq!(split.func("bpf_strchr"), None, "a layer lists its own names only");
    assert_eq!(split.name(&split.get(1).unwrap()), "int", "but reaches the base's types");
    let big = Btf::parse(&sample(Endian::Big).blob()).unwrap();
    assert_eq!(Btf::parse_split(&b.blob(), Arc::new(big)).unwrap_err(), BtfError::MixedEndian);
}

#[test]
fn c_declarations() {
    let mut b = sample(Endian::Little);
    let node = b.composite(Kind::Struct, "bpf_rb_node", 32, &[]);
    let pointer = b.add(Kind::Ptr, "", 0, node, &[]);
    let (a, c) = (b.string("a"), b.string("b"));
    let bool_ = b.int("bool", 1, INT_BOOL);
    let proto = b.add(Kind::FuncProto, "", 2, bool_, &[a, pointer, c, pointer]);
    let less = b.add(Kind::Ptr, "", 0, proto, &[]);
    let array = b.add(Kind::Array, "", 0, 0, &[pointer, 1, 7]);
    let to_array = b.add(Kind::Ptr, "", 0, array, &[]);
    let const_pointer = b.add(Kind::Const, "", 0, pointer, &[]);
    let func = b.func("add", 0, &[("less", less), ("t", to_array), ("k", const_pointer), ("", 0)]);
    let btf = Btf::parse(&b.blob()).unwrap();
    assert_eq!(
        btf.prototype(func).unwrap(),
        "void add(bool (*less)(struct bpf_rb_node *a, struct bpf_rb_node *b), struct bpf_rb_node *(*t)[7], \
         struct bpf_rb_node *const k, ...)"
    );
    assert_eq!(btf.size_of(array, 4), Some(28));
    assert_eq!(btf.size_of(array, 8), Some(56));
    assert_eq!(btf.size_of(func, 8), None);
}

#[test]
fn flavours() {
    for (name, plain) in [
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("___x", "___x"),
        ("x____y", "x____y"),
        ("x___", "x___"),
        ("ab", "ab"),
        ("", ""),
    ] {
        assert_eq!(essential(name.as_bytes()), plain.as_bytes(), "{name}");
    }
    let mut b = Builder::new(Endian::Little);
    let first = b.composite(Kind::Struct, "foo___v1", 4, &[]);
    let second = b.composite(Kind::Struct, "foo", 8, &[]);
    let btf = Btf::parse(&b.blob()).unwrap();
    assert_eq!(btf.by_essential_name("foo___mine").map(|t| t.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!(btf.find(Kind::Struct, "foo").map(|t| t.id), Some(second));
}

#[test]
fn cycles_end() {
    let mut b = Builder::new(Endian::Little);
    let a = b.add(Kind::Typedef, "a", 0, 2, &[]);
    b.add(Kind::Const, "", 0, a, &[]);
    let array = b.add(Kind::Array, "", 0, 0, &[3, 1, 2]);
    let pointer = b.add(Kind::Ptr, "", 0, 4, &[]);
    let btf = Btf::parse(&b.blob()).unwrap();
    assert!(btf.resolve(a).is_none());
    assert_eq!(btf.size_of(a, 8), None);
    assert_eq!(btf.size_of(array, 8), None);
    assert!(btf.type_text(pointer).len() < 200);
    assert!(btf.type_text(array).len() < 1000);
}

#[test]
fn a_prototype_cannot_grow_without_bound() {
    // Each prototype has two parameters that point to the next one: 2^30 declarations if nobody counted.
    let mut b = Builder::new(Endian::Little);
    for level in 0..30 {
        b.add(Kind::FuncProto, "", 2, 0, &[0, 2 * level + 2, 0, 2 * level + 2]);
        b.add(Kind::Ptr, "", 0, 2 * level + 3, &[]);
    }
    b.func("f", 0, &[]);
    let btf = Btf::parse(&b.blob()).unwrap();
    let started = Instant::now();
    assert!(btf.type_text(1).len() < 100_000);
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn sections_outside_the_blob_are_refused() {
    let good = sample(Endian::Little).blob();
    for at in [4, 8, 12, 16, 20] {
        for value in [u32::MAX, 0x7fff_ffff, good.len() as u32 + 1] {
            let mut bad = good.clone();
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(Btf::parse(&bad).is_err(), "field at {at} = {value:#x}");
        }
    }
    for len in 0..24 {
        assert!(Btf::parse(&good[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_type_that_runs_past_the_end_is_refused() {
    let mut b = Builder::new(Endian::Little);
    b.raw(&[0, (Kind::Struct as u32) << 24 | 0xffff, 8]);
    assert_eq!(Btf::parse(&b.blob()).unwrap_err(), BtfError::Type(1));
    let mut b = Builder::new(Endian::Little);
    b.raw(&[0, 31 << 24, 8]);
    assert_eq!(Btf::parse(&b.blob()).unwrap_err(), BtfError::UnknownKind { id: 1, kind: 31 });
    let mut b = Builder::new(Endian::Little);
    b.raw(&[0, 0]);
    assert_eq!(Btf::parse(&b.blob()).unwrap_err(), BtfError::Type(1));
}

#[test]
fn a_kind_that_is_described_is_stepped_over() {
    let mut b = Builder::new(Endian::Little);
    b.raw(&[0, 25 << 24 | 2, 0, 77, 1, 2, 3, 4]);
    let int = b.int("int", 4, INT_SIGNED);
    let plain = b.blob();
    assert_eq!(Btf::parse(&plain).unwrap_err(), BtfError::UnknownKind { id: 1, kind: 25 });
    // The same with a header of 32 bytes and a layout that says: 4 bytes once, 8 for each element.
    let (types, strings) = (b.types.len() as u32, b.strings.len() as u32);
    let mut blob = plain[..4].to_vec();
    for word in [32, 0, types, types, strings, types + strings, 4 * 26] {
        put_u32(Endian::Little, &mut blob, word);
    }
    blob.extend(&plain[24..]);
    blob.extend(vec![0; 4 * 25]);
    blob.extend([4, 8, 0, 0]);
    let btf = Btf::parse(&blob).unwrap();
    assert!(btf.get(1).is_none());
    assert_eq!(btf.find(Kind::Int, "int").map(|t| t.id), Some(int));
}

/// Every one-byte change of a small blob: whatever happens, nothing panics and everything ends.
#[test]
fn no_single_byte_can_hurt() {
    let good = sample(Endian::Little).blob();
    for at in 0..good.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            let Ok(btf) = Btf::parse(&bad) else { continue };
            for ty in btf.iter() {
                let _ = (btf.type_text(ty.id), btf.size_of(ty.id, 8), btf.resolve(ty.id), btf.prototype(ty.id));
                let _ = (ty.members().count(), ty.params().count(), ty.values().count(), ty.variables().count());
            }
            let _ = btf.func("bpf_strchr");
        }
    }
}

#[test]
fn many_equal_names_are_not_quadratic() {
    let mut b = Builder::new(Endian::Little);
    let name = b.string("same");
    for _ in 0..200_000 {
        b.raw(&[name, (Kind::Fwd as u32) << 24, 0]);
    }
    let started = Instant::now();
    let btf = Btf::parse(&b.blob()).unwrap();
    assert_eq!(btf.find(Kind::Func, "same").map(|t| t.id), None);
    assert_eq!(btf.by_essential_name("same").count(), 200_000);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_string_without_an_end_is_not_hashed_for_ever() {
    // One string section of 1 MiB without NUL bytes but the first; every type's name begins inside it.
    let mut b = Builder::new(Endian::Little);
    b.strings.extend(vec![b'x'; 1 << 20]);
    for id in 0..50_000 {
        b.raw(&[1 + id, (Kind::Fwd as u32) << 24, 0]);
    }
    let started = Instant::now();
    let btf = Btf::parse(&b.blob()).unwrap();
    assert_eq!(btf.name(&btf.get(1).unwrap()), "");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

/// The running kernel's own BTF, where it has one: the size that matters.
#[test]
fn vmlinux_is_parsed_fast() {
    let Ok(blob) = std::fs::read("/sys/kernel/btf/vmlinux") else {
        eprintln!("not run: this machine's kernel offers no BTF");
        return;
    };
    let started = Instant::now();
    let btf = Btf::parse(&blob).unwrap();
    let took = started.elapsed();
    eprintln!("{} types, {} bytes: {took:?}", btf.end_id(), blob.len());
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert!(btf.func("bpf_prog_run").is_some() || btf.end_id() > 1000);
}
