//! Tries cases on the kernel of this machine: `run_local FILE.o [PROGRAM…]`, as root.
//!
//! Prints for each case what the kernel did and whether each annotation held; the exit status is 1 when one did not. A control
//! (`__must`) is good when it comes out wrong. What this kernel lacks is printed as absent, what `__since`, `__until` and
//! `__arch` exclude is not run. Options: `-v` prints verifier logs whole, `-l` only lists.

use std::process::ExitCode;
use std::sync::Arc;

use harness::arch::WordSize;
use harness::bpf::{self, Annotations, Expect, KernelTypes, LoadError, LoadOptions, Object, ProgramInfo, RunOptions};
use harness::btf::Btf;
use harness::sys::Sys;
use harness::sys_local::LocalSys;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("run_local: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Failure> {
    let (flags, words): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a.starts_with('-'));
    let (file, wanted) = words.split_first().ok_or("usage: run_local [-v] [-l] FILE.o [PROGRAM...]")?;
    let object = Object::parse(&std::fs::read(file)?)?;
    let programs = object.programs();
    if let Some(unknown) = wanted.iter().find(|name| !programs.iter().any(|p| p.name == **name)) {
        return Err(format!("{file} has no program {unknown}").into());
    }
    let mut sys = LocalSys::new();
    let vmlinux = bpf::read_vmlinux(&mut sys)?.map(|bytes| Btf::parse(&bytes)).transpose()?.map(Arc::new);
    let mut good = true;
    for program in programs.iter().filter(|p| wanted.is_empty() || wanted.contains(&p.name)) {
        if flags.iter().any(|f| f == "-l") {
            println!("{}: {} {:?}", program.name, program.section, program.annotations);
            continue;
        }
        let mut kernel = KernelTypes { vmlinux: vmlinux.clone(), modules: Vec::new() };
        if let (Some(base), Ok(says)) = (&vmlinux, &program.annotations) {
            for module in bpf::read_modules(&mut sys, base, &says.modules)? {
                kernel.modules.push(module?);
            }
        }
        good &= case(&mut sys, &object, program, &kernel, flags.iter().any(|f| f == "-v"))?;
    }
    Ok(good)
}

fn case(
    sys: &mut dyn Sys,
    object: &Object,
    program: &ProgramInfo,
    kernel: &KernelTypes,
    verbose: bool,
) -> Result<bool, Failure> {
    let name = &program.name;
    let says = match &program.annotations {
        Ok(says) => says,
        Err(error) => {
            println!("BAD    {error}");
            return Ok(false);
        }
    };
    if says.expect == Expect::Helper {
        return Ok(true);
    }
    if let Some(reason) = excluded(says) {
        println!("n/a    {name}: {reason}");
        return Ok(true);
    }
    let mut wrong = Vec::new();
    let mut notes = Vec::new();
    match bpf::load(sys, object, name, kernel, &LoadOptions::default()) {
        Err(LoadError::KfuncAbsent(kfunc)) => {
            println!("absent {name}: {kfunc} is not in this kernel");
            return Ok(true);
        }
        Err(LoadError::Refused { program, errno, log }) => {
            if verbose {
                println!("{log}");
            }
            if says.expect == Expect::Success {
                wrong.push(LoadError::Refused { program, errno, log }.to_string());
            } else {
                notes.push(format!("refused, errno {errno}"));
                if says.errno.is_some_and(|expected| expected != errno) {
                    wrong.push(format!("errno {errno}, expected {}", says.errno.unwrap_or_default()));
                }
                let mut rest = log.as_str();
                for msg in &says.msgs {
                    match rest.find(msg.as_str()) {
                        Some(at) => rest = &rest[at + msg.len()..],
                        None => wrong.push(format!("\"{msg}\" is not in the log:\n{log}")),
                    }
                }
            }
        }
        Err(error) => wrong.push(error.to_string()),
        Ok(loaded) => {
            if says.expect == Expect::Failure {
                wrong.push("the kernel accepted it".into());
            } else {
                let options = RunOptions { inputs: says.inputs.clone(), ..RunOptions::default() };
                let result = loaded.run(sys, &options)?;
                notes.push(format!("retval {} ({:#x})", result.retval as i32, result.retval));
                if result.errno != 0 {
                    wrong.push(format!("the run failed with errno {}", result.errno));
                }
                if says.retval.is_some_and(|expected| expected != result.retval) {
                    wrong.push(format!(
                        "retval {}, expected {}",
                        result.retval as i32,
                        says.retval.unwrap_or(0) as i32
                    ));
                }
                for observe in &says.observes {
                    let ty = observe.ty;
                    match result.observed.get(observe.index as usize) {
                        Some(&slot) if observe.holds(slot, WordSize::Bits64) => {
                            notes.push(format!("[{}]={}", observe.index, ty.show(slot, WordSize::Bits64)))
                        }
                        Some(&slot) => wrong.push(format!(
                            "observed[{}] as {} is {} ({slot:#018x}), expected {}",
                            observe.index,
                            ty.name(),
                            ty.show(slot, WordSize::Bits64),
                            observe.expected(WordSize::Bits64)
                        )),
                        None => wrong.push(format!("the program does not write observed[{}]", observe.index)),
                    }
                }
            }
            loaded.close(sys)?;
        }
    }
    let good = wrong.is_empty() != says.must.is_some();
    let word = match (&says.must, good) {
        (None, true) => "ok    ",
        (None, false) => "WRONG ",
        (Some(_), true) => "control",
        (Some(_), false) => "CONTROL DID NOT FAIL",
    };
    println!("{word} {name}: {}", notes.join(", "));
    wrong.iter().for_each(|line| println!("       {line}"));
    Ok(good)
}

/// Why a case does not apply to this machine.
fn excluded(says: &Annotations) -> Option<String> {
    let arch = std::env::consts::ARCH;
    let arch = if arch == "aarch64" { "arm64" } else { arch };
    if !says.arches.is_empty() && !says.arches.iter().any(|a| a == arch) {
        return Some(format!("not for {arch}"));
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut parts = release.split(['.', '-', '\n']).map(|part| part.parse::<u32>().ok());
    let here = (parts.next()??, parts.next()??);
    if says.since.is_some_and(|since| here < since) {
        return Some(format!("this kernel is {}.{}, older than __since", here.0, here.1));
    }
    if says.until.is_some_and(|until| here > until) {
        return Some(format!("this kernel is {}.{}, newer than __until", here.0, here.1));
    }
    None
}
