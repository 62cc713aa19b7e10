//! What one program needs: linked code, maps, modules, other programs. Pure, so that a missing kfunc is known before the
//! kernel under test has been asked anything.

use super::core::{self, CoreTarget};
use super::error::LoadError;
use super::kernel::{KernelSymbol, KernelTypes};
use super::link::Linked;
use super::map::Slot;
use super::object::{Object, Reference};
use super::section::{AttachTarget, ProgSpec};
use crate::arch::WordSize;
use crate::btf::Kind;

/// What has to be loaded, found out before the kernel is touched.
pub(super) struct Plan {
    pub programs: Vec<Planned>,
    /// Indices of maps, those inside others first.
    pub maps: Vec<usize>,
    /// Modules whose BTF fd is needed, as indices in [`KernelTypes::modules`].
    pub modules: Vec<usize>,
    /// Names of programs to attach.
    pub attach: Vec<String>,
}

pub(super) struct Planned {
    pub name: String,
    pub spec: ProgSpec,
    pub linked: Linked,
    pub attach: Option<KernelSymbol>,
}

impl Plan {
    /// `word`: of the kernel, for which CO-RE relocations are.
    pub fn new(object: &Object, main: &str, kernel: &KernelTypes, word: WordSize) -> Result<Self, LoadError> {
        let mut plan = Self { programs: Vec::new(), maps: Vec::new(), modules: Vec::new(), attach: Vec::new() };
        plan.attach = object.tags_of(main).iter().filter_map(|tag| attached(tag)).map(str::to_owned).collect();
        let mut wanted: Vec<String> = vec![main.to_owned()];
        wanted.extend(plan.attach.iter().cloned());
        let target = CoreTarget { kernel: kernel.vmlinux.as_deref(), endian: object.endian, word };
        let mut next = 0;
        while let Some(name) = wanted.get(next).cloned() {
            next += 1;
            if plan.programs.iter().any(|p| p.name == name) {
                continue;
            }
            let index = object.program(&name).ok_or_else(|| LoadError::NoProgram(name.clone()))?;
            let spec = object.functions[index].spec.clone().ok_or_else(|| LoadError::NoProgram(name.clone()))?;
            let mut linked = Linked::new(object, index)?;
            core::apply(&mut linked, &object.btf, target)?;
            for fixup in &linked.fixups {
                match fixup.what {
                    Reference::Map(map) | Reference::Data { map, .. } => plan.add_map(object, map, &mut wanted, 0),
                    _ => {}
                }
            }
            let attach = plan.resolve_attach(&name, &spec, kernel)?;
            plan.programs.push(Planned { name, spec, linked, attach });
        }
        plan.resolve_externs(object, kernel)?;
        Ok(plan)
    }

    /// A map, after the maps it holds; programs it holds are wanted too.
    fn add_map(&mut self, object: &Object, map: usize, wanted: &mut Vec<String>, depth: u32) {
        if self.maps.contains(&map) || depth > 2 {
            return;
        }
        for (_, slot) in &object.maps[map].slots {
            match slot {
                Slot::Program(name) => wanted.push(name.clone()),
                Slot::Map(inner) => self.add_map(object, *inner, wanted, depth + 1),
            }
        }
        self.maps.push(map);
    }

    fn resolve_attach(
        &mut self,
        program: &str,
        spec: &ProgSpec,
        kernel: &KernelTypes,
    ) -> Result<Option<KernelSymbol>, LoadError> {
        let (kind, name) = match &spec.target {
            AttachTarget::None | AttachTarget::RawTracepoint(_) => return Ok(None),
            AttachTarget::Function(name) => (Kind::Func, name.clone()),
            AttachTarget::BtfTracepoint(name) => (Kind::Typedef, format!("btf_trace_{name}")),
        };
        if kernel.vmlinux.is_none() {
            return Err(LoadError::NoKernelBtf { program: program.into(), what: name });
        }
        let symbol = kernel.find(kind, &name);
        let symbol = symbol.ok_or_else(|| LoadError::NoAttachTarget { program: program.into(), target: name })?;
        self.need_module(symbol);
        Ok(Some(symbol))
    }

    fn need_module(&mut self, symbol: KernelSymbol) {
        if let Some(module) = symbol.module.filter(|m| !self.modules.contains(m)) {
            self.modules.push(module);
        }
    }

    /// Every strong extern must exist; says so before anything is created.
    fn resolve_externs(&mut self, object: &Object, kernel: &KernelTypes) -> Result<(), LoadError> {
        let mut found = Vec::new();
        for program in &self.programs {
            for fixup in &program.linked.fixups {
                let Reference::Extern(index) = fixup.what else { continue };
                let wanted = &object.externs[index];
                match find_extern(kernel, wanted.is_func, &wanted.name) {
                    Some(symbol) => found.push(symbol),
                    None if wanted.weak => {}
                    None if kernel.vmlinux.is_none() => {
                        // The kernel's own answer to a kfunc call without BTF is what a report must show, so the call is
                        // left unresolved here and refused there.
                    }
                    None => return Err(LoadError::KfuncAbsent(wanted.name.clone())),
                }
            }
        }
        found.into_iter().for_each(|symbol| self.need_module(symbol));
        Ok(())
    }
}

pub(super) fn find_extern(kernel: &KernelTypes, is_func: bool, name: &str) -> Option<KernelSymbol> {
    if is_func { kernel.func(name) } else { kernel.var(name) }
}

/// The program a tag wants attached.
fn attached(tag: &str) -> Option<&str> {
    tag.strip_prefix("comment:")?.split_once("kfunc_attach=").map(|(_, name)| name)
}
