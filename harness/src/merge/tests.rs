//! Merging: what belongs together, and everything that does not.

use super::*;
use crate::model::{ImageInfo, Unit};
use crate::report::fixture;
use crate::report::suites::{Counts, suites};

/// The five kernels of the fixture as the units of a plan.
fn units() -> Vec<Unit> {
    let unit = |kernel: &KernelResults| Unit {
        arch: kernel.arch.clone(),
        kernel: kernel.kernel.clone(),
        cases: u32::try_from(kernel.cells.len()).unwrap(),
    };
    fixture::five().kernels.iter().map(unit).collect()
}

/// Shard `index` of `count`, with the kernels at these places.
fn shard(index: u32, count: u32, places: &[usize]) -> Input {
    let mut results = fixture::five();
    results.shard = Some(Shard { index, count, plan: "0123456789abcdef".into(), unfiltered: true, units: units() });
    results.command =
        ["run", "--matrix", "m.toml", "--shard", &format!("{index}/{count}"), "--unit=a@b", "--json", "x"]
            .map(str::to_owned)
            .to_vec();
    let all = results.kernels.clone();
    results.kernels = places.iter().map(|at| all[*at].clone()).collect();
    Input { path: format!("{index}.json").into(), results }
}

fn three() -> Vec<Input> {
    vec![shard(2, 3, &[3]), shard(1, 3, &[0, 4]), shard(3, 3, &[1, 2])]
}

fn refused(inputs: Vec<Input>) -> String {
    merge(inputs, false).expect_err("they do not belong together").to_string()
}

fn counts(results: &RunResults) -> Vec<(String, Counts)> {
    suites(results).iter().map(|suite| (suite.name.clone(), suite.counts())).collect()
}

#[test]
fn shards_are_the_run_again() {
    let merged = merge(three(), false).unwrap();
    // Its verdicts from its cells, which the fixture does not bother with.
    let mut whole = fixture::five();
    for kernel in &mut whole.kernels {
        (kernel.verdict, kernel.reason) = match &kernel.error {
            None => judge::verdict(&kernel.cells, true),
            Some(error) => (Verdict::Unknown, error.clone()),
        };
    }
    assert_eq!(counts(&merged), counts(&whole), "in the plan's order, whatever that of the files");
    let plain = crate::report::Paint::Plain;
    let with = |results: &RunResults| {
        let mut results = results.clone();
        results.command = vec!["run".into()];
        (crate::report::terminal(&results, plain), crate::report::junit::junit(&results).unwrap())
    };
    assert_eq!(with(&merged), with(&whole));
    assert_eq!(merged.command, ["run", "--matrix", "m.toml"]);
    assert_eq!(merged.shard, None);
}

#[test]
fn verdicts_follow_from_the_cells() {
    let mut inputs = three();
    let riscv = &mut inputs[0].results.kernels[0];
    assert_eq!((riscv.arch.as_str(), riscv.verdict), ("riscv64", Verdict::Broken));
    riscv.verdict = Verdict::Conformant;
    let merged = merge(inputs, false).unwrap();
    assert_eq!(merged.kernels[3].verdict, Verdict::Broken);
    assert!(merged.kernels[3].reason.ends_with("the first: stock::strings::strchr"), "{}", merged.kernels[3].reason);
    // A part of a suite shows no absence of faults.
    let mut inputs = three();
    inputs.iter_mut().for_each(|input| input.results.shard.as_mut().unwrap().unfiltered = false);
    assert_eq!(merge(inputs, false).unwrap().kernels[0].verdict, Verdict::Unknown);
    // A kernel that lost cells on the way is not conformant.
    let mut inputs = three();
    inputs[1].results.kernels[0].cells.truncate(6);
    let merged = merge(inputs, false).unwrap();
    assert_eq!((merged.kernels[0].verdict, merged.kernels[0].reason.as_str()), (Verdict::Unknown, "6 of 9 cases"));
}

#[test]
fn a_missing_shard_is_named() {
    let mut inputs = three();
    inputs.truncate(2);
    assert_eq!(refused(inputs), "shard 3 of 3 is missing; add it, or merge what there is with --partial");
    let mut inputs = three();
    inputs.truncate(1);
    assert_eq!(refused(inputs), "shards 1 and 3 of 3 are missing; add them, or merge what there is with --partial");
}

#[test]
fn a_partial_merge_says_so_and_claims_nothing() {
    let mut inputs = three();
    inputs.remove(1);
    let merged = merge(inputs, true).unwrap();
    let rows: Vec<String> = merged
        .kernels
        .iter()
        .map(|kernel| format!("{} {} {}", kernel.arch, kernel.verdict, kernel.error.clone().unwrap_or_default()))
        .collect();
    assert_eq!(rows[0], "x86_64 unknown not run: shard 1 of 3 is missing");
    assert_eq!(rows[3], "riscv64 broken ");
    assert_eq!(rows[4], "arm32 unknown not run: shard 1 of 3 is missing");
    assert_eq!(merged.kernels.len(), 5);
    let text = crate::report::terminal(&merged, crate::report::Paint::Plain);
    assert!(text.contains("shard 1 of 3 is missing"), "{text}");
    // A clean rest does not make a clean run.
    let mut clean = vec![shard(1, 2, &[0])];
    clean[0].results.shard.as_mut().unwrap().units.truncate(2);
    assert_eq!(crate::cli::exit::of_run(&merge(clean, true).unwrap()), crate::cli::exit::INFRASTRUCTURE);
}

#[test]
fn shards_that_overlap_are_refused() {
    let twice = vec![shard(1, 2, &[0, 1]), shard(1, 2, &[2, 3, 4])];
    assert_eq!(refused(twice), "shard 1 of 2 is in 1.json and in 1.json; name one of them");
    let overlap = vec![shard(1, 2, &[0, 1, 2]), shard(2, 2, &[2, 3, 4])];
    assert_eq!(
        refused(overlap),
        "loongarch64@stock:testing is in 1.json and in 2.json: they overlap; leave one out, or cut the plan again"
    );
}

#[test]
fn shards_of_different_kernels_are_refused() {
    let mut inputs = vec![shard(1, 2, &[0, 1, 2]), shard(2, 2, &[2, 3, 4])];
    let key = |key: &str| Some(ImageInfo { key: key.into(), ..ImageInfo::default() });
    inputs[0].results.kernels[2].image = key("7.2.12-aa");
    inputs[1].results.kernels[0].image = key("7.2.13-bb");
    assert_eq!(
        refused(inputs),
        "loongarch64@stock:testing is kernel 7.2.12-aa in 1.json and kernel 7.2.13-bb in 2.json: they come from different \
         kernels; run one of them again"
    );
}

#[test]
fn what_is_in_no_shard_is_missed() {
    let inputs = || vec![shard(1, 2, &[0, 1]), shard(2, 2, &[3, 4])];
    assert_eq!(
        refused(inputs()),
        "loongarch64@stock:testing is in no shard: all shards are here, and none has it; run that shard again, or merge what \
         there is with --partial"
    );
    let merged = merge(inputs(), true).unwrap();
    assert_eq!(merged.kernels[2].error.as_deref(), Some("not run: all shards are here, and none has it"));
    let mut stray = inputs();
    stray[0].results.kernels[0].kernel = "stock:trixie".into();
    let error = merge(stray, true).unwrap_err().to_string();
    assert_eq!(error, "1.json has x86_64@stock:trixie, which its plan has not; run it again");
}

#[test]
fn plans_that_differ_are_refused() {
    let mut inputs = three();
    inputs[2].results.shard.as_mut().unwrap().plan = "ffff456789abcdef".into();
    let said = refused(inputs);
    assert!(said.starts_with("2.json is a shard of plan 0123456789ab and 3.json of plan ffff456789ab: "), "{said}");
    let mut inputs = three();
    inputs[2].results.shard.as_mut().unwrap().units.pop();
    assert!(refused(inputs).contains("they are not of one run"));
    let mut inputs = three();
    inputs[2].results.shard.as_mut().unwrap().count = 4;
    assert_eq!(refused(inputs), "2.json is one of 3 shards and 3.json one of 4; run all with the same --shard i/n");
    let mut inputs = three();
    inputs[0].results.shard.as_mut().unwrap().index = 7;
    assert_eq!(refused(inputs), "2.json says that it is shard 7 of 3, which there is not");
}

#[test]
fn another_harness_is_refused() {
    let mut inputs = three();
    inputs[1].results.commit = Some("b1ba4a3".into());
    let said = refused(inputs);
    assert_eq!(
        said,
        "2.json was written by kfunc 0.1.0 (8a354db) and 1.json by kfunc 0.1.0 (b1ba4a3); run them with one kfunc"
    );
    let mut inputs = three();
    inputs.iter_mut().for_each(|input| input.results.commit = None);
    inputs[1].results.harness = "0.2.0".into();
    assert_eq!(refused(inputs), "2.json was written by kfunc 0.1.0 and 1.json by kfunc 0.2.0; run them with one kfunc");
}

#[test]
fn settings_that_differ_are_refused() {
    let with = |seed| Some(AbiSettings { seed, cases: 0 });
    let mut inputs = three();
    inputs[1].results.abi = with(1);
    assert_eq!(merge(inputs.clone(), false).unwrap().abi, with(1), "a shard may have no case of the suite");
    inputs[2].results.abi = with(7);
    let said = refused(inputs);
    assert_eq!(said, "1.json was run with --seed 1 --cases 0 and 3.json with --seed 7 --cases 0; run both alike");
}

#[test]
fn runs_of_different_kernels_are_joined() {
    let whole = |name: &str, places: &[usize]| {
        let mut input = shard(1, 1, places);
        (input.path, input.results.shard) = (name.into(), None);
        input
    };
    let mut late = whole("b.json", &[3]);
    late.results.started += 100;
    late.results.host.kernel = "6.1 aarch64".into();
    let merged = merge(vec![whole("a.json", &[0, 2]), late], false).unwrap();
    let arches: Vec<&str> = merged.kernels.iter().map(|kernel| kernel.arch.as_str()).collect();
    assert_eq!(arches, ["x86_64", "loongarch64", "riscv64"]);
    assert_eq!(merged.duration_ms, 161_500, "from the first start to the last end");
    assert_eq!(merged.host.kernel, "6.18.0 x86_64; 6.1 aarch64");
    let said = refused(vec![whole("a.json", &[0, 2]), whole("b.json", &[2])]);
    assert!(said.starts_with("loongarch64@stock:testing is in a.json and in b.json: they overlap"), "{said}");
    let said = refused(vec![whole("a.json", &[0]), shard(2, 2, &[1])]);
    assert_eq!(said, "2.json is shard 2 of 2 and a.json is no shard; leave one of them out");
    let said = refused(vec![shard(2, 2, &[1]), whole("a.json", &[0])]);
    assert_eq!(said, "2.json is shard 2 of 2 and a.json is no shard; leave one of them out");
    assert!(refused(Vec::new()).starts_with("nothing to merge"));
}

#[test]
fn commands_that_differ_are_not_made_up() {
    let mut inputs = three();
    inputs[0].results.command = vec!["run".into(), "--accel".into(), "tcg".into()];
    assert_eq!(merge(inputs, false).unwrap().command, ["merge", "2.json", "1.json", "3.json"]);
}
