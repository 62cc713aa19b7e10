//! One program in the guest: its modules loaded, itself loaded, run and read back.

use std::sync::Arc;

use super::Session;
use crate::abi::explain::file_program;
use crate::abi::machine::around_call;
use crate::arch::Endian;
use crate::bpf::{self, Annotations, KernelSymbol, KernelTypes, LoadOptions, Object, RunOptions};
use crate::doctor::needs;
use crate::guest::console::clean;
use crate::guest::{Guest, files};
use crate::model::Observation;
use crate::probe::refused_load;
use crate::sys::SysError;

impl Session<'_> {
    pub(super) fn object(
        &self,
        source: &'static testcases::Source,
        little: &Arc<Object>,
    ) -> Result<Arc<Object>, String> {
        if self.planned.arch.endian == Endian::Little { Ok(little.clone()) } else { self.compile(source) }
    }

    pub(super) fn compile(&self, source: &testcases::Source) -> Result<Arc<Object>, String> {
        let mut compiler = self.shared.compiler.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bytes = compiler.object(source, self.planned.arch.endian).map_err(|e| e.to_string())?;
        Object::parse(&bytes).map(Arc::new).map_err(|e| format!("{}: {e}", source.path))
    }

    pub(super) fn trampoline(&self) -> Result<Arc<Object>, String> {
        let source = testcases::SOURCES.iter().find(|s| s.suite == "probe" && s.name == "trampoline");
        self.compile(source.ok_or("there is no testcases/probe/trampoline.bpf.c")?)
    }

    /// Loads, runs and reads back one program.
    pub(super) fn run_program(&mut self, object: &Object, program: &str, annotations: &Annotations) -> Observation {
        let mut seen = Observation::default();
        if let Err(error) = self.load_modules(&annotations.modules, &mut seen) {
            self.lost(error, &mut seen);
            return seen;
        }
        if seen.infrastructure.is_some() {
            return seen;
        }
        let Some(running) = self.running.as_mut() else {
            seen.infrastructure = Some("there is no guest".into());
            return seen;
        };
        let result = load_and_run(&mut running.guest, object, program, &running.kernel, annotations, &mut seen);
        if let Err(error) = result {
            self.lost(error, &mut seen);
            return seen;
        }
        self.read_log(&mut seen);
        shorten(&mut seen.verifier_log);
        seen
    }

    /// Evidence for a program that failed: what it calls, its instructions, and the machine code that the JIT makes of it
    /// (the program is loaded once more, and not run). What cannot be had is left out.
    pub(super) fn show_program(&mut self, object: &Object, program: &str, kfuncs: &[String], seen: &mut Observation) {
        // Of a guest that was lost, the types are still known.
        let lost = KernelTypes { vmlinux: self.vmlinux.as_ref().map(|known| known.btf.clone()), modules: Vec::new() };
        let kernel = self.running.as_ref().map_or(&lost, |running| &running.kernel);
        let prototypes: Vec<String> = kfuncs.iter().filter_map(|name| kernel.prototype(name)).collect();
        if !prototypes.is_empty() {
            seen.facts.insert("prototype".into(), prototypes.join("\n"));
        }
        if let Ok((insns, maps)) = bpf::instructions(object, program, kernel, self.planned.arch.word) {
            let maps: Vec<String> = maps.iter().zip(1..).map(|(name, fd)| format!("fd:{fd} {name}")).collect();
            if !maps.is_empty() {
                seen.facts.insert("maps".into(), maps.join(", "));
            }
            file_program(seen, &insns, object.endian(), |id, slot| {
                let is_it = |symbol: KernelSymbol| symbol.id as i32 == id && symbol.module.is_none() == (slot == 0);
                kfuncs.iter().find(|name| kernel.func(name).is_some_and(is_it)).cloned()
            });
        }
        let Some(running) = self.running.as_mut().filter(|_| seen.load_errno == Some(0)) else { return };
        let arch = &self.planned.arch;
        let mut machine_code = || -> Result<Option<String>, SysError> {
            let options = LoadOptions { log_level: 0, ..LoadOptions::default() };
            let loaded = match bpf::load(&mut running.guest, object, program, &running.kernel, &options) {
                Ok(loaded) => loaded,
                Err(bpf::LoadError::Sys(error)) => return Err(error),
                Err(_) => return Ok(None),
            };
            let code = around_call(&mut running.guest, arch, loaded.fd)?;
            loaded.close(&mut running.guest)?;
            Ok(code)
        };
        match machine_code() {
            Ok(Some(code)) => drop(seen.facts.insert("machine code".into(), code)),
            Ok(None) => {}
            // The case is judged; the next one gets another guest.
            Err(_) => self.running = None,
        }
    }

    /// Loads kernel modules that a case names and reads their BTF. A module that the kernel does not have is noted; the
    /// case then ends with its kfunc absent.
    pub(super) fn load_modules(&mut self, names: &[String], seen: &mut Observation) -> Result<(), SysError> {
        let Some(running) = self.running.as_ref() else { return Ok(()) };
        let missing: Vec<String> = names.iter().filter(|n| !running.loaded_modules.contains(n)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let Some(image) = self.image.clone() else { return Ok(()) };
        let wanted: Vec<&str> = missing.iter().map(String::as_str).collect();
        let set = match self.shared.store.modules(&image, &wanted, &|event| self.tell_image(event)) {
            Ok(set) => set,
            Err(error @ (images::Error::UnknownModule { .. } | images::Error::NoModules { .. })) => {
                seen.facts.insert("module".into(), error.to_string());
                return Ok(());
            }
            Err(error) => {
                seen.infrastructure = Some(needs::explain(&error));
                return Ok(());
            }
        };
        let Some(running) = self.running.as_mut() else { return Ok(()) };
        for module in &set.load {
            if running.loaded_modules.contains(&module.name) {
                continue;
            }
            let bytes = match std::fs::read(&module.path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    seen.infrastructure = Some(format!("cannot read {}: {error}", module.path.display()));
                    return Ok(());
                }
            };
            if let Err(errno) = files::load_module(&mut running.guest, &module.name, &bytes)? {
                seen.infrastructure = Some(format!("the kernel refused module {} (errno {errno})", module.name));
                return Ok(());
            }
            running.loaded_modules.push(module.name.clone());
        }
        running.loaded_modules.extend(missing.into_iter().filter(|name| set.builtin.contains(name)));
        if let Some(vmlinux) = &running.kernel.vmlinux {
            running.kernel.modules = Vec::new();
            for module in bpf::read_modules(&mut running.guest, vmlinux, &running.loaded_modules)? {
                match module {
                    Ok(module) => running.kernel.modules.push(module),
                    Err(error) => seen.infrastructure = Some(error.to_string()),
                }
            }
        }
        Ok(())
    }
}

fn load_and_run(
    guest: &mut Guest,
    object: &Object,
    program: &str,
    kernel: &KernelTypes,
    annotations: &Annotations,
    seen: &mut Observation,
) -> Result<(), SysError> {
    let loaded = match bpf::load(guest, object, program, kernel, &LoadOptions::default()) {
        Ok(loaded) => loaded,
        Err(error) => return refused_load(error, seen),
    };
    seen.load_errno = Some(0);
    let options = RunOptions { inputs: annotations.inputs.clone(), ..RunOptions::default() };
    let result = loaded.run(guest, &options)?;
    seen.run_errno = Some(result.errno);
    seen.retval = (result.errno == 0).then_some(result.retval);
    let wanted = |index: &u32| annotations.observes.iter().any(|observe| observe.index == *index);
    seen.observed = (0u32..).zip(result.observed).filter(|(index, _)| wanted(index)).collect();
    loaded.close(guest)
}

/// Longest verifier log that goes into a result: beginning and end, which hold what matters.
const LOG_KEPT: usize = 16 << 10;

pub(super) fn shorten(log: &mut String) {
    // Written by a kernel under test: see `guest::console`.
    *log = log.lines().map(clean).collect::<Vec<_>>().join("\n");
    if log.len() <= LOG_KEPT {
        return;
    }
    let at = |mut index: usize| {
        while !log.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let (head, tail) = (at(LOG_KEPT / 2), at(log.len() - LOG_KEPT / 2));
    *log = format!("{}\n… {} bytes left out …\n{}", &log[..head], tail - head, &log[tail..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_both_ends() {
        let mut escaped = "\u{1b}[31mred\u{1b}[0m\nnext".to_owned();
        shorten(&mut escaped);
        assert_eq!(escaped, "red\nnext");
        let mut log = format!("first\n{}\nlast", "ä".repeat(LOG_KEPT));
        shorten(&mut log);
        assert!(log.starts_with("first") && log.ends_with("last") && log.contains("bytes left out"));
        assert!(log.len() < LOG_KEPT + 100);
        let mut short = "short".to_owned();
        shorten(&mut short);
        assert_eq!(short, "short");
    }
}
