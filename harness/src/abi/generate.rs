//! From the module's functions and a seed to calls. Deterministic: the same functions and seed give the same calls.
//!
//! Each function is called often enough that every parameter takes every edge value of its type, clean and with every
//! kind of dirt. The values of neighbouring parameters differ, so that an exchange of two is seen.

use super::check::Check;
use super::ctype::CType;
use super::kfuncs::{Kfunc, Role};
use super::rng::Rng;

/// Most arguments that travel in registers.
pub const REGISTERS: usize = 5;

/// Calls with clean values: as compilers leave them in registers.
pub fn clean(kfuncs: &[Kfunc], most: usize, seed: u64) -> Vec<Check> {
    calls(kfuncs, most, seed, |ty, round, _| {
        let edges = ty.edges();
        let value = edges[round % edges.len()];
        // The other way compilers leave a value of up to 32 bits.
        let short = ty.bits <= 32 && (round / edges.len()) % 2 == 1;
        if short { value & 0xffff_ffff } else { value }
    })
}

/// Calls whose arguments have dirt above their types; wide arguments get numbers from the seed.
pub fn dirty(kfuncs: &[Kfunc], most: usize, seed: u64) -> Vec<Check> {
    let has_narrow = |kfunc: &Kfunc| kfunc.params.iter().any(CType::is_narrow);
    let calls = calls(kfuncs, most, seed ^ 1, |ty, round, rng| {
        let (edges, dirt) = (ty.edges(), ty.dirt());
        match dirt.get(round % dirt.len().max(1)) {
            Some(mask) => edges[(round / dirt.len() + round) % edges.len()] ^ mask,
            None => rng.draw(),
        }
    });
    calls.into_iter().filter(|check| has_narrow(&kfuncs[check.kfunc])).collect()
}

/// Calls whose first five arguments are made by 32-bit instructions.
pub fn halves(kfuncs: &[Kfunc], most: usize, seed: u64) -> Vec<Check> {
    let calls = calls(kfuncs, most.min(REGISTERS), seed ^ 2, |ty, round, _| {
        let edges = ty.edges();
        edges[round % edges.len()] & 0xffff_ffff
    });
    // Each edge once is enough, and what functions of few parameters show, those of five show as well.
    let is_full = |check: &Check| kfuncs[check.kfunc].params.len() == REGISTERS;
    calls.into_iter().filter(is_full).map(|check| Check { halves: true, ..check }).collect()
}

/// `count` calls of any function with any values, half of the narrow ones dirty, and of a quarter of the calls the arguments
/// are made by 32-bit instructions.
pub fn random(kfuncs: &[Kfunc], most: usize, seed: u64, count: usize) -> Vec<Check> {
    let mut rng = Rng::new(seed ^ 0x72616e646f6d);
    let usable: Vec<usize> = usable(kfuncs, most).map(|(index, _)| index).collect();
    if usable.is_empty() {
        return Vec::new();
    }
    let mut calls = Vec::with_capacity(count);
    for _ in 0..count {
        let kfunc = usable[rng.below(usable.len())];
        let halves = rng.below(4) == 0;
        let value = |ty: &CType| if halves { any_clean(ty, &mut rng) & 0xffff_ffff } else { any(ty, &mut rng) };
        let registers = kfuncs[kfunc].params.iter().map(value).collect();
        calls.push(Check { kfunc, registers, salt: rng.draw(), halves });
    }
    calls
}

/// A value of a type, widened. Another one than 0 and 1 of a bool has no meaning in C.
fn any_clean(ty: &CType, rng: &mut Rng) -> u64 {
    let value = ty.widen(rng.draw());
    if ty.name == "bool" { value & 1 } else { value }
}

fn any(ty: &CType, rng: &mut Rng) -> u64 {
    let value = any_clean(ty, rng);
    match rng.below(2) {
        0 => value,
        _ => value ^ (rng.draw() & !ty.mask()),
    }
}

/// A few calls of functions of every shape, clean: what is called where the place of the call is the point.
pub fn sample(kfuncs: &[Kfunc], most: usize, seed: u64, count: usize) -> Vec<Check> {
    let all = clean(kfuncs, most, seed);
    if all.is_empty() {
        return Vec::new();
    }
    let step = (all.len() / count.max(1)).max(1);
    // From a place that depends on the seed, so that other runs take other calls.
    let from = Rng::new(seed ^ 0x73616d706c65).below(step);
    all.into_iter().skip(from).step_by(step).take(count).collect()
}

fn usable(kfuncs: &[Kfunc], most: usize) -> impl Iterator<Item = (usize, &Kfunc)> {
    let fits = move |kfunc: &Kfunc| {
        matches!(kfunc.role, Role::Records | Role::Returns | Role::Mixes) && kfunc.params.len() <= most
    };
    kfuncs.iter().enumerate().filter(move |(_, kfunc)| fits(kfunc))
}

fn calls(kfuncs: &[Kfunc], most: usize, seed: u64, value: impl Fn(&CType, usize, &mut Rng) -> u64) -> Vec<Check> {
    let mut rng = Rng::new(seed);
    let mut calls = Vec::new();
    for (index, kfunc) in usable(kfuncs, most) {
        for round in 0..rounds(kfunc) {
            // Each parameter is at another point of its row.
            let at = |position: usize| round + position * 3;
            let registers =
                kfunc.params.iter().enumerate().map(|(position, ty)| value(ty, at(position), &mut rng)).collect();
            calls.push(Check { kfunc: index, registers, salt: rng.draw(), halves: false });
        }
    }
    calls
}

/// Enough rounds for every value and every kind of dirt of the type that has most.
fn rounds(kfunc: &Kfunc) -> usize {
    let of = |ty: &CType| (2 * ty.edges().len()).max(ty.dirt().len() + ty.edges().len() / 2);
    let most = kfunc.params.iter().map(of).max().unwrap_or(1);
    // Functions of one type take every value in every position; mixed ones, which exist in many rotations, half of them.
    let is_mixed = kfunc.params.windows(2).any(|pair| pair[0] != pair[1]);
    let is_long = kfunc.params.len() > REGISTERS;
    most.div_ceil(if is_long { 2 } else { 1 } * if is_mixed { 3 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::super::ctype::Widening;
    use super::*;
    use std::collections::BTreeSet;

    fn kfunc(params: Vec<CType>) -> Kfunc {
        Kfunc {
            name: "kfc_rec_x".into(),
            id: 1,
            slot: 1,
            role: Role::Records,
            params,
            result: None,
            prototype: String::new(),
        }
    }

    fn types() -> Vec<CType> {
        let of = |name, bits, widening| CType { name, bits, widening };
        vec![
            of("s8", 8, Widening::Sign),
            of("u64", 64, Widening::Zero),
            of("bool", 8, Widening::Zero),
            of("u32", 32, Widening::Zero),
        ]
    }

    #[test]
    fn every_parameter_takes_every_edge_and_every_dirt() {
        for ty in types() {
            let kfuncs = [kfunc(vec![ty.clone(); REGISTERS])];
            let seen = |checks: &[Check], position: usize| -> BTreeSet<u64> {
                checks.iter().map(|check| check.registers[position]).collect()
            };
            let (clean, dirty) = (clean(&kfuncs, 5, 7), dirty(&kfuncs, 5, 7));
            let halves = halves(&kfuncs, 5, 7);
            assert!(halves.iter().all(|check| check.halves));
            for position in 0..REGISTERS {
                let low: BTreeSet<u64> = ty.edges().iter().map(|edge| edge & 0xffff_ffff).collect();
                assert!(ty.edges().iter().all(|edge| seen(&clean, position).contains(edge)), "{ty:?}");
                assert_eq!(seen(&halves, position), low, "{ty:?}");
                // What differs from the widened value: a sign decides what an edge itself has above it.
                let masks: BTreeSet<u64> =
                    seen(&dirty, position).iter().map(|value| value ^ ty.widen(*value)).collect();
                assert!(ty.dirt().iter().all(|mask| masks.contains(mask)), "{ty:?} {masks:x?}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_calls() {
        let kfuncs = [kfunc(types())];
        assert_eq!(random(&kfuncs, 5, 3, 50), random(&kfuncs, 5, 3, 50));
        assert_ne!(random(&kfuncs, 5, 3, 50), random(&kfuncs, 5, 4, 50));
        assert_eq!(dirty(&kfuncs, 5, 3), dirty(&kfuncs, 5, 3));
        let bools = random(&kfuncs, 5, 3, 400).into_iter().map(|check| check.registers[2] & 0xff);
        assert!(bools.into_iter().all(|value| value < 2), "C knows no other bool");
    }

    #[test]
    fn functions_with_too_many_parameters_are_left_out() {
        let u64 = CType { name: "u64", bits: 64, widening: Widening::Zero };
        let kfuncs = [kfunc(vec![u64; 6])];
        assert!(clean(&kfuncs, 5, 1).is_empty() && random(&kfuncs, 5, 1, 5).is_empty());
        assert!(!clean(&kfuncs, 12, 1).is_empty());
    }
}
