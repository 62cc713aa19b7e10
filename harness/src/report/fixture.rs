//! Results for tests: five arches as a real run might leave them.

use std::collections::BTreeMap;

use crate::model::*;

fn facts(pairs: &[(&str, &str)]) -> Observation {
    let facts: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Observation { facts, ..Observation::default() }
}

/// A cell that came out right.
pub fn cell(suite: &str, case: &str) -> Cell {
    Cell {
        suite: suite.into(),
        case: case.into(),
        location: None,
        kfuncs: Vec::new(),
        outcome: Outcome::Pass,
        standing: Standing::Right,
        observation: Observation::default(),
        duration_ms: 3,
    }
}

/// The cell of the fixture that is wrong.
pub fn wrong() -> Cell {
    Cell {
        location: Some(Location { file: "testcases/stock/strings.bpf.c".into(), line: 42 }),
        kfuncs: vec!["bpf_strchr".into()],
        outcome: Outcome::WrongValue { what: "observed[0] as s32".into(), expected: "1".into(), got: "-1".into() },
        standing: Standing::Wrong,
        observation: Observation {
            load_errno: Some(0),
            run_errno: Some(0),
            retval: Some(0),
            observed: [(0, 0xffff_ffff)].into(),
            verifier_log: "0: r1 = 0\n1: call bpf_strchr\nprocessed 2 insns\n".into(),
            console: vec!["[    1.000000] a line".into()],
            ..Observation::default()
        },
        ..cell("stock", "strings::strchr")
    }
}

fn kernel(arch: &str, flavour: &str, btf: bool) -> KernelResults {
    let yes_no = |value| if value { "yes" } else { "no" };
    let release = format!("7.2.12+deb14-{flavour}");
    let not_applicable =
        |case: &str| Cell { standing: Standing::NotApplicable { reason: "no BTF".into() }, ..cell("stock", case) };
    let stock = |case: &str| if btf { cell("stock", case) } else { not_applicable(case) };
    KernelResults {
        arch: arch.into(),
        kernel: "stock:testing".into(),
        image: Some(ImageInfo {
            provider: "stock".into(),
            release: release.clone(),
            key: format!("stock-{flavour}"),
            kernel_sha256: Some("1".repeat(64)),
            config_sha256: Some("2".repeat(64)),
            kconfig: [("CC_IS_CLANG".to_owned(), false), ("CC_IS_GCC".to_owned(), true)].into(),
            provenance: [("suite".to_owned(), "testing".to_owned())].into(),
        }),
        guest: Some(GuestInfo {
            qemu: "QEMU emulator version 10.1.0".into(),
            accel: "tcg".into(),
            command: format!("qemu-system-{arch} -m 512 -append 'console=ttyS0 quiet'"),
            release,
            btf_sha256: btf.then(|| "3".repeat(64)),
            boot_ms: 3100,
            guests: 1,
        }),
        cells: vec![
            Cell { observation: facts(&[("jit", "on")]), ..cell("probe", probe::JIT) },
            Cell { observation: facts(&[("btf", yes_no(btf))]), ..cell("probe", probe::BTF) },
            Cell { observation: facts(&[("claim", yes_no(btf))]), ..cell("probe", probe::KFUNC_CALL) },
            Cell { observation: facts(&[("trampoline", yes_no(btf))]), ..cell("probe", probe::TRAMPOLINE) },
            stock("strings::strchr"),
            stock("strings::strlen"),
            stock("iter::num"),
            not_applicable("xdp::hash"),
        ],
        verdict: if btf { Verdict::Conformant } else { Verdict::NoBtf },
        reason: if btf {
            String::new()
        } else {
            "calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF".into()
        },
        error: None,
        unavailable: false,
    }
}

/// x86_64 conformant, arm64 without an image, loongarch64 and arm32 without BTF, riscv64 broken.
pub fn five() -> RunResults {
    let mut x86 = kernel("x86_64", "amd64", true);
    x86.cells.push(cell("control", "wrong_value"));
    let mut riscv = kernel("riscv64", "riscv64", true);
    riscv.cells[4] = wrong();
    riscv.verdict = Verdict::Broken;
    riscv.reason = "1 of 7 calls is wrong".into();
    let arm64 = KernelResults {
        arch: "arm64".into(),
        kernel: "stock:testing".into(),
        image: None,
        guest: None,
        cells: Vec::new(),
        verdict: Verdict::Unknown,
        reason: String::new(),
        error: Some("no image: the mirror did not answer".into()),
        unavailable: false,
    };
    RunResults {
        schema: SCHEMA,
        harness: "0.1.0".into(),
        started: 1_763_953_800,
        duration_ms: 61_500,
        command: vec!["run".into()],
        commit: Some("8a354db".into()),
        host: Host { kernel: "6.18.0 x86_64".into(), cpus: 2 },
        abi: None,
        shard: None,
        kernels: vec![x86, arm64, kernel("loongarch64", "loongarch64", false), riscv, kernel("arm32", "armmp", false)],
    }
}

/// Everything right on one arch.
pub fn clean() -> RunResults {
    let mut results = five();
    results.kernels.truncate(1);
    results
}

/// A control passed.
pub fn control_passed() -> RunResults {
    let mut results = clean();
    if let Some(cell) = results.kernels[0].cells.last_mut() {
        cell.standing = Standing::Wrong;
    }
    results
}
