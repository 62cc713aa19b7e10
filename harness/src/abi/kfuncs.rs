//! The conformance module's kfuncs, as its BTF has them. No prototype is written down a second time.

use std::sync::Arc;

use super::ctype::CType;
use crate::arch::WordSize;
use crate::bpf::KernelTypes;
use crate::btf::{Btf, Kind};

/// Names of the modules in the order of loading. The main module keeps the log; the other two have functions of equal
/// BTF ids.
pub use testcases::MODULES;

/// What a function of the module does with what it gets, said by the beginning of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `kfc_rec_*`: records its arguments and returns nothing.
    Records,
    /// `kfc_ret_*`: returns its one argument as its own type.
    Returns,
    /// `kfc_mix_*`: returns the XOR of its widened arguments as its own type.
    Mixes,
    /// Called by name only; returns its one argument plus a number.
    Adds(u64),
    /// `kfc_liar_*`: a control. Says that it received, or returns, something else than it did; what it should have said and
    /// returned is its one argument.
    Lies,
    /// Anything else: used by name.
    Special,
}

/// One kfunc.
#[derive(Debug, Clone)]
pub struct Kfunc {
    /// Name.
    pub name: String,
    /// BTF id.
    pub id: u32,
    /// Slot of its module in `fd_array`: 1 for the main module, 2 and 3 for the others, 0 for vmlinux.
    pub slot: i16,
    /// What it does.
    pub role: Role,
    /// Parameters.
    pub params: Vec<CType>,
    /// Result; `None` for `void`.
    pub result: Option<CType>,
    /// C prototype for people.
    pub prototype: String,
}

impl Kfunc {
    /// What the call must return for these registers, widened to 64 bits; `None` where the name promises nothing.
    pub fn expected_result(&self, registers: &[u64]) -> Option<u64> {
        let result = self.result.as_ref()?;
        let widened = self.params.iter().zip(registers).map(|(ty, value)| ty.widen(*value));
        match self.role {
            Role::Returns | Role::Mixes | Role::Lies => {
                let value = widened.fold(0, |sum, value| sum ^ value);
                // The one conversion of C that is not taking the lower bits.
                Some(if result.name == "bool" { u64::from(value != 0) } else { result.widen(value) })
            }
            Role::Adds(more) => Some(result.widen(widened.sum::<u64>().wrapping_add(more))),
            Role::Records | Role::Special => None,
        }
    }
}

/// All kfuncs of the modules that are loaded, in the order of their BTF ids.
pub fn discover(kernel: &KernelTypes, word: WordSize) -> Vec<Kfunc> {
    let mut found = Vec::new();
    for (slot, name) in (1..).zip(MODULES) {
        if let Some(module) = kernel.modules.iter().find(|module| module.name == name) {
            found.extend(of_module(&module.btf, slot, word));
        }
    }
    found
}

fn of_module(btf: &Arc<Btf>, slot: i16, word: WordSize) -> Vec<Kfunc> {
    let is_ours = |name: &str| name.starts_with("kfc_");
    let functions = btf.iter().filter(|ty| ty.kind == Kind::Func && is_ours(btf.name(ty)));
    functions.filter_map(|ty| of_func(btf, ty.id, slot, word)).collect()
}

/// A function by its BTF id; `None` when a parameter is of a type that no register holds.
pub fn of_func(btf: &Btf, id: u32, slot: i16, word: WordSize) -> Option<Kfunc> {
    let ty = btf.get(id)?;
    let name = btf.name(&ty).to_owned();
    let proto = btf.get(ty.type_id()).filter(|proto| proto.kind == Kind::FuncProto)?;
    let params: Option<Vec<CType>> = proto.params().map(|param| CType::of(btf, param.type_id, word)).collect();
    let role = match name.split('_').nth(1) {
        Some("rec") => Role::Records,
        Some("ret") => Role::Returns,
        Some("mix") => Role::Mixes,
        Some("liar") => Role::Lies,
        Some("clobber" | "stack" | "recurse" | "sleep" | "implicit" | "breaks") => Role::Adds(0),
        // Two functions of one BTF id in two modules: what they add tells them apart.
        Some("same") if name.ends_with("_x") => Role::Adds(1),
        Some("same") if name.ends_with("_y") => Role::Adds(2),
        _ => Role::Special,
    };
    let result = CType::of(btf, proto.type_id(), word);
    let prototype = btf.prototype(id).unwrap_or_default();
    Some(Kfunc { name, id, slot, role, params: params?, result, prototype })
}
