//! One shard of a plan. Pure.

use sha2::{Digest, Sha256};

use super::balance;
use super::durations::Durations;
use crate::model::{Shard, Unit};
use crate::plan::{Plan, PlannedKernel};
use crate::report::near;

/// Most shards of a plan: as many jobs as GitHub makes of one matrix.
pub const MOST: u32 = 256;

/// `i/n`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From 1 to `count`.
    pub index: u32,
    /// At least 1.
    pub count: u32,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let Some((index, count)) = text.split_once('/').and_then(|(i, n)| Some((number(i)?, number(n)?))) else {
            return Err(format!("`{text}` is no shard; write i/n, such as 2/3"));
        };
        if index == 0 || index > count {
            return Err(format!("there is no shard {index} of {count}; they are counted from 1 to n"));
        }
        if count > MOST {
            return Err(format!("{count} shards are more than {MOST}"));
        }
        Ok(Self { index, count })
    }
}

/// A unit of `--unit` that is not in the plan.
#[derive(Debug, thiserror::Error)]
#[error("unit `{name}` is not in the plan{hint}")]
pub struct UnknownUnit {
    name: String,
    hint: String,
}

/// The units of a plan, in its order.
pub fn units(plan: &Plan) -> Vec<Unit> {
    let unit = |planned: &PlannedKernel| Unit {
        arch: planned.arch.name.clone(),
        kernel: planned.kernel.to_string(),
        cases: u32::try_from(planned.cases.len()).unwrap_or(u32::MAX),
    };
    plan.kernels.iter().map(unit).collect()
}

/// SHA-256, in hex, over all that decides a plan and what its cells mean.
pub fn digest(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    // Lengths go in front, so that no text can be taken for the next.
    let mut add = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    add("kfunc plan 1");
    for source in testcases::SOURCES {
        add(source.path);
        add(source.text);
    }
    for (name, text) in testcases::HEADERS.iter().chain(testcases::KMOD) {
        add(name);
        add(text);
    }
    add(testcases::EXPECTATIONS);
    for planned in &plan.kernels {
        // An arch file of the user's own decides as well.
        add(&format!("{:?}", planned.arch));
        add(&planned.kernel.to_string());
        add(&format!("{:?} {} {}", planned.abi, planned.complete, planned.unfiltered));
        add(&planned.cases.len().to_string());
        planned.cases.iter().for_each(|case| add(&case.full_name()));
    }
    images::hex(&hash.finalize())
}

/// One shard of a plan. With `named`, it has these units; else those that [`balance::cut`] gives it when nothing is known
/// of earlier runs, which every machine computes alike.
///
/// # Errors
/// For a name that is not in the plan.
pub fn cut(mut plan: Plan, part: Part, named: &[String]) -> Result<Plan, UnknownUnit> {
    let all = units(&plan);
    let shard = Shard {
        index: part.index,
        count: part.count,
        plan: digest(&plan),
        unfiltered: plan.kernels.iter().all(|planned| planned.unfiltered),
        units: all.clone(),
    };
    let mine: Vec<bool> = if named.is_empty() {
        let none = Durations::default();
        let weights: Vec<u64> = plan.kernels.iter().map(|planned| none.estimate(planned).ms).collect();
        balance::cut(&weights, part.count).into_iter().map(|index| index == part.index).collect()
    } else {
        let named: Vec<String> = named.iter().map(|name| in_full(name)).collect();
        let names: Vec<String> = all.iter().map(Unit::name).collect();
        if let Some(name) = named.iter().find(|name| !names.contains(name)) {
            let near = near::did_you_mean(name, names.iter().map(String::as_str));
            let hint = if near.is_empty() { format!("; it has {}", names.join(", ")) } else { near };
            return Err(UnknownUnit { name: name.clone(), hint });
        }
        names.iter().map(|name| named.contains(name)).collect()
    };
    let mut mine = mine.into_iter();
    plan.kernels.retain(|_| mine.next().unwrap_or(false));
    plan.shard = Some(shard);
    Ok(plan)
}

/// `arm64@stock` is `arm64@stock:testing`.
fn in_full(name: &str) -> String {
    let spec = name.split_once('@').and_then(|(arch, kernel)| Some((arch, kernel.parse::<images::KernelSpec>().ok()?)));
    spec.map_or_else(|| name.to_owned(), |(arch, spec)| format!("{arch}@{spec}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::matrix::file::tests::{NIGHTLY, catalog, read};
    use crate::plan::{Selection, plan};

    fn whole() -> Plan {
        read(NIGHTLY).unwrap().plan(&catalog(), crate::abi::Settings::default()).unwrap()
    }

    fn names(plan: &Plan) -> Vec<String> {
        let cases = |planned: &PlannedKernel| {
            let (arch, kernel) = (planned.arch.name.clone(), planned.kernel.to_string());
            planned.cases.iter().map(move |case| format!("{arch}@{kernel} {}", case.full_name())).collect::<Vec<_>>()
        };
        plan.kernels.iter().flat_map(cases).collect()
    }

    #[test]
    fn shards_are_the_plan_and_no_case_is_in_two() {
        for whole in [whole(), plan(&Selection::default(), &catalog()).unwrap()] {
            let mut all = names(&whole);
            all.sort();
            assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "a plan has no case twice");
            let whole_names = names(&whole);
            let place: BTreeMap<&String, usize> = whole_names.iter().enumerate().map(|(at, name)| (name, at)).collect();
            // From one shard to more than there are units.
            for count in (1..=whole.kernels.len() as u32 + 2).chain([20]) {
                let mut seen = Vec::new();
                for index in 1..=count {
                    let shard = cut(whole.clone(), Part { index, count }, &[]).unwrap();
                    let mine = names(&shard);
                    assert!(mine.iter().map(|name| place[name]).is_sorted(), "in the order of the plan");
                    seen.extend(mine);
                }
                seen.sort();
                assert_eq!(seen, all, "{count} shards");
            }
        }
    }

    #[test]
    fn what_a_shard_says_of_a_kernel_is_what_a_whole_run_says() {
        let whole = whole();
        for index in 1..=3 {
            let shard = cut(whole.clone(), Part { index, count: 3 }, &[]).unwrap();
            assert!(!shard.kernels.is_empty());
            for planned in &shard.kernels {
                let same =
                    |other: &&PlannedKernel| other.arch.name == planned.arch.name && other.kernel == planned.kernel;
                let of_whole = whole.kernels.iter().find(same).unwrap();
                assert_eq!(planned.complete, of_whole.complete);
                assert_eq!(planned.unfiltered, of_whole.unfiltered);
                assert_eq!(planned.cases.len(), of_whole.cases.len());
                assert!(planned.cases.iter().any(|case| case.suite == "control"), "every guest has its controls");
            }
        }
    }

    #[test]
    fn a_shard_knows_the_whole() {
        let whole = whole();
        let one = cut(whole.clone(), Part { index: 1, count: 2 }, &[]).unwrap().shard.unwrap();
        let two = cut(whole.clone(), Part { index: 2, count: 2 }, &[]).unwrap().shard.unwrap();
        assert_eq!((one.index, two.index, one.count), (1, 2, 2));
        assert_eq!((&one.plan, &one.units), (&two.plan, &two.units));
        assert_eq!(one.units, units(&whole));
        assert_eq!(one.plan.len(), 64);
    }

    #[test]
    fn units_by_name() {
        let named = ["riscv64@stock:testing".to_owned(), "x86_64@stock:trixie".to_owned()];
        let shard = cut(whole(), Part { index: 2, count: 2 }, &named).unwrap();
        let mut got: Vec<String> = units(&shard).iter().map(Unit::name).collect();
        got.sort();
        assert_eq!(got, named);
        let short = cut(whole(), Part { index: 2, count: 2 }, &["riscv64@stock".to_owned()]).unwrap();
        assert_eq!(units(&short)[0].name(), named[0]);
        let error = |name: &str| cut(whole(), Part { index: 1, count: 2 }, &[name.to_owned()]).unwrap_err().to_string();
        assert!(error("riscv46@stock:testing").contains("is not in the plan; did you mean `riscv64@stock:testing`"));
        assert!(error("q").contains("`q` is not in the plan; it has x86_64@stock:testing, "));
    }

    #[test]
    fn the_digest_is_that_of_the_plan() {
        let base = digest(&whole());
        assert_eq!(base, digest(&whole()));
        let mut other = whole();
        other.kernels[0].cases.pop();
        assert_ne!(base, digest(&other), "a case less");
        let mut other = whole();
        other.kernels[0].abi.seed += 1;
        assert_ne!(base, digest(&other), "another seed");
        let mut other = whole();
        other.kernels.swap(0, 1);
        assert_ne!(base, digest(&other), "another order");
        let mut other = whole();
        other.kernels[0].arch.deadlines.call_s += 1;
        assert_ne!(base, digest(&other), "another arch file");
    }

    #[test]
    fn parts_as_typed() {
        assert_eq!("2/3".parse(), Ok(Part { index: 2, count: 3 }));
        let error = |text: &str| text.parse::<Part>().unwrap_err();
        for bad in ["", "1", "a/b", "1/", "/2", "+1/2", "1/2/3", "-1/2", " 1/2"] {
            assert!(error(bad).contains("is no shard; write i/n, such as 2/3"), "{bad}: {}", error(bad));
        }
        assert_eq!(error("0/3"), "there is no shard 0 of 3; they are counted from 1 to n");
        assert_eq!(error("4/3"), "there is no shard 4 of 3; they are counted from 1 to n");
        assert_eq!(error("1/1000"), "1000 shards are more than 256");
    }
}
