//! What a JIT can or cannot do, as far as it can be seen from outside: the rows of the capability table.
//!
//! Each is asked for by a probe of the same name ([`crate::probe`]), claimed in an arch file ([`crate::arch::Claims`]) and,
//! where the kernel has a function that says so, compared with its source ([`crate::against`]).

use crate::model::probe;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // described by `title` and `hook`
pub enum Capability {
    KfuncCall,
    Trampoline,
    FarKfuncCall,
    StackArgs,
    ModuleKfuncs,
    Subprograms,
    SubprogramTailCalls,
    Exceptions,
    Arena,
    ArenaAtomics,
    ArenaFetchOps,
    ArenaCmpxchg,
    ArenaLoadAcquire,
    ArenaSignExtend,
    PrivateStack,
    PercpuInsn,
    PtrXchg,
    TimedMayGoto,
    Fsession,
}

impl Capability {
    /// In the order of the table.
    pub const ALL: [Self; 19] = [
        Self::KfuncCall,
        Self::Trampoline,
        Self::FarKfuncCall,
        Self::StackArgs,
        Self::ModuleKfuncs,
        Self::Subprograms,
        Self::SubprogramTailCalls,
        Self::Exceptions,
        Self::Arena,
        Self::ArenaAtomics,
        Self::ArenaFetchOps,
        Self::ArenaCmpxchg,
        Self::ArenaLoadAcquire,
        Self::ArenaSignExtend,
        Self::PrivateStack,
        Self::PercpuInsn,
        Self::PtrXchg,
        Self::TimedMayGoto,
        Self::Fsession,
    ];

    /// Name of the probe's case, of the fact that it leaves (but for [`Self::fact`]) and of the key in `[claims]`.
    pub fn name(self) -> &'static str {
        match self {
            Self::KfuncCall => probe::KFUNC_CALL,
            Self::Trampoline => probe::TRAMPOLINE,
            Self::FarKfuncCall => "far_kfunc_call",
            Self::StackArgs => probe::STACK_ARGS,
            Self::ModuleKfuncs => "module_kfuncs",
            Self::Subprograms => probe::SUBPROGRAMS,
            Self::SubprogramTailCalls => "subprogram_tail_calls",
            Self::Exceptions => "exceptions",
            Self::Arena => "arena",
            Self::ArenaAtomics => "arena_atomics",
            Self::ArenaFetchOps => "arena_fetch_ops",
            Self::ArenaCmpxchg => "arena_cmpxchg",
            Self::ArenaLoadAcquire => "arena_load_acquire",
            Self::ArenaSignExtend => "arena_sign_extend",
            Self::PrivateStack => "private_stack",
            Self::PercpuInsn => "percpu_insn",
            Self::PtrXchg => "ptr_xchg",
            Self::TimedMayGoto => "timed_may_goto",
            Self::Fsession => "fsession",
        }
    }

    /// Name of the fact with the answer: `yes`, `no`, `not observable`, and for kfunc calls `no BTF` or `no JIT`.
    pub fn fact(self) -> &'static str {
        if self == Self::KfuncCall { "claim" } else { self.name() }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::KfuncCall => "kfunc calls",
            Self::Trampoline => "trampoline",
            Self::FarKfuncCall => "far kfunc calls",
            Self::StackArgs => "stack arguments",
            Self::ModuleKfuncs => "module kfuncs",
            Self::Subprograms => "subprograms",
            Self::SubprogramTailCalls => "subprogram tail calls",
            Self::Exceptions => "exceptions",
            Self::Arena => "arena",
            Self::ArenaAtomics => "arena: atomics",
            Self::ArenaFetchOps => "arena: fetch and/or/xor",
            Self::ArenaCmpxchg => "arena: cmpxchg",
            Self::ArenaLoadAcquire => "arena: load-acquire",
            Self::ArenaSignExtend => "arena: signed loads",
            Self::PrivateStack => "private stack",
            Self::PercpuInsn => "per-CPU instruction",
            Self::PtrXchg => "kptr exchange inline",
            Self::TimedMayGoto => "timed may_goto",
            Self::Fsession => "fsession",
        }
    }

    /// The kernel's function that says whether there is support (kernel/bpf/core.c has the defaults). Module kfuncs and
    /// subprograms have none.
    pub fn hook(self) -> Option<&'static str> {
        Some(match self {
            Self::KfuncCall => "bpf_jit_supports_kfunc_call",
            Self::Trampoline => "arch_prepare_bpf_trampoline",
            Self::FarKfuncCall => "bpf_jit_supports_far_kfunc_call",
            Self::StackArgs => "bpf_jit_supports_stack_args",
            Self::ModuleKfuncs | Self::Subprograms => return None,
            Self::SubprogramTailCalls => "bpf_jit_supports_subprog_tailcalls",
            Self::Exceptions => "bpf_jit_supports_exceptions",
            Self::Arena => "bpf_jit_supports_arena",
            Self::ArenaAtomics
            | Self::ArenaFetchOps
            | Self::ArenaCmpxchg
            | Self::ArenaLoadAcquire
            | Self::ArenaSignExtend => "bpf_jit_supports_insn",
            Self::PrivateStack => "bpf_jit_supports_private_stack",
            Self::PercpuInsn => "bpf_jit_supports_percpu_insn",
            Self::PtrXchg => "bpf_jit_supports_ptr_xchg",
            Self::TimedMayGoto => "bpf_jit_supports_timed_may_goto",
            Self::Fsession => "bpf_jit_supports_fsession",
        })
    }
}
