//! BTF for generated programs: a main function and static ones, all `long f(long a, long b)`. The verifier wants it of
//! programs with callbacks, exceptions or stack arguments.

use crate::arch::Endian;
use crate::btf::put_u32;

/// The BTF, and `struct bpf_func_info[]` for functions that begin at these instructions, the main one first.
pub fn describe(endian: Endian, starts: &[usize]) -> (Vec<u8>, (Vec<u8>, u32)) {
    const INT: u32 = 1 << 24;
    const FUNC: u32 = 12 << 24;
    const FUNC_PROTO: u32 = 13 << 24;
    const GLOBAL: u32 = 1;
    const LONG_TYPE: u32 = 1;
    const PROTO_TYPE: u32 = 2;
    const FIRST_FUNC: u32 = 3;
    let mut strings = b"\0long\0a\0b\0".to_vec();
    let (long, a, b) = (1, 6, 8);
    let mut types = vec![long, INT, 8, (1 << 24) | 64];
    types.extend([0, FUNC_PROTO | 2, LONG_TYPE, a, LONG_TYPE, b, LONG_TYPE]);
    let mut info = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        let name = strings.len() as u32;
        strings.extend(if index == 0 { "main_program\0".to_owned() } else { format!("function_{index}\0") }.bytes());
        types.extend([name, FUNC | if index == 0 { GLOBAL } else { 0 }, PROTO_TYPE]);
        put_u32(endian, &mut info, *start as u32);
        put_u32(endian, &mut info, FIRST_FUNC + index as u32);
    }
    let mut bytes: Vec<u8> = match endian {
        Endian::Little => vec![0x9f, 0xeb, 1, 0],
        Endian::Big => vec![0xeb, 0x9f, 1, 0],
    };
    let type_len = (types.len() * 4) as u32;
    for word in [24, 0, type_len, type_len, strings.len() as u32] {
        put_u32(endian, &mut bytes, word);
    }
    types.iter().for_each(|word| put_u32(endian, &mut bytes, *word));
    bytes.extend(strings);
    (bytes, (info, starts.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::Btf;

    #[test]
    fn it_is_what_it_claims() {
        for endian in [Endian::Little, Endian::Big] {
            let (bytes, (info, count)) = describe(endian, &[0, 7, 9]);
            let btf = Btf::parse(&bytes).unwrap();
            assert_eq!((info.len(), count), (24, 3));
            let id = btf.func("function_2").unwrap();
            assert_eq!(btf.prototype(id).unwrap(), "long function_2(long a, long b)");
            assert_eq!(crate::btf::at_u32(endian, &info, 20), Some(id));
        }
    }
}
