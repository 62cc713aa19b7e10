//! What must be seen after a program has run, from prototypes alone, and how what was seen differs. Pure; no other
//! architecture is ever asked.

use super::check::{Check, argument_cell, canary, result_cell};
use super::ctype::CType;
use super::emit::{self, KEPT, MARK, OUTER_SALT, Place, ROW};
use super::kfuncs::Kfunc;
use super::record::{MISALIGNED, Record};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Which call of the program; one more than the last for what the main function kept.
    pub check: usize,
    /// The cell that it counts in where the place of the call is not the point.
    pub cell: String,
    /// What was compared, in words.
    pub what: String,
    /// What had to be there.
    pub expected: String,
    /// What was there.
    pub got: String,
}

/// What a program left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Words of the map, [`ROW`] for each call.
    pub rows: Vec<u64>,
    /// The module's log.
    pub records: Vec<Record>,
    /// What the program returned.
    pub retval: u32,
}

/// Everything that is wrong with what these calls left behind.
pub fn compare(checks: &[Check], kfuncs: &[Kfunc], place: Place, seen: &Seen) -> Vec<Mismatch> {
    let mut wrong = Vec::new();
    for (index, check) in checks.iter().enumerate() {
        let kfunc = &kfuncs[check.kfunc];
        let row = row(seen, index);
        let mut note = |cell: String, what: String, expected: String, got: String| {
            wrong.push(Mismatch { check: index, cell, what, expected, got });
        };
        if row[MARK] != emit::mark(check.salt) {
            note("calls::return".into(), "that the call returns".into(), "it returns".into(), came_to(row[MARK]));
            continue;
        }
        if let Some((ty, expected)) = kfunc.result.as_ref().zip(check.expected_result(kfunc)) {
            let got = ty.widen(row[0]);
            if got != expected {
                let what = format!("result of {}, as {}", kfunc.name, ty.name);
                note(result_cell(ty), what, hex(expected), format!("{} (R0: {:#018x})", hex(got), row[0]));
            }
        }
        kept(row, check.salt, &mut note);
        for round in 0..place.repeats() {
            let at = round * checks.len() + index;
            arguments(check, kfunc, seen.records.get(at), &mut note);
        }
    }
    if place.has_outer_row() {
        let row = row(seen, checks.len());
        let mut note = |cell, what: String, expected, got| {
            let what = format!("{what} of the calling function");
            wrong.push(Mismatch { check: checks.len(), cell, what, expected, got });
        };
        if row[MARK] == emit::mark(OUTER_SALT) {
            kept(row, OUTER_SALT, &mut note);
        } else {
            note("calls::return".into(), "return".into(), "it returns".into(), came_to(row[MARK]));
        }
    }
    wrong.extend(unbalanced(checks, place, seen));
    let expected = checks.len() * place.repeats();
    if seen.records.len() > expected {
        wrong.push(Mismatch {
            check: checks.len().saturating_sub(1),
            cell: "calls::callee".into(),
            what: "number of calls that arrived".into(),
            expected: expected.to_string(),
            got: format!("{}, the next one in {}", seen.records.len(), seen.records[expected].name),
        });
    }
    if seen.retval != place.retval() {
        wrong.push(Mismatch {
            check: checks.len().saturating_sub(1),
            cell: "calls::return".into(),
            what: "what the program returns".into(),
            expected: format!("{:#x}", place.retval()),
            got: format!("{:#x}", seen.retval),
        });
    }
    wrong
}

/// A call leaves the stack pointer where it was: so all calls of a function, in one function of a program, find it at the same
/// place. The first that does not.
fn unbalanced(checks: &[Check], place: Place, seen: &Seen) -> Option<Mismatch> {
    let mut first: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    let records = seen.records.iter().take(checks.len() * place.repeats()).enumerate();
    for (index, record) in records {
        let at = *first.entry(&record.name).or_insert(record.sp);
        if at != record.sp {
            return Some(Mismatch {
                check: index % checks.len(),
                cell: "stack::balanced".into(),
                what: format!("stack frame of {}, in the program's call number {}", record.name, index + 1),
                expected: format!("{at:#x}, as in the first call of it"),
                got: format!("{:#x}", record.sp),
            });
        }
    }
    None
}

fn row(seen: &Seen, index: usize) -> [u64; ROW] {
    let words = seen.rows.get(index * ROW..(index + 1) * ROW);
    words.and_then(|words| words.try_into().ok()).unwrap_or_default()
}

fn came_to(mark: u64) -> String {
    if mark == 0 { "the program did not come to it".into() } else { format!("the row holds {mark:#018x}") }
}

/// Registers and stack slots that the call must leave alone.
fn kept(row: [u64; ROW], salt: u64, note: &mut impl FnMut(String, String, String, String)) {
    for (word, name, place) in KEPT {
        let expected = canary(salt, place);
        if row[word] != expected {
            let cell = if place < 10 { format!("saved::{name}") } else { "saved::stack".into() };
            note(cell, format!("{name} after the call"), hex(expected), hex(row[word]));
        }
    }
}

fn arguments(
    check: &Check,
    kfunc: &Kfunc,
    record: Option<&Record>,
    note: &mut impl FnMut(String, String, String, String),
) {
    let Some(record) = record else {
        note("calls::callee".into(), format!("call of {}", kfunc.name), "it arrives".into(), "nothing arrived".into());
        return;
    };
    if record.name != kfunc.name {
        note("calls::callee".into(), "function called".into(), kfunc.name.clone(), record.name.clone());
        return;
    }
    if record.args.len() != check.registers.len() {
        let (expected, got) = (check.registers.len(), record.args.len());
        note("calls::callee".into(), "number of arguments".into(), expected.to_string(), got.to_string());
        return;
    }
    for (((ty, sent), got), position) in kfunc.params.iter().zip(&check.registers).zip(&record.args).zip(1..) {
        let expected = ty.widen(*sent);
        if *got != expected {
            note(
                argument_cell(ty, position, check),
                argument(ty, position, *sent, check.halves),
                hex(expected),
                hex(*got),
            );
        } else if record.differs(position) {
            let what =
                format!("{}, against itself after it went through memory", argument(ty, position, *sent, check.halves));
            let got = "not equal: what stands above its bits is not what the psABI promises the callee";
            note(argument_cell(ty, position, check), what, "equal".into(), got.into());
        }
    }
    if record.flags & MISALIGNED != 0 {
        let what = format!("alignment of the stack on entry to {}", kfunc.name);
        note("stack::aligned".into(), what, "as the psABI says".into(), format!("frame at {:#x}", record.sp));
    }
}

fn argument(ty: &CType, position: usize, sent: u64, halves: bool) -> String {
    let made = if halves { " by a 32-bit instruction" } else { "" };
    format!("argument {position} ({}), sent as {sent:#018x}{made}", ty.name)
}

/// A number for people.
pub fn hex(value: u64) -> String {
    let signed = value.cast_signed();
    match value {
        0..=9 => value.to_string(),
        _ if (-32768..0).contains(&signed) => format!("{signed} ({value:#x})"),
        _ => format!("{value:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ctype::Widening;
    use super::super::kfuncs::Role;
    use super::*;

    fn kfuncs() -> Vec<Kfunc> {
        let u8 = CType { name: "u8", bits: 8, widening: Widening::Zero };
        let s32 = CType { name: "s32", bits: 32, widening: Widening::Sign };
        vec![Kfunc {
            name: "kfc_mix_s32_1".into(),
            id: 5,
            slot: 1,
            role: Role::Mixes,
            params: vec![u8, s32.clone()],
            result: Some(s32),
            prototype: String::new(),
        }]
    }

    fn check() -> Check {
        Check { kfunc: 0, registers: vec![0xff80, 0xffff_fff0], salt: 42, halves: false }
    }

    /// What a right kernel leaves behind.
    fn right() -> Seen {
        let mut rows = vec![0; ROW];
        // 0x80 ^ -16, and bits above the result's type that mean nothing.
        rows[0] = 0x1234_5678_ffff_ff70;
        KEPT.iter().for_each(|(word, _, place)| rows[*word] = canary(42, *place));
        rows[MARK] = emit::mark(42);
        let record =
            Record { name: "kfc_mix_s32_1".into(), flags: 0, args: vec![0x80, (-16i64) as u64], sp: 0, result: 0 };
        Seen { rows, records: vec![record], retval: 0 }
    }

    fn wrong(seen: &Seen) -> Vec<(String, String)> {
        let found = compare(&[check()], &kfuncs(), Place::Main, seen);
        found.into_iter().map(|mismatch| (mismatch.cell, mismatch.got)).collect()
    }

    #[test]
    fn what_is_right_is_right() {
        assert_eq!(wrong(&right()), []);
    }

    #[test]
    fn every_kind_of_fault_is_seen_in_its_cell() {
        let with = |change: &dyn Fn(&mut Seen)| {
            let mut seen = right();
            change(&mut seen);
            let cells: Vec<String> = wrong(&seen).into_iter().map(|(cell, _)| cell).collect();
            cells
        };
        assert_eq!(with(&|seen| seen.rows[0] ^= 1), [""; 0], "made of an argument that has dirt");
        let mut seen = right();
        seen.rows[0] ^= 1;
        let clean = Check { registers: vec![0x80, 0xffff_fff0], ..check() };
        assert_eq!(compare(&[clean], &kfuncs(), Place::Main, &seen)[0].cell, "returns::s32");
        assert_eq!(with(&|seen| seen.rows[1] = 0), ["saved::r6"]);
        assert_eq!(with(&|seen| seen.rows[6] ^= 1 << 63), ["saved::stack"]);
        assert_eq!(with(&|seen| seen.rows[MARK] = 0), ["calls::return"]);
        assert_eq!(with(&|seen| seen.records[0].args[0] = 0xff80), ["dirty::u8_1"]);
        assert_eq!(with(&|seen| seen.records[0].args[1] = 0xffff_fff0), ["args::s32_2"]);
        assert_eq!(with(&|seen| seen.records[0].flags = 1 << 9), ["args::s32_2"]);
        assert_eq!(with(&|seen| seen.records[0].name = "kfc_rec_0".into()), ["calls::callee"]);
        assert_eq!(with(&|seen| drop(seen.records.pop())), ["calls::callee"]);
        assert_eq!(with(&|seen| seen.records.push(seen.records[0].clone())), ["calls::callee"]);
        assert_eq!(with(&|seen| seen.records[0].flags = MISALIGNED), ["stack::aligned"]);
        assert_eq!(with(&|seen| seen.retval = 1), ["calls::return"]);
    }

    #[test]
    fn calls_in_a_loop_arrive_as_often_as_they_are_made() {
        let mut seen = right();
        seen.records = vec![seen.records[0].clone(); 3];
        assert_eq!(compare(&[check()], &kfuncs(), Place::Loop, &seen), []);
        seen.records[1].sp = 8;
        assert_eq!(compare(&[check()], &kfuncs(), Place::Loop, &seen)[0].cell, "stack::balanced");
        seen.records[1].sp = 0;
        seen.records.pop();
        assert_eq!(compare(&[check()], &kfuncs(), Place::Loop, &seen).len(), 1);
    }
}
