//! Really builds a kernel: minutes, and a kernel's source. Not part of an ordinary test run.
//!
//! `KFUNC_TEST_SOURCE=~/linux cargo test -p kfunc-images --test build -- --ignored`

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use images::{
    Activity, BuildNames, DebianNames, Event, KernelSpec, Machine, Provider, Source, Store, StoreOptions, Target,
    Variant,
};

#[test]
#[ignore = "takes minutes and needs KFUNC_TEST_SOURCE, the top of a kernel tree"]
fn a_kernel_for_arm32() {
    let source = PathBuf::from(std::env::var_os("KFUNC_TEST_SOURCE").expect("KFUNC_TEST_SOURCE names a kernel tree"));
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { cache_dir: Some(dir.path().to_owned()), offline: true, ..StoreOptions::default() };
    let store = Store::open(options).unwrap();
    let debian = DebianNames { arch: "armhf".into(), flavour: "armmp".into(), has_kernel: true };
    let names = BuildNames {
        arch: "arm".into(),
        source: "arm".into(),
        target: "zImage".into(),
        kernel: "arch/arm/boot/zImage".into(),
        fragment: "arm32".into(),
        cross: "arm-linux-gnueabihf-".into(),
        steps: 1800,
        instead_of_stock: true,
    };
    let target =
        Target { name: "arm32", debian: &debian, machine: Machine { elf_machine: 40, bits: 32 }, build: Some(&names) };
    let spec = KernelSpec::Built { source: Source::Path(source), variant: Variant::Plain };
    let steps = Mutex::new(Vec::new());
    let tell = |event| {
        if let Event::Finished { activity: Activity::Build, bytes, .. } = event {
            steps.lock().unwrap().push(bytes);
        }
    };
    let image = store.resolve(&spec, &target, &tell).unwrap();
    assert_eq!(image.provider, Provider::Built);
    assert!(image.release.ends_with("-kfunc"), "{}", image.release);
    assert_eq!((image.config("BPF_JIT"), image.config("DEBUG_INFO_BTF")), (Some("y"), Some("y")));
    let modules = store.modules(&image, &["nf_conntrack"], &tell).unwrap();
    assert_eq!(modules.load.last().map(|module| module.name.as_str()), Some("nf_conntrack"));
    assert!(modules.load.len() > 1, "it needs others: {modules:?}");
    let stored = &store.list().unwrap()[0];
    assert!(stored.bytes <= 80 << 20 && stored.bytes_to_run <= 25 << 20, "{stored:?}");

    let begun = Instant::now();
    assert_eq!(store.resolve(&spec, &target, &tell).unwrap().key, image.key);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(matches!(steps.lock().unwrap()[..], [n] if n > 1000), "built once: {steps:?}");
}
