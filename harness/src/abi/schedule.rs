//! What the suite does, in order: experiments first, then calls by hundreds. Pure: the same functions, settings and cells give the
//! same list.

use std::collections::BTreeSet;

use super::cells::{self, RANDOM};
use super::check::{Check, cells as cells_of};
use super::emit::{self, Place};
use super::generate;
use super::kfuncs::Kfunc;
use super::lab::CALLS_MAX;
use super::special::Special;
use crate::bpf::ProgType;

/// What decides which calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Seed of everything that is not fixed.
    pub seed: u64,
    /// Calls beyond the fixed ones.
    pub random: usize,
}

/// Seed when none is given.
pub const SEED: u64 = 1;

impl Default for Settings {
    fn default() -> Self {
        Self { seed: SEED, random: 0 }
    }
}

/// Calls that share a program.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    /// The cell in which everything counts; each argument's and result's own when there is none.
    pub cell: Option<String>,
    pub place: Place,
    pub prog_type: ProgType,
    /// `bpf_jit_harden`.
    pub hardened: bool,
    /// Modules in the last slots of `fd_array`.
    pub far_slots: bool,
    /// Besides, everything but what dirt and 32-bit instructions do counts in [`RANDOM`].
    pub random: bool,
    pub checks: Vec<Check>,
}

impl Item {
    /// Whether it is for a guest whose kernel chose where it lies.
    pub(super) fn is_for_random_place(&self) -> bool {
        let Self::Calls(calls) = self else { return false };
        calls.cell.as_ref().is_some_and(|cell| cell.starts_with(cells::RANDOM_PLACE))
    }
}

/// One thing to do.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Calls(Calls),
    Special(Special),
}

/// Cells in which every call of the general batches counts.
pub(super) const GENERAL: [&str; 9] = [
    "saved::r6",
    "saved::r7",
    "saved::r8",
    "saved::r9",
    "saved::stack",
    "calls::callee",
    "calls::return",
    "stack::aligned",
    "stack::balanced",
];

/// Everything that fills one of the wanted cells. `most`: arguments that the JIT takes.
pub(super) fn schedule(kfuncs: &[Kfunc], most: usize, settings: Settings, wanted: &BTreeSet<String>) -> Vec<Item> {
    let seed = settings.seed;
    let mut items: Vec<Item> = Special::ALL.into_iter().map(Item::Special).collect();
    let calls = |cell: Option<&str>, place, checks: Vec<Check>| Calls {
        cell: cell.map(str::to_owned),
        place,
        prog_type: ProgType::Syscall,
        hardened: false,
        far_slots: false,
        random: false,
        checks,
    };
    let by_name = |prefix: &str, registers: &[u64]| -> Vec<Check> {
        let found = kfuncs.iter().enumerate().filter(|(_, kfunc)| kfunc.name.starts_with(prefix));
        let each = found.flat_map(|(kfunc, _)| {
            registers.iter().map(move |value| Check {
                kfunc,
                registers: vec![*value],
                salt: seed ^ *value,
                halves: false,
            })
        });
        each.collect()
    };
    let numbers: Vec<u64> = (0..12).map(|n| emit::mark(seed ^ n)).collect();
    let mut named = vec![
        calls(Some("calls::clobbering_callee"), Place::Main, by_name("kfc_clobber", &numbers)),
        calls(Some("stack::callee_frame"), Place::Main, by_name("kfc_stack", &numbers)),
        calls(Some("stack::deep_recursion"), Place::Main, by_name("kfc_recurse", &[0, 1, 7, 30])),
        calls(Some("calls::sleeping_callee"), Place::Main, by_name("kfc_sleep", &[1, 2])),
    ];
    let same = by_name("kfc_same_", &[5, 0x8000_0000, 77, 0xffff_fff0]);
    let first_ret = kfuncs.iter().position(|kfunc| kfunc.name.starts_with("kfc_ret_u64"));
    let sites = first_ret.map_or(Vec::new(), |kfunc| {
        (0..CALLS_MAX as u64)
            .map(|n| Check { kfunc, registers: vec![emit::mark(seed ^ (n << 8))], salt: seed ^ n, halves: false })
            .collect()
    });
    named.push(calls(Some("calls::many_sites"), Place::Main, sites));
    // In turn, so that each call differs from its neighbours in its module only.
    let mut turns: Vec<Check> = Vec::new();
    let (x, y): (Vec<Check>, Vec<Check>) = same.into_iter().partition(|check| kfuncs[check.kfunc].name.ends_with("_x"));
    for (x, y) in x.into_iter().zip(y) {
        turns.extend([x, y]);
    }
    turns.extend(generate::sample(kfuncs, most.min(5), seed ^ 2, 6));
    named.push(calls(Some("modules::same_id"), Place::Main, turns.clone()));
    named.push(Calls { far_slots: true, ..calls(Some("modules::far_slots"), Place::Main, turns) });
    for place in Place::ALL.into_iter().filter(|place| *place != Place::Main) {
        let count = if place.repeats() > 1 { 16 } else { 40 };
        let checks = generate::sample(kfuncs, most, seed ^ place as u64, count);
        named.push(calls(Some(&cells::place_cell(place)), place, checks));
    }
    for (cell, prog_type) in [
        ("program::sched_cls", ProgType::SchedCls),
        ("program::xdp", ProgType::Xdp),
        ("program::raw_tracepoint", ProgType::RawTracepoint),
    ] {
        // No stack arguments: JITs have no private stack in programs with them.
        let mut checks = generate::sample(kfuncs, generate::REGISTERS, seed ^ 0x70, 60);
        checks.extend(by_name("kfc_clobber", &numbers));
        named.push(Calls { prog_type, ..calls(Some(cell), Place::Main, checks) });
    }
    for (cell, place) in [("hardened::main", Place::Main), ("hardened::subprogram", Place::Subprogram)] {
        let checks = generate::sample(kfuncs, most, seed ^ 0x68, 60);
        named.push(Calls { hardened: true, ..calls(Some(cell), place, checks) });
    }
    if settings.random > 0 {
        let random = generate::random(kfuncs, most, seed, settings.random);
        let calls = |checks: &[Check]| Calls { random: true, ..calls(None, Place::Main, checks.to_vec()) };
        named.extend(random.chunks(CALLS_MAX).map(calls));
    }
    let mut fixed = generate::clean(kfuncs, most, seed);
    fixed.extend(generate::dirty(kfuncs, most, seed));
    fixed.extend(generate::halves(kfuncs, most, seed));
    named.extend(fixed.chunks(CALLS_MAX).map(|checks| calls(None, Place::Main, checks.to_vec())));
    for (cell, place) in
        [(cells::MISREPORTED, "kfc_liar_u32"), (cells::MISRETURNED, "kfc_liar_ret"), (cells::DESTROYED, "kfc_breaks")]
    {
        named.push(calls(Some(cell), Place::Main, by_name(place, &[0x1234_5678])));
    }
    let random_place = [
        ("kaslr::main", Place::Main),
        ("kaslr::subprogram", Place::Subprogram),
        ("kaslr::between_vmlinux_kfuncs", Place::Escorted),
    ];
    for (cell, place) in random_place {
        named.push(calls(Some(cell), place, generate::sample(kfuncs, most, seed ^ 0x6b, 100)));
    }
    items.extend(named.into_iter().map(Item::Calls));
    items.retain(|item| match item {
        Item::Special(special) => special.cells().iter().any(|cell| wanted.contains(*cell)),
        Item::Calls(calls) => {
            !calls.checks.is_empty()
                && match &calls.cell {
                    Some(cell) => wanted.contains(cell),
                    None => true,
                }
        }
    });
    // Of the calls that count in their own cells only those that count in one that is wanted.
    let all = GENERAL.iter().any(|cell| wanted.contains(*cell));
    for item in &mut items {
        if let Item::Calls(calls) = item
            && calls.cell.is_none()
            && !all
            && !(calls.random && wanted.contains(RANDOM))
        {
            let counts = |check: &Check| cells_of(check, &kfuncs[check.kfunc]).iter().any(|cell| wanted.contains(cell));
            calls.checks.retain(counts);
        }
    }
    items.retain(|item| !matches!(item, Item::Calls(calls) if calls.checks.is_empty()));
    items
}

#[cfg(test)]
mod tests {
    use super::super::ctype::{CType, Widening};
    use super::super::kfuncs::Role;
    use super::*;

    fn kfuncs() -> Vec<Kfunc> {
        let of = |name: &'static str, bits| CType { name, bits, widening: Widening::Zero };
        let kfunc = |name: &str, role, ty: CType, result: Option<CType>| Kfunc {
            name: name.into(),
            id: 1,
            slot: 1,
            role,
            params: vec![ty; 5],
            result,
            prototype: String::new(),
        };
        vec![
            kfunc("kfc_rec_u8_x5", Role::Records, of("u8", 8), None),
            kfunc("kfc_rec_u64_x5", Role::Records, of("u64", 64), None),
        ]
    }

    fn scheduled(settings: Settings, wanted: &[&str]) -> Vec<Calls> {
        let wanted = wanted.iter().map(|cell| (*cell).to_owned()).collect();
        let items = schedule(&kfuncs(), 5, settings, &wanted);
        items.into_iter().filter_map(|item| if let Item::Calls(calls) = item { Some(calls) } else { None }).collect()
    }

    #[test]
    fn one_cell_needs_its_own_calls_only() {
        let calls = scheduled(Settings::default(), &["dirty::u8_3"]);
        assert!(!calls.is_empty());
        for check in calls.iter().flat_map(|calls| &calls.checks) {
            assert!(cells_of(check, &kfuncs()[check.kfunc]).contains(&"dirty::u8_3".to_owned()));
        }
        let place = scheduled(Settings::default(), &["context::loop"]);
        assert_eq!(place.iter().map(|calls| calls.place).collect::<Vec<_>>(), [Place::Loop]);
        assert!(
            scheduled(Settings::default(), &["kaslr::main"])
                .iter()
                .all(|c| Item::Calls(c.clone()).is_for_random_place())
        );
        assert!(scheduled(Settings::default(), &[]).is_empty());
    }

    #[test]
    fn no_program_has_more_calls_than_there_are_rows() {
        let wanted: Vec<String> = GENERAL.iter().map(|cell| (*cell).to_owned()).collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let calls = scheduled(Settings { seed: 5, random: 450 }, &wanted);
        assert!(calls.iter().all(|calls| calls.checks.len() <= CALLS_MAX));
        assert_eq!(calls.iter().filter(|calls| calls.random).map(|calls| calls.checks.len()).sum::<usize>(), 450);
    }

    #[test]
    fn random_calls_can_be_asked_for_alone() {
        let calls = scheduled(Settings { seed: 5, random: 450 }, &[RANDOM]);
        assert_eq!(calls.iter().map(|calls| calls.checks.len()).sum::<usize>(), 450);
        assert!(scheduled(Settings::default(), &[RANDOM]).is_empty());
    }
}
