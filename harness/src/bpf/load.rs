//! Getting a program of an object into the kernel: everything it needs, in few round trips, nothing left behind on failure.
//!
//! 1. the object's BTF and the fds of module BTF, 2. maps, 3. maps of maps, 4. contents of maps and the programs,
//! 5. entries that hold programs, and attachments. A step that has nothing to do takes no round trip.

use super::attr::{Attr, cmd, peeked, result, submit};
use super::error::LoadError;
use super::insn::{Insn, LD_IMM64, PSEUDO_BTF_ID, PSEUDO_KFUNC_CALL, PSEUDO_MAP_FD, PSEUDO_MAP_VALUE};
use super::kernel::KernelTypes;
use super::map::{MapDef, Slot, kind};
use super::object::{Object, Reference};
use super::plan::{Plan, Planned, find_extern};
use super::progbtf;
use super::program::{F_SLEEPABLE, LoadResult, RawProgram, explain};
use super::section::{AttachTarget, ProgSpec, ProgType};
use crate::arch::{Endian, WordSize};
use crate::sys::{Batch, Sys, SysError};

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Level of the log taken when the kernel refuses: 1, 2 for every state, 0 for none.
    pub log_level: u32,
    /// More `BPF_F_*` for every program.
    pub flags: u32,
    /// A licence instead of the object's.
    pub license: Option<String>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { log_level: 1, flags: 0, license: None }
    }
}

/// A program in the kernel, with all that belongs to it. The fds are on the other side: [`Loaded::close`] must be called.
#[derive(Debug)]
#[must_use = "its file descriptors are on the other side and stay open until `close`"]
pub struct Loaded {
    /// The program's name.
    pub name: String,
    /// Its fd.
    pub fd: i32,
    /// How it was loaded.
    pub spec: ProgSpec,
    pub(super) endian: Endian,
    pub(super) maps: Vec<LoadedMap>,
    /// Everything to be closed, in the order of opening.
    fds: Vec<i32>,
}

/// A map in the kernel.
#[derive(Debug, Clone)]
pub(super) struct LoadedMap {
    pub name: String,
    pub fd: i32,
    pub value_size: u32,
    pub initial: Vec<u8>,
    pub is_data: bool,
}

/// Loads a program, the programs it has attached or tail calls, and their maps, and attaches what its tags name.
///
/// # Errors
/// See [`LoadError`]; everything opened until then is closed.
pub fn load(
    sys: &mut dyn Sys,
    object: &Object,
    program: &str,
    kernel: &KernelTypes,
    options: &LoadOptions,
) -> Result<Loaded, LoadError> {
    let plan = Plan::new(object, program, kernel, sys.target().word)?;
    let mut session =
        Session { object, kernel, options, plan, fds: Vec::new(), map_fds: vec![None; object.maps.len()] };
    match session.run(sys) {
        Ok(loaded) => Ok(loaded),
        Err(error) => {
            // Should the guest be gone, its fds are gone with it and the first error is the one that counts.
            let _ = close_all(sys, &session.fds);
            Err(error)
        }
    }
}

/// The instructions of a program as [`load`] gives them to a kernel with these types, but for the fds of maps: a map's is its
/// place in the names that come with them, from 1. Touches no kernel.
///
/// # Errors
/// When the object makes no sense or the kernel lacks a kfunc.
pub fn instructions(
    object: &Object,
    program: &str,
    kernel: &KernelTypes,
    word: WordSize,
) -> Result<(Vec<Insn>, Vec<String>), LoadError> {
    let plan = Plan::new(object, program, kernel, word)?;
    let modules: Vec<(usize, i32)> = plan.modules.iter().zip(1..).map(|(&module, fd)| (module, fd)).collect();
    let mut map_fds = vec![None; object.maps.len()];
    plan.maps.iter().zip(1..).for_each(|(&map, fd)| map_fds[map] = Some(fd));
    let names = plan.maps.iter().map(|&map| object.maps[map].name.clone()).collect();
    let mut session = Session { object, kernel, options: &LoadOptions::default(), plan, fds: Vec::new(), map_fds };
    let planned = session.plan.programs.swap_remove(0);
    Ok((session.raw(&planned, 0, &modules).insns, names))
}

pub(super) fn close_all(sys: &mut dyn Sys, fds: &[i32]) -> Result<(), SysError> {
    let close = sys.target().syscalls.close;
    for chunk in fds.rchunks(256) {
        let mut batch = Batch::new(sys.target());
        chunk.iter().rev().for_each(|&fd| batch.call(close, &[fd as u64]));
        submit(sys, &batch)?;
    }
    Ok(())
}

struct Session<'a> {
    object: &'a Object,
    kernel: &'a KernelTypes,
    options: &'a LoadOptions,
    plan: Plan,
    /// Everything opened.
    fds: Vec<i32>,
    /// fd of each map of the object.
    map_fds: Vec<Option<i32>>,
}

impl Session<'_> {
    fn run(&mut self, sys: &mut dyn Sys) -> Result<Loaded, LoadError> {
        let (btf_fd, module_fds) = self.load_btf(sys)?;
        self.create_maps(sys, btf_fd)?;
        let programs = self.load_programs(sys, btf_fd, &module_fds)?;
        self.connect(sys, &programs)?;
        let maps = self.plan.maps.iter().filter_map(|&index| {
            let def = &self.object.maps[index];
            Some(LoadedMap {
                name: def.name.clone(),
                fd: self.map_fds[index]?,
                value_size: def.value_size,
                initial: def.initial.clone(),
                is_data: def.is_data(),
            })
        });
        let main = &self.plan.programs[0];
        Ok(Loaded {
            name: main.name.clone(),
            fd: programs[0],
            spec: main.spec.clone(),
            endian: self.object.endian,
            maps: maps.collect(),
            fds: std::mem::take(&mut self.fds),
        })
    }

    /// Takes the fd that a call returned.
    fn opened(&mut self, reply: Result<i32, i32>, what: impl Fn() -> String) -> Result<i32, LoadError> {
        match reply {
            Ok(fd) => {
                self.fds.push(fd);
                Ok(fd)
            }
            Err(errno) => Err(LoadError::Setup { what: what(), errno, log: String::new() }),
        }
    }

    fn load_btf(&mut self, sys: &mut dyn Sys) -> Result<(i32, Vec<(usize, i32)>), LoadError> {
        let target = sys.target().clone();
        let (bpf, endian) = (target.syscalls.bpf, target.endian);
        let blob = &self.object.kernel_btf;
        let mut batch = Batch::new(&target);
        let at = batch.bytes(blob.clone());
        Attr::new(endian, 28).u64(0, at).u32(16, blob.len() as u32).call(&mut batch, bpf, cmd::BTF_LOAD);
        for &module in &self.plan.modules {
            let id = self.kernel.modules[module].id;
            Attr::new(endian, 12).u32(0, id).call(&mut batch, bpf, cmd::BTF_GET_FD_BY_ID);
        }
        let replies = submit(sys, &batch)?;
        // All that was opened is taken before the first failure is looked at, so that it is closed.
        let btf = result(&replies, 0)?;
        let mut modules = Vec::new();
        let btf_fd = self.opened(btf, || "the object's BTF".into());
        for (index, &module) in self.plan.modules.clone().iter().enumerate() {
            let name = &self.kernel.modules[module].name;
            let fd = self.opened(result(&replies, 1 + index)?, || format!("opening the BTF of module {name}"));
            modules.push(fd.map(|fd| (module, fd)));
        }
        let modules = modules.into_iter().collect::<Result<Vec<_>, _>>()?;
        match btf_fd {
            Ok(fd) => Ok((fd, modules)),
            Err(LoadError::Setup { what, errno, .. }) => Ok((self.load_old_btf(sys, what, errno)?, modules)),
            Err(other) => Err(other),
        }
    }

    /// The object's BTF was refused: the kernel may be too old for parts of it. If that is not it, the kernel says why.
    fn load_old_btf(&mut self, sys: &mut dyn Sys, what: String, errno: i32) -> Result<i32, LoadError> {
        const LOG: u64 = 16 << 10;
        let target = sys.target().clone();
        let blob = progbtf::for_old_kernel(&self.object.kernel_btf);
        let blob = blob.as_ref().unwrap_or(&self.object.kernel_btf);
        let mut batch = Batch::new(&target);
        let at = batch.bytes(blob.clone());
        let log = batch.zeroed(LOG);
        Attr::new(target.endian, 28)
            .u64(0, at)
            .u64(8, log)
            .u32(16, blob.len() as u32)
            .u32(20, LOG as u32)
            .u32(24, 1)
            .call(&mut batch, target.syscalls.bpf, cmd::BTF_LOAD);
        batch.peek(log, LOG);
        let replies = submit(sys, &batch)?;
        match result(&replies, 0)? {
            Ok(fd) => {
                self.fds.push(fd);
                Ok(fd)
            }
            Err(_) => {
                let text = peeked(&replies, 0)?.split(|&b| b == 0).next().unwrap_or_default();
                Err(LoadError::Setup { what, errno, log: String::from_utf8_lossy(text).into_owned() })
            }
        }
    }

    fn create_maps(&mut self, sys: &mut dyn Sys, btf_fd: i32) -> Result<(), LoadError> {
        let object = self.object;
        let is_outer = |index: &usize| matches!(object.maps[*index].map_type, kind::ARRAY_OF_MAPS | kind::HASH_OF_MAPS);
        let (outer, plain): (Vec<usize>, Vec<usize>) = self.plan.maps.iter().copied().partition(is_outer);
        let templates: Vec<&MapDef> = outer.iter().filter_map(|&i| object.maps[i].inner.as_deref()).collect();
        let first: Vec<(&MapDef, i32)> =
            plain.iter().map(|&i| (&object.maps[i], 0)).chain(templates.iter().map(|def| (*def, 0))).collect();
        let fds = self.create(sys, &first, btf_fd)?;
        plain.iter().zip(&fds).for_each(|(&index, &fd)| self.map_fds[index] = Some(fd));
        let second: Vec<(&MapDef, i32)> =
            outer.iter().zip(&fds[plain.len()..]).map(|(&i, &inner)| (&object.maps[i], inner)).collect();
        let fds = self.create(sys, &second, btf_fd)?;
        outer.iter().zip(&fds).for_each(|(&index, &fd)| self.map_fds[index] = Some(fd));
        Ok(())
    }

    fn create(&mut self, sys: &mut dyn Sys, maps: &[(&MapDef, i32)], btf_fd: i32) -> Result<Vec<i32>, LoadError> {
        if maps.is_empty() {
            return Ok(Vec::new());
        }
        let target = sys.target().clone();
        let mut batch = Batch::new(&target);
        for (def, inner) in maps {
            let mut attr = Attr::new(target.endian, 72)
                .u32(0, def.map_type)
                .u32(4, def.key_size)
                .u32(8, def.value_size)
                .u32(12, def.max_entries)
                .u32(16, def.flags)
                .fd(20, *inner)
                .name(28, &def.name)
                .u64(64, def.extra);
            if def.key_type != 0 || def.value_type != 0 {
                attr = attr.fd(48, btf_fd).u32(52, def.key_type).u32(56, def.value_type);
            }
            attr.call(&mut batch, target.syscalls.bpf, cmd::MAP_CREATE);
        }
        let replies = submit(sys, &batch)?;
        let mut fds = Vec::new();
        for (index, (def, _)) in maps.iter().enumerate() {
            fds.push(self.opened(result(&replies, index)?, || format!("map {}", def.name)));
        }
        fds.into_iter().collect()
    }

    /// Contents of data sections, then every program; those refused are loaded again with a log.
    fn load_programs(
        &mut self,
        sys: &mut dyn Sys,
        btf_fd: i32,
        modules: &[(usize, i32)],
    ) -> Result<Vec<i32>, LoadError> {
        let target = sys.target().clone();
        let mut batch = Batch::new(&target);
        let mut calls = Vec::new();
        for &index in &self.plan.maps {
            let (def, Some(fd)) = (&self.object.maps[index], self.map_fds[index]) else { continue };
            if !def.initial.is_empty() {
                update(&mut batch, &target, fd, &[0; 4], &def.initial);
                calls.push(format!("the contents of {}", def.name));
            }
            for (slot, entry) in &def.slots {
                if let Slot::Map(inner) = entry
                    && let Some(inner) = self.map_fds[*inner]
                {
                    update(&mut batch, &target, fd, &word(target.endian, *slot), &word(target.endian, inner as u32));
                    calls.push(format!("entry {slot} of map {}", def.name));
                }
            }
            if def.frozen {
                Attr::new(target.endian, 4).fd(0, fd).call(&mut batch, target.syscalls.bpf, cmd::MAP_FREEZE);
                calls.push(format!("freezing {}", def.name));
            }
        }
        let raw: Vec<RawProgram> = self.plan.programs.iter().map(|p| self.raw(p, btf_fd, modules)).collect();
        for program in &raw {
            program.load(&mut batch, &target, 0, 0);
        }
        let replies = submit(sys, &batch)?;
        let mut loads = Vec::new();
        for (index, program) in raw.iter().enumerate() {
            let reply = result(&replies, calls.len() + index)?;
            if let Ok(fd) = reply {
                self.fds.push(fd);
            }
            loads.push((program, reply));
        }
        for (index, what) in calls.iter().enumerate() {
            if let Err(errno) = result(&replies, index)? {
                return Err(LoadError::Setup { what: what.clone(), errno, log: String::new() });
            }
        }
        let mut fds = Vec::new();
        for (program, reply) in loads {
            let again = match reply {
                Ok(fd) => LoadResult::Loaded(fd),
                Err(errno) => explain(sys, program, errno, self.options.log_level)?,
            };
            match again {
                LoadResult::Loaded(fd) => {
                    if reply.is_err() {
                        self.fds.push(fd);
                    }
                    fds.push(fd);
                }
                LoadResult::Refused { errno, log } => {
                    return Err(LoadError::Refused { program: program.name.clone(), errno, log });
                }
            }
        }
        Ok(fds)
    }

    fn raw(&self, program: &Planned, btf_fd: i32, modules: &[(usize, i32)]) -> RawProgram {
        let mut insns = program.linked.insns.clone();
        let mut fd_array = Vec::new();
        for fixup in &program.linked.fixups {
            self.fix(&mut insns, fixup.at, fixup.what, modules, &mut fd_array);
        }
        let attach_module = program.attach.and_then(|symbol| symbol.module);
        RawProgram {
            name: program.name.clone(),
            prog_type: program.spec.prog_type,
            insns,
            license: self.options.license.clone().unwrap_or_else(|| self.object.license.clone()),
            flags: self.options.flags | if program.spec.sleepable { F_SLEEPABLE } else { 0 },
            attach_type: program.spec.attach_type,
            attach_btf_id: program.attach.map_or(0, |symbol| symbol.id),
            attach_btf_fd: attach_module.and_then(|m| module_fd(modules, m)).unwrap_or(0),
            btf_fd: Some(btf_fd),
            func_info: program.linked.func_info(self.object),
            line_info: program.linked.line_info(self.object),
            fd_array,
        }
    }

    /// Fills in what only the running kernel knows.
    fn fix(&self, insns: &mut [Insn], at: usize, what: Reference, modules: &[(usize, i32)], fd_array: &mut Vec<i32>) {
        let low = insns[at].imm;
        let (src, imm, high) = match what {
            Reference::Code { .. } => return,
            Reference::Map(map) => (PSEUDO_MAP_FD, self.map_fds[map].unwrap_or(-1), 0),
            Reference::Data { map, offset } => {
                // The place in the section is split between symbol and immediate.
                let offset = offset.wrapping_add(i64::from(low) as u64);
                (PSEUDO_MAP_VALUE, self.map_fds[map].unwrap_or(-1), offset as u32 as i32)
            }
            Reference::Extern(index) => {
                let wanted = &self.object.externs[index];
                let symbol = find_extern(self.kernel, wanted.is_func, &wanted.name);
                let fd = symbol.and_then(|s| s.module).and_then(|m| module_fd(modules, m));
                if insns[at].code == LD_IMM64 {
                    match symbol {
                        Some(symbol) => (PSEUDO_BTF_ID, symbol.id as i32, fd.unwrap_or(0)),
                        None => (0, 0, 0),
                    }
                } else {
                    let slot = fd.map_or(0, |fd| slot(fd_array, fd));
                    // An unresolved weak one is id 0: refused only if the call can be reached.
                    let id = symbol.map_or(0, |symbol| symbol.id as i32);
                    insns[at] = Insn { src: PSEUDO_KFUNC_CALL, off: slot, imm: id, ..insns[at] };
                    return;
                }
            }
        };
        insns[at].src = src;
        insns[at].imm = imm;
        if let Some(second) = insns.get_mut(at + 1) {
            second.imm = high;
        }
    }

    /// Entries of program arrays, and attachments.
    fn connect(&mut self, sys: &mut dyn Sys, programs: &[i32]) -> Result<(), LoadError> {
        let target = sys.target().clone();
        let mut batch = Batch::new(&target);
        let mut calls = Vec::new();
        let fd_of = |name: &str| self.plan.programs.iter().position(|p| p.name == name).map(|index| programs[index]);
        for &index in &self.plan.maps {
            let (def, Some(fd)) = (&self.object.maps[index], self.map_fds[index]) else { continue };
            if def.map_type != kind::PROG_ARRAY {
                continue;
            }
            for (slot, entry) in &def.slots {
                let Slot::Program(name) = entry else { continue };
                let Some(program) = fd_of(name) else { continue };
                update(&mut batch, &target, fd, &word(target.endian, *slot), &word(target.endian, program as u32));
                calls.push((format!("entry {slot} of map {}", def.name), false));
            }
        }
        // A tracing program runs by being attached; BPF_PROG_TEST_RUN only makes its function be called.
        let main = &self.plan.programs[0];
        let own = (main.spec.prog_type == ProgType::Tracing).then(|| main.name.clone());
        for name in self.plan.attach.iter().chain(&own) {
            let Some(index) = self.plan.programs.iter().position(|p| p.name == *name) else { continue };
            let tracepoint = match &self.plan.programs[index].spec.target {
                AttachTarget::RawTracepoint(tracepoint) => batch.cstr(tracepoint),
                AttachTarget::Function(_) | AttachTarget::BtfTracepoint(_) => 0,
                AttachTarget::None => {
                    let what = format!("attaching {name}: its section names nothing to attach it to");
                    return Err(LoadError::Setup { what, errno: 0, log: String::new() });
                }
            };
            Attr::new(target.endian, 16).u64(0, tracepoint).fd(8, programs[index]).call(
                &mut batch,
                target.syscalls.bpf,
                cmd::RAW_TRACEPOINT_OPEN,
            );
            calls.push((format!("attaching program {name}"), true));
        }
        if calls.is_empty() {
            return Ok(());
        }
        let replies = submit(sys, &batch)?;
        let mut failed = None;
        for (index, (what, opens)) in calls.into_iter().enumerate() {
            match result(&replies, index)? {
                Ok(fd) if opens => self.fds.push(fd),
                Ok(_) => {}
                Err(errno) => failed = failed.or(Some(LoadError::Setup { what, errno, log: String::new() })),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

fn module_fd(modules: &[(usize, i32)], module: usize) -> Option<i32> {
    modules.iter().find(|(index, _)| *index == module).map(|(_, fd)| *fd)
}

/// The slot of a module's BTF fd in `fd_array`. Slot 0 means vmlinux and cannot be used.
fn slot(fd_array: &mut Vec<i32>, fd: i32) -> i16 {
    if fd_array.is_empty() {
        fd_array.push(0);
    }
    let found = fd_array.iter().skip(1).position(|&other| other == fd).map(|index| index + 1);
    let index = found.unwrap_or_else(|| {
        fd_array.push(fd);
        fd_array.len() - 1
    });
    index as i16
}

fn word(endian: Endian, value: u32) -> [u8; 4] {
    match endian {
        Endian::Little => value.to_le_bytes(),
        Endian::Big => value.to_be_bytes(),
    }
}

/// Adds `BPF_MAP_UPDATE_ELEM` to a batch.
pub(super) fn update(batch: &mut Batch, target: &crate::sys::Target, fd: i32, key: &[u8], value: &[u8]) {
    let key = batch.bytes(key);
    let value = batch.bytes(value);
    let attr = Attr::new(target.endian, 32).fd(0, fd).u64(8, key).u64(16, value);
    attr.call(batch, target.syscalls.bpf, cmd::MAP_UPDATE_ELEM);
}

impl Loaded {
    /// Closes everything.
    ///
    /// # Errors
    /// When the other side is gone, and its fds with it.
    pub fn close(self, sys: &mut dyn Sys) -> Result<(), SysError> {
        close_all(sys, &self.fds)
    }

    /// Name and fd of each of its maps, data sections included.
    pub fn maps(&self) -> impl Iterator<Item = (&str, i32)> {
        self.maps.iter().map(|map| (map.name.as_str(), map.fd))
    }
}
