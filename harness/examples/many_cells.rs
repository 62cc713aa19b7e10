//! Does rendering stay small? `many_cells CELLS NTH [DIR]` makes a run of CELLS cells of which every NTH is wrong, with evidence
//! as long as that of a wrong cell of the `abi` suite (3 KiB), renders it in every form, and prints what each took: seconds,
//! bytes, and how much memory at most besides the run itself. With DIR it leaves the files there,
//! `results.json` among them, for `/usr/bin/time -v kfunc report DIR/results.json --format html`.
//!
//! Without optimisation it says little: `cargo run --release -p kfunc-harness --example many_cells 100000 1`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use harness::model::{
    Cell, GuestInfo, Host, ImageInfo, KernelResults, Observation, Outcome, RunResults, SCHEMA, Standing, Verdict,
};
use harness::report::{self, Paint};
use harness::results;

type Render = fn(&RunResults) -> String;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok()).filter(|n| *n > 0);
    let (Some(cells), Some(nth)) = (number(0), number(1)) else {
        eprintln!("usage: many_cells CELLS NTH [DIR]");
        return ExitCode::from(2);
    };
    let dir = words.get(2).map(PathBuf::from);
    let run = run(cells, nth);
    println!("{cells} cells, every {nth}. wrong: {} MiB before anything is rendered", status("VmRSS:"));
    let forms: [(&str, Render); 7] = [
        ("page.html", report::html),
        ("table.txt", |run| report::terminal(run, Paint::Plain) + &report::failures(run, Paint::Plain)),
        ("table.md", report::markdown),
        ("junit.xml", |run| report::junit::junit(run).expect("memory is written to")),
        ("run.ktap", report::ktap::ktap),
        ("kcidb.json", |run| report::kcidb::kcidb(run, report::kcidb::ORIGIN).expect("plain data serialises")),
        ("results.json", |run| results::to_text(run).expect("plain data serialises")),
    ];
    for (name, render) in forms {
        // The most there was is now (proc_pid_clear_refs(5)).
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (before, started) = (status("VmRSS:"), Instant::now());
        let text = render(&run);
        let took = started.elapsed().as_secs_f64();
        let most = status("VmHWM:");
        println!("{name:<13} {took:6.2} s {:>11} bytes  +{} MiB", text.len(), most.saturating_sub(before));
        if let Some(dir) = &dir
            && let Err(error) = results::write_atomically(&dir.join(name), text.as_bytes())
        {
            eprintln!("many_cells: {error}");
            return ExitCode::from(4);
        }
    }
    ExitCode::SUCCESS
}

fn run(cells: usize, nth: usize) -> RunResults {
    let arches = ["x86_64", "arm64", "loongarch64", "riscv64"];
    RunResults {
        schema: SCHEMA,
        harness: "0.1.0".into(),
        commit: None,
        started: 1_763_953_800,
        duration_ms: 61_500,
        command: vec!["run".into()],
        host: Host::default(),
        abi: None,
        shard: None,
        kernels: arches.iter().map(|arch| kernel(arch, cells / arches.len(), nth)).collect(),
    }
}

fn kernel(arch: &str, cells: usize, nth: usize) -> KernelResults {
    let release = "7.2.12-kfunc".to_owned();
    KernelResults {
        arch: arch.into(),
        kernel: "built:testing".into(),
        image: Some(ImageInfo { release: release.clone(), ..ImageInfo::default() }),
        guest: Some(GuestInfo { release, ..GuestInfo::default() }),
        cells: (0..cells).map(|number| cell(number, number.is_multiple_of(nth))).collect(),
        verdict: Verdict::Broken,
        reason: String::new(),
        error: None,
        unavailable: false,
    }
}

fn cell(number: usize, is_wrong: bool) -> Cell {
    let mut cell = Cell {
        suite: if number.is_multiple_of(2) { "abi" } else { "stock" }.into(),
        case: format!("family{}::case_{number}", number % 50),
        location: None,
        kfuncs: vec![format!("bpf_kfunc_{}", number % 300)],
        outcome: Outcome::Pass,
        standing: Standing::Right,
        observation: Observation { load_errno: Some(0), retval: Some(0), ..Observation::default() },
        duration_ms: 3,
    };
    if is_wrong {
        let what = "argument 1 (u8)".to_owned();
        cell.outcome = Outcome::WrongValue { what, expected: "0x80".into(), got: format!("{number:#x}") };
        cell.standing = Standing::Wrong;
        let mut code: String = (0..100).map(|line| format!("{line:>4}: 48 89 e5 <call> # {number}\n")).collect();
        code.shrink_to_fit();
        cell.observation.facts.insert("machine code".into(), code);
    }
    cell
}

/// A figure of this process (proc_pid_status(5)), in MiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}
