//! Instructions in the verifier's notation (`kernel/bpf/disasm.c`): `(85) call bpf_strchr#1234`.

use std::fmt::Write;

use super::insn::{CALL, EXIT, Insn, LD_IMM64, PSEUDO_BTF_ID, PSEUDO_CALL, PSEUDO_FUNC, PSEUDO_KFUNC_CALL, class};

/// A program, one instruction a line with its index: `3: (85) call bpf_strchr#1234`. `name` gives names of kfuncs by BTF
/// id and `fd_array` slot.
pub fn disassemble(insns: &[Insn], name: impl Fn(i32, i16) -> Option<String>) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(insn) = insns.get(at) {
        let high = if insn.is_ld_imm64() { insns.get(at + 1).map(|i| i.imm) } else { None };
        let _ = writeln!(text, "{at}: {}", instruction(insn, high, &name));
        at += if insn.is_ld_imm64() { 2 } else { 1 };
    }
    text
}

/// One instruction. `high` is the upper half of an `ld_imm64`.
pub fn instruction(insn: &Insn, high: Option<i32>, name: &dyn Fn(i32, i16) -> Option<String>) -> String {
    let body = match insn.class() {
        class::ALU | class::ALU64 => alu(insn),
        class::JMP | class::JMP32 => jump(insn, name),
        class::LDX => ldx(insn),
        class::ST => format!("*({} *)(r{} {}) = {}", access(insn), insn.dst, offset(insn), insn.imm),
        class::STX => stx(insn),
        _ => ld(insn, high),
    };
    format!("({:02x}) {body}", insn.code)
}

fn alu(insn: &Insn) -> String {
    let wide = insn.class() == class::ALU64;
    let r = if wide { 'r' } else { 'w' };
    let (dst, src) = (insn.dst, insn.src);
    match insn.code & 0xf0 {
        0x80 => format!("{r}{dst} = -{r}{dst}"),
        0xd0 if wide => format!("r{dst} = bswap{} r{dst}", insn.imm),
        0xd0 => format!("r{dst} = {}{} r{dst}", if insn.code & 8 == 0 { "le" } else { "be" }, insn.imm),
        op => {
            let signed = insn.off == 1 && matches!(op, 0x30 | 0x90);
            let sign = match op {
                0x00 => "+=",
                0x10 => "-=",
                0x20 => "*=",
                0x30 if signed => "s/=",
                0x30 => "/=",
                0x40 => "|=",
                0x50 => "&=",
                0x60 => "<<=",
                0x70 => ">>=",
                0x90 if signed => "s%=",
                0x90 => "%=",
                0xa0 => "^=",
                0xb0 => "=",
                0xc0 => "s>>=",
                _ => return unknown(insn),
            };
            if insn.code & 8 == 0 {
                format!("{r}{dst} {sign} {}", insn.imm)
            } else if op == 0xb0 && matches!(insn.off, 8 | 16 | 32) {
                format!("{r}{dst} = (s{}){r}{src}", insn.off)
            } else {
                format!("{r}{dst} {sign} {r}{src}")
            }
        }
    }
}

fn jump(insn: &Insn, name: &dyn Fn(i32, i16) -> Option<String>) -> String {
    if insn.code == CALL {
        return match insn.src {
            PSEUDO_CALL => format!("call pc{:+}", insn.imm),
            PSEUDO_KFUNC_CALL => {
                let kfunc = name(insn.imm, insn.off).unwrap_or_else(|| "kernel-function".into());
                format!("call {kfunc}#{}", insn.imm)
            }
            _ => format!("call helper#{}", insn.imm),
        };
    }
    if insn.code == EXIT {
        return "exit".into();
    }
    let wide = insn.class() == class::JMP;
    let r = if wide { 'r' } else { 'w' };
    let sign = match insn.code & 0xf0 {
        0x00 if wide => return format!("goto pc{:+}", insn.off),
        0x00 => return format!("gotol pc{:+}", insn.imm),
        0x10 => "==",
        0x20 => ">",
        0x30 => ">=",
        0x40 => "&",
        0x50 => "!=",
        0x60 => "s>",
        0x70 => "s>=",
        0xa0 => "<",
        0xb0 => "<=",
        0xc0 => "s<",
        0xd0 => "s<=",
        0xe0 => return format!("may_goto pc{:+}", insn.off),
        _ => return unknown(insn),
    };
    if insn.code & 8 == 0 {
        format!("if {r}{} {sign} {:#x} goto pc{:+}", insn.dst, insn.imm, insn.off)
    } else {
        format!("if {r}{} {sign} {r}{} goto pc{:+}", insn.dst, insn.src, insn.off)
    }
}

fn ldx(insn: &Insn) -> String {
    let signed = if insn.code & 0xe0 == 0x80 { "s" } else { "" };
    match insn.code & 0xe0 {
        0x60 => format!("r{} = *({} *)(r{} {})", insn.dst, access(insn), insn.src, offset(insn)),
        0x80 => {
            let unsigned = access(insn);
            format!("r{} = *({signed}{} *)(r{} {})", insn.dst, &unsigned[1..], insn.src, offset(insn))
        }
        _ => unknown(insn),
    }
}

fn stx(insn: &Insn) -> String {
    match insn.code & 0xe0 {
        0x60 => format!("*({} *)(r{} {}) = r{}", access(insn), insn.dst, offset(insn), insn.src),
        0xc0 => format!("lock *({} *)(r{} {}) op{:#x} r{}", access(insn), insn.dst, offset(insn), insn.imm, insn.src),
        _ => unknown(insn),
    }
}

fn ld(insn: &Insn, high: Option<i32>) -> String {
    match (insn.code, high) {
        (LD_IMM64, Some(high)) => match insn.src {
            PSEUDO_FUNC => format!("r{} = func[pc{:+}]", insn.dst, insn.imm),
            PSEUDO_BTF_ID => format!("r{} = btf_id[{}] ll", insn.dst, insn.imm),
            0 => {
                let value = u64::from(insn.imm as u32) | u64::from(high as u32) << 32;
                format!("r{} = {value:#x}", insn.dst)
            }
            1 => format!("r{} = map[fd:{}]", insn.dst, insn.imm),
            2 => format!("r{} = map[fd:{}][0]+{}", insn.dst, insn.imm, high),
            other => format!("r{} = pseudo{other}[{}]", insn.dst, insn.imm),
        },
        _ => unknown(insn),
    }
}

fn access(insn: &Insn) -> &'static str {
    match insn.code & 0x18 {
        0x00 => "u32",
        0x08 => "u16",
        0x10 => "u8",
        _ => "u64",
    }
}

/// `+8` or `-8`, with the sign always there, as the kernel prints it.
fn offset(insn: &Insn) -> String {
    format!("{:+}", insn.off)
}

fn unknown(insn: &Insn) -> String {
    format!("BUG_{:02x}", insn.code)
}

#[cfg(test)]
mod tests {
    use super::super::insn::{Alu, Cond, Reg, Size};
    use super::*;

    /// The right-hand sides are lines of verifier logs (6.18).
    #[test]
    fn as_the_verifier_prints_it() {
        let name = |id: i32, _: i16| (id == 63688).then(|| "bpf_cpumask_create".to_string());
        for (insn, text) in [
            (Insn::store(Size::W, Reg::R10, -4, Reg::R1), "(63) *(u32 *)(r10 -4) = r1"),
            (Insn::mov(Reg::R2, Reg::R10), "(bf) r2 = r10"),
            (Insn::alu_imm(Alu::Add, Reg::R2, -4), "(07) r2 += -4"),
            (Insn::call_kfunc(63688, 0), "(85) call bpf_cpumask_create#63688"),
            (Insn::call_kfunc(1, 1), "(85) call kernel-function#1"),
            (Insn::mov32_imm(Reg::R0, -1), "(b4) w0 = -1"),
            (Insn::jump_if_imm(Cond::Eq, Reg::R6, 0, 40), "(15) if r6 == 0x0 goto pc+40"),
            (Insn::jump_if(Cond::Sle, Reg::R6, Reg::R1, -3), "(dd) if r6 s<= r1 goto pc-3"),
            (Insn::call_local(5), "(85) call pc+5"),
            (Insn::store_imm(Size::Dw, Reg::R10, -8, 7), "(7a) *(u64 *)(r10 -8) = 7"),
            (Insn::load(Size::B, Reg::R1, Reg::R2, 3), "(71) r1 = *(u8 *)(r2 +3)"),
            (Insn::exit(), "(95) exit"),
        ] {
            assert_eq!(instruction(&insn, None, &name), text);
        }
    }

    #[test]
    fn programs_are_numbered_by_slot() {
        let mut insns = Insn::ld_imm64(Reg::R1, 0x1_0000_0002).to_vec();
        insns.push(Insn::exit());
        assert_eq!(disassemble(&insns, |_, _| None), "0: (18) r1 = 0x100000002\n2: (95) exit\n");
    }

    #[test]
    fn nonsense_is_printed_not_refused() {
        for code in 0..=255 {
            let insn = Insn { code, dst: 15, src: 15, off: i16::MIN, imm: i32::MIN };
            assert!(instruction(&insn, Some(-1), &|_, _| None).starts_with(&format!("({code:02x}) ")));
        }
    }
}
