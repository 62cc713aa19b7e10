//! A map with a pointer to a task in it, and a program that takes it out.

use super::fallbacks::lookup;
use super::tools::{self, MapOf};
use crate::arch::Endian;
use crate::bpf::insn::{Cond, Insn, Reg};
use crate::sys::{Sys, SysError};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `bpf_kptr_xchg()`.
const KPTR_XCHG: i32 = 194;

/// Creates the map: its fd, or the errno of the first call that failed.
pub(super) fn map(sys: &mut dyn Sys) -> Result<Result<i32, i32>, SysError> {
    let types = btf(sys.target().endian);
    let btf = match super::stack_args::load_btf(sys, &types)? {
        Ok(fd) => fd,
        Err(errno) => return Ok(Err(errno)),
    };
    let map = MapOf { kind: ARRAY, key: 4, value: 8, value_btf: Some((btf, INT, VALUE)), ..MapOf::default() };
    let made = map.create(sys)?;
    tools::close(sys, btf)?;
    Ok(made)
}

/// Takes the pointer out, gives back what was there (nothing), and returns 42.
pub(super) fn swap(map: i32, release: i32) -> Vec<Insn> {
    let mut insns = lookup(map);
    insns.extend([
        Insn::jump_if_imm(Cond::Eq, Reg::R0, 0, 6),
        Insn::mov(Reg::R1, Reg::R0),
        Insn::mov_imm(Reg::R2, 0),
        Insn::call_helper(KPTR_XCHG),
        Insn::jump_if_imm(Cond::Eq, Reg::R0, 0, 2),
        Insn::mov(Reg::R1, Reg::R0),
        Insn::call_kfunc(release, 0),
        Insn::mov_imm(Reg::R0, 42),
        Insn::exit(),
    ]);
    insns
}

/// BTF ids of the map's key and value.
const INT: u32 = 1;
/// See [`INT`].
const VALUE: u32 = 5;

/// `struct value { struct task_struct __kptr *task; }`, in the format of Documentation/bpf/btf.rst. The verifier knows the
/// task by its name; how it looks is the kernel's business.
fn btf(endian: Endian) -> Vec<u8> {
    const INT: u32 = 1 << 24;
    const PTR: u32 = 2 << 24;
    const STRUCT: u32 = 4 << 24;
    const TYPE_TAG: u32 = 18 << 24;
    const SIGNED_32: u32 = (1 << 24) | 32;
    let strings = b"\0int\0task_struct\0kptr\0value\0task\0";
    let (int, task_struct, kptr, value, task) = (1, 5, 17, 22, 28);
    let types = [
        [int, INT, 4, SIGNED_32].as_slice(),
        &[task_struct, STRUCT, 0],
        &[kptr, TYPE_TAG, 2],
        &[0, PTR, 3],
        &[value, STRUCT | 1, 8, task, 4, 0],
    ]
    .concat();
    super::stack_args::blob(endian, &types, strings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::{Btf, Kind};

    #[test]
    fn the_hand_written_btf_is_what_it_claims() {
        for endian in [Endian::Little, Endian::Big] {
            let btf = Btf::parse(&btf(endian)).unwrap();
            assert_eq!(btf.find(Kind::Int, "int").unwrap().id, INT);
            let value = btf.find(Kind::Struct, "value").unwrap();
            assert_eq!(value.id, VALUE);
            let member = value.members().next().unwrap();
            assert_eq!(btf.string(member.name_off), "task");
            let pointer = btf.resolve(member.type_id).unwrap();
            assert_eq!(pointer.kind, Kind::Ptr);
            assert_eq!(btf.find(Kind::TypeTag, "kptr").unwrap().id, pointer.type_id());
            assert_eq!(btf.find(Kind::Struct, "task_struct").unwrap().id, 2);
        }
    }

    #[test]
    fn every_jump_lands_where_it_must() {
        let insns = swap(3, 9);
        let end = insns.len() - 2;
        assert_eq!(insns[end], Insn::mov_imm(Reg::R0, 42));
        for (at, insn) in
            insns.iter().enumerate().filter(|(_, insn)| insn.code == Insn::jump_if_imm(Cond::Eq, Reg::R0, 0, 0).code)
        {
            assert_eq!(at + 1 + insn.off as usize, end, "{at}");
        }
    }
}
