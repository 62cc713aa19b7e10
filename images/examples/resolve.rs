//! Resolves a kernel from the real mirror and says what it took: `cargo run -p kfunc-images --example resolve -- stock
//! riscv64 nf_conntrack`. Not a test, because it needs the network.

use std::process::ExitCode;
use std::time::Instant;

use images::{AgentTarget, DebianNames, Event, KernelSpec, Machine, Store, StoreOptions, Target};

/// Name, Debian's architecture and flavour, ELF machine, bits: as in the arch files.
const ARCHES: [(&str, &str, &str, u16, u8); 5] = [
    ("x86_64", "amd64", "amd64", 62, 64),
    ("arm64", "arm64", "arm64", 183, 64),
    ("riscv64", "riscv64", "riscv64", 243, 64),
    ("loongarch64", "loong64", "loong64", 258, 64),
    ("arm32", "armhf", "armmp", 40, 32),
];

/// No vector registers in PID 1: early boot may not have them on, and the stubs do not save them.
const FLAGS: [(&str, &str); 8] = [
    ("loongarch64", "-march=loongarch64"),
    ("loongarch64", "-mabi=lp64s"),
    ("loongarch64", "-mno-lsx"),
    ("loongarch64", "-mno-lasx"),
    ("x86_64", "-mgeneral-regs-only"),
    ("arm64", "-mgeneral-regs-only"),
    ("riscv64", "-march=rv64imac"),
    ("riscv64", "-mabi=lp64"),
];

fn triple(name: &str) -> &str {
    match name {
        "arm64" => "aarch64-linux-gnu",
        "arm32" => "armv7-linux-gnueabi",
        "riscv64" => "riscv64-linux-gnu",
        "loongarch64" => "loongarch64-linux-gnusf",
        _ => "x86_64-linux-gnu",
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), images::Error> {
    let mut args = std::env::args().skip(1);
    let spec: KernelSpec = args.next().unwrap_or_else(|| "stock".to_owned()).parse()?;
    let wanted = args.next().unwrap_or_else(|| "all".to_owned());
    let modules: Vec<String> = args.collect();
    let store = Store::open(StoreOptions { mirror: None, ..StoreOptions::default() })?;
    let progress = |event: Event| match event {
        Event::Progress { .. } => {}
        other => eprintln!("{other:?}"),
    };
    for (name, arch, flavour, elf_machine, bits) in ARCHES.into_iter().filter(|a| wanted == "all" || a.0 == wanted) {
        let debian = DebianNames { arch: arch.to_owned(), flavour: flavour.to_owned(), has_kernel: true };
        let target = Target { name, debian: &debian, machine: Machine { elf_machine, bits }, build: None };
        let begun = Instant::now();
        let image = store.resolve(&spec, &target, &progress)?;
        println!("{name}: {} in {:?}: {}", image.key, begun.elapsed(), image.kernel.display());
        println!("  BTF {:?}, boot modules {:?}", image.config("DEBUG_INFO_BTF"), image.boot_modules);
        println!("  {:?}", image.provenance);
        let begun = Instant::now();
        let agent = AgentTarget {
            triple: triple(name).to_owned(),
            flags: FLAGS.iter().filter(|f| f.0 == name).map(|f| f.1.to_owned()).collect(),
            start: format!("start-{name}.S"),
        };
        let initramfs = store.initramfs(&image, &agent, &progress)?;
        println!("  initramfs in {:?}: {}", begun.elapsed(), initramfs.display());
        if !modules.is_empty() {
            let names: Vec<_> = modules.iter().map(String::as_str).collect();
            let begun = Instant::now();
            let set = store.modules(&image, &names, &progress)?;
            let load: Vec<_> = set.load.iter().map(|m| (&m.name, m.size)).collect();
            println!("  modules in {:?}: {load:?}, built in {:?}", begun.elapsed(), set.builtin);
        }
    }
    Ok(())
}
