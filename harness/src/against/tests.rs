use std::path::Path;

use super::*;
use crate::arch;
use crate::model::{Cell, Observation, Outcome, RunResults, Standing as CellStanding};
use crate::report::capabilities;
use crate::report::fixture;

/// A tree with what it takes: x86 has exceptions by configuration and stack arguments, riscv has its own arena.
fn tree(dir: &Path) {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let weak = |name: &str| format!("bool __weak bpf_jit_supports_{name}(void)\n{{\n\treturn false;\n}}\n\n");
    write("Makefile", "VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 1\n");
    let names = ["kfunc_call", "stack_args", "exceptions", "arena", "far_kfunc_call", "time_travel"];
    write("kernel/bpf/core.c", &names.map(weak).concat());
    write("kernel/bpf/trampoline.c", "int __weak arch_prepare_bpf_trampoline(void *a)\n{\n\treturn -ENOTSUPP;\n}\n");
    write(
        "arch/x86/net/bpf_jit_comp.c",
        "bool bpf_jit_supports_kfunc_call(void) { return true; }\n\
         bool bpf_jit_supports_arena(void) { return true; }\n\
         bool bpf_jit_supports_exceptions(void) { return IS_ENABLED(CONFIG_UNWINDER_ORC); }\n\
         int arch_prepare_bpf_trampoline(void *a) { return go(a); }\n",
    );
    write("arch/x86/net/bpf_jit_comp32.c", "bool bpf_jit_supports_kfunc_call(void) { return false; }\n");
    write("arch/riscv/net/bpf_jit_comp64.c", "bool bpf_jit_supports_kfunc_call(void) { return true; }\n");
}

fn with(results: &mut RunResults, kernel: usize, case: &str, value: &str) {
    let outcome = if value == "yes" { Outcome::Pass } else { Outcome::Unsupported { line: "the line".into() } };
    let facts = [(case.to_owned(), value.to_owned())].into();
    let observation = Observation { facts, ..Observation::default() };
    let cell = Cell { outcome, observation, standing: CellStanding::Right, ..fixture::cell("probe", case) };
    results.kernels[kernel].cells.push(cell);
}

fn compared(results: &RunResults, dir: &Path) -> Comparison {
    let tree = Tree::open(dir).unwrap();
    compare(&capabilities::table(results), &tree, &arch::load(&[]).unwrap())
}

fn standing<'a>(comparison: &'a Comparison, name: &str, kernel: usize) -> &'a Compared {
    &comparison.capabilities.iter().find(|line| line.name == name).unwrap().cells[kernel]
}

#[test]
fn constants_are_compared_expressions_shown_and_the_rest_said() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    let mut results = fixture::five();
    for (case, value) in [("arena", "yes"), ("exceptions", "yes"), ("far_kfunc_call", "no"), ("ptr_xchg", "yes")] {
        with(&mut results, 0, case, value);
    }
    let comparison = compared(&results, dir.path());
    let is = |name, kernel| &standing(&comparison, name, kernel).standing;
    assert_eq!(*is("kfunc_call", 0), Standing::Agrees);
    assert_eq!(*is("trampoline", 0), Standing::Agrees);
    assert_eq!(*is("arena", 0), Standing::Agrees);
    assert_eq!(*is("far_kfunc_call", 0), Standing::Agrees, "the default counts");
    assert_eq!(standing(&comparison, "far_kfunc_call", 0).at.as_deref(), Some("kernel/bpf/core.c:21"));
    let expression = "IS_ENABLED(CONFIG_UNWINDER_ORC)".to_owned();
    assert_eq!(*is("exceptions", 0), Standing::Depends { expression });
    assert_eq!(*is("stack_args", 0), Standing::NotMeasured);
    assert_eq!(
        *is("ptr_xchg", 0),
        Standing::NotInSource { why: "this source has no bpf_jit_supports_ptr_xchg()".into() }
    );
    let why = is("arena", 1);
    assert!(matches!(why, Standing::NotInSource { why } if why.contains("cannot read arch/loongarch/net")), "{why:?}");
    // riscv64 measured a trampoline, and this tree's has none.
    assert_eq!(*is("trampoline", 2), Standing::Disagrees);
    assert_eq!(comparison.counts(), (6, 1));
    assert_eq!(
        comparison.disagreements(),
        ["kernel/bpf/trampoline.c:1: riscv64 7.2.12+deb14-riscv64: measured yes (probe::trampoline), but \
          arch_prepare_bpf_trampoline() says no"]
    );
    assert_eq!(comparison.not_probed, ["bpf_jit_supports_time_travel (kernel/bpf/core.c:26)"]);
    assert_eq!(comparison.other_release, [] as [&str; 0]);
    assert_eq!(comparison.source, "7.2.1");
}

#[test]
fn each_disagreement_is_found_in_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    let mut results = fixture::clean();
    with(&mut results, 0, "arena", "no");
    with(&mut results, 0, "far_kfunc_call", "yes");
    let comparison = compared(&results, dir.path());
    let lines = comparison.disagreements();
    assert_eq!(comparison.counts().1, 2, "{lines:?}");
    assert!(lines[0].starts_with("kernel/bpf/core.c:21: ") && lines[0].contains("measured yes"), "{lines:?}");
    assert!(lines[1].starts_with("arch/x86/net/bpf_jit_comp.c:2: ") && lines[1].contains("says yes"), "{lines:?}");
}

#[test]
fn another_release_is_said() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    std::fs::write(dir.path().join("Makefile"), "VERSION = 7\nPATCHLEVEL = 3\n").unwrap();
    let comparison = compared(&fixture::clean(), dir.path());
    assert_eq!(comparison.other_release, ["x86_64 7.2.12+deb14-amd64"]);
}

#[test]
fn what_is_no_tree_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = |path: &Path| Tree::open(path).unwrap_err().to_string();
    assert!(error(&dir.path().join("absent")).ends_with("absent is no kernel source tree: it is no directory"));
    assert!(error(dir.path()).contains("cannot read Makefile"));
    std::fs::write(dir.path().join("Makefile"), "all:\n").unwrap();
    assert!(error(dir.path()).contains("its Makefile has no VERSION and PATCHLEVEL"));
    tree(dir.path());
    std::fs::write(dir.path().join("kernel/bpf/core.c"), "int x;\n").unwrap();
    std::fs::write(dir.path().join("kernel/bpf/trampoline.c"), "int x;\n").unwrap();
    assert!(error(dir.path()).contains("kernel/bpf/core.c has no bpf_jit_supports_ function"));
    std::fs::remove_file(dir.path().join("kernel/bpf/core.c")).unwrap();
    assert!(error(dir.path()).contains("cannot read kernel/bpf/core.c"));
}
