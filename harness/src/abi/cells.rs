//! The suite's cells: what they are called and what each is about. Fixed before any guest is started.

use super::ctype::TYPES;
use super::emit::Place;
use super::generate::REGISTERS;
use crate::arch::{Arch, WordSize};

/// Most arguments a kfunc may have (`MAX_BPF_FUNC_ARGS`, include/linux/bpf.h).
pub const ARGUMENTS_MAX: usize = 12;

/// Cells about what is around a call and about single functions, with what they are about.
const OTHERS: [(&str, &str); 37] = [
    ("saved::r6", "R6 is after the call what it was before"),
    ("saved::r7", "R7 is after the call what it was before"),
    ("saved::r8", "R8 is after the call what it was before"),
    ("saved::r9", "R9 is after the call what it was before"),
    ("saved::stack", "both ends of the program's stack are after the call what they were before"),
    (
        "saved::kernel_registers",
        "the program gives back every register that belongs to its caller, and the stack pointer",
    ),
    ("saved::kernel_registers_after_exception", "so does one that throws"),
    ("calls::callee", "the function that is called is the one that was meant, once for each call"),
    ("calls::return", "every call returns, and the program returns its own value"),
    ("calls::clobbering_callee", "a callee that destroys every register it may"),
    ("calls::sleeping_callee", "a callee that sleeps"),
    ("calls::many_sites", "hundreds of calls of one function"),
    ("calls::first_instruction", "the call is the program's first instruction"),
    ("calls::last_instruction", "the call is the last instruction before exit"),
    ("stack::aligned", "the stack is aligned when the callee is entered, as the psABI says"),
    ("stack::balanced", "the stack pointer is where it was, call after call"),
    ("stack::callee_frame", "a callee with a frame of its own"),
    ("stack::deep_recursion", "a callee that calls itself many times"),
    ("stack::refused_arguments", "where the JIT takes no stack arguments, a sixth argument is refused with its line"),
    ("memory::on_stack", "the callee reads and writes the program's stack, pointer and size in positions 1 and 2"),
    ("memory::late_position", "the same in positions 4 and 5"),
    ("memory::on_private_stack", "the same in a program on a private stack, where the JIT has one"),
    ("objects::pointer", "a pointer comes back whole, and goes to the next call whole"),
    ("objects::null", "NULL is NULL"),
    ("modules::same_id", "functions of equal BTF id in two modules are not mistaken for one another"),
    ("modules::far_slots", "modules in slots 255 and 32767 of fd_array"),
    ("tail_calls::limit", "a program that calls a kfunc and then itself is run 34 times"),
    ("tail_calls::limit_from_subprogram", "the same out of a function"),
    ("exceptions::from_main", "a program that throws after a call returns the cookie"),
    ("hardened::main", "constants blinded (bpf_jit_harden = 2)"),
    ("hardened::subprogram", "constants blinded, in a function"),
    ("kaslr::main", "calls of every shape, the kernel at a random place (KASLR)"),
    ("kaslr::subprogram", "the same in a function"),
    ("kaslr::between_vmlinux_kfuncs", "each call between two calls of kfuncs of vmlinux, the kernel at a random place"),
    ("program::sched_cls", "in a program of type SCHED_CLS"),
    ("program::xdp", "in a program of type XDP"),
    ("program::raw_tracepoint", "in a program of type RAW_TRACEPOINT, on a private stack where the JIT has one"),
];

/// Controls: what the conformance module does wrong on purpose, by name without the suite `control`, with what it is about and
/// how the mismatch must begin. One that goes unnoticed makes the run untrustworthy.
pub const CONTROLS: [(&str, &str, &str); 3] = [
    (MISREPORTED, "the callee says that it received one more than it did", "argument 1 (u32)"),
    (MISRETURNED, "the callee returns another value than it says", "result of kfc_liar_ret"),
    (DESTROYED, "the callee destroys the register that holds R6", "r6 after the call"),
];
/// See [`CONTROLS`].
pub const MISREPORTED: &str = "abi::misreported_argument";
/// See [`CONTROLS`].
pub const MISRETURNED: &str = "abi::wrong_result";
/// See [`CONTROLS`].
pub const DESTROYED: &str = "abi::destroyed_register";

/// Beginning of the names of cells that are filled in a guest whose kernel chose where it lies.
pub const RANDOM_PLACE: &str = "kaslr::";

/// The cell for calls beyond the fixed ones.
pub const RANDOM: &str = "random::calls";
/// What the suite comes to on an arch whose JIT declines.
pub const DECLINED: &str = "calls::declined";

/// Names and descriptions of the cells for an arch. `random`: calls beyond the fixed ones were asked for.
pub fn cells(arch: &Arch, random: bool) -> Vec<(String, String)> {
    if arch.claims.kfunc_call.is_never() {
        let about = "the JIT takes no kfunc calls: that of a module is refused, with the line that says so";
        return vec![(DECLINED.into(), about.into())];
    }
    let mut cells = Vec::new();
    for position in 1..=ARGUMENTS_MAX {
        for name in TYPES {
            cells.push((
                format!("args::{name}_{position}"),
                format!("argument {position} of type {name}, as compilers leave it in a register"),
            ));
        }
    }
    for position in 1..=ARGUMENTS_MAX {
        for name in TYPES.into_iter().filter(|name| is_narrow(name, arch.word)) {
            cells.push((
                format!("dirty::{name}_{position}"),
                format!("argument {position} of type {name}, with dirt above its bits"),
            ));
        }
    }
    for position in 1..=REGISTERS {
        for name in TYPES {
            cells.push((
                format!("zext::{name}_{position}"),
                format!(
                    "argument {position} of type {name}, made by a 32-bit instruction, which clears the upper half"
                ),
            ));
        }
    }
    for name in TYPES.into_iter().filter(|name| *name != "ptr") {
        cells.push((format!("returns::{name}"), format!("results of type {name}, with R0 poisoned before the call")));
    }
    for place in Place::ALL.into_iter().filter(|place| *place != Place::Main) {
        cells.push((place_cell(place), format!("calls of every shape: {}", place.name().replace('_', " "))));
    }
    cells.extend(OTHERS.map(|(name, about)| (name.to_owned(), about.to_owned())));
    if random {
        cells.push((RANDOM.into(), "calls with arguments from the seed".into()));
    }
    cells
}

/// Whether a register can hold more than a type of this name has.
fn is_narrow(name: &str, word: WordSize) -> bool {
    !matches!(name, "s64" | "u64") && (name != "ptr" || word == WordSize::Bits32)
}

/// The cell of a place.
pub fn place_cell(place: Place) -> String {
    format!("context::{}", place.name())
}

/// The position in names such as `args::u8_3`, of arguments only.
pub fn position(cell: &str) -> Option<usize> {
    let (family, name) = cell.split_once("::")?;
    matches!(family, "args" | "dirty" | "zext").then(|| name.rsplit_once('_'))??.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_positions_are_read_back() {
        for arch in crate::arch::load(&[]).unwrap() {
            let cells = cells(&arch, true);
            let names: std::collections::BTreeSet<&str> = cells.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names.len(), cells.len());
            assert_eq!(names.contains("dirty::ptr_3"), arch.name == "x86_32");
            assert_eq!(cells.len() == 1, arch.name == "arm32");
        }
        assert_eq!(position("args::u8_12"), Some(12));
        assert_eq!(position("saved::r6"), None);
        assert_eq!(position("returns::u8"), None);
    }
}
