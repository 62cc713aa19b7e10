//! The kernel's types: reading them from the other side, and finding kfuncs in them.

use std::sync::Arc;

use super::attr::{Attr, ENOENT, cmd, peeked, result, submit};
use crate::btf::{Btf, BtfError, Kind, at_u32};
use crate::sys::{Batch, Sys, SysError};

/// Where the kernel offers its own BTF.
pub const VMLINUX_PATH: &str = "/sys/kernel/btf/vmlinux";
/// Bytes read at a time.
const CHUNK: u64 = 256 << 10;
/// Reads in one batch.
const CHUNKS: usize = 8;
/// Largest BTF read, four times the kernel's own limit.
const BTF_MAX: usize = 64 << 20;
/// Ids asked for in one batch.
const IDS: u64 = 128;
/// Most BTF objects looked at.
const OBJECTS_MAX: usize = 4096;

/// The BTF of a loaded module.
#[derive(Debug, Clone)]
pub struct ModuleBtf {
    /// Name of the module.
    pub name: String,
    /// Its types, on top of vmlinux's.
    pub btf: Arc<Btf>,
    /// Id of the BTF object in the running kernel, for `BPF_BTF_GET_FD_BY_ID`.
    pub id: u32,
}

/// All types of a kernel.
#[derive(Debug, Clone, Default)]
pub struct KernelTypes {
    /// vmlinux; absent when the kernel has no BTF.
    pub vmlinux: Option<Arc<Btf>>,
    /// Loaded modules.
    pub modules: Vec<ModuleBtf>,
}

/// Where a kernel symbol was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelSymbol {
    /// Its BTF id; that of a module's symbol continues after vmlinux's last.
    pub id: u32,
    /// Index in [`KernelTypes::modules`], absent for vmlinux.
    pub module: Option<usize>,
}

impl KernelTypes {
    /// A function, in vmlinux first and then in the modules in their order.
    pub fn func(&self, name: &str) -> Option<KernelSymbol> {
        self.find(Kind::Func, name)
    }

    /// A variable.
    pub fn var(&self, name: &str) -> Option<KernelSymbol> {
        self.find(Kind::Var, name)
    }

    pub(crate) fn find(&self, kind: Kind, name: &str) -> Option<KernelSymbol> {
        if let Some(ty) = self.vmlinux.as_deref().and_then(|btf| btf.find(kind, name)) {
            return Some(KernelSymbol { id: ty.id, module: None });
        }
        self.modules.iter().enumerate().find_map(|(index, module)| {
            module.btf.find(kind, name).map(|ty| KernelSymbol { id: ty.id, module: Some(index) })
        })
    }

    /// A kfunc's C prototype, as this kernel has it.
    pub fn prototype(&self, name: &str) -> Option<String> {
        let symbol = self.func(name)?;
        match symbol.module {
            None => self.vmlinux.as_deref()?.prototype(symbol.id),
            Some(index) => self.modules.get(index)?.btf.prototype(symbol.id),
        }
    }
}

/// Reads the kernel's own BTF from sysfs, which must be mounted. `None` when the kernel offers none.
///
/// # Errors
/// When the other side is gone, or a read fails after the file could be opened.
pub fn read_vmlinux(sys: &mut dyn Sys) -> Result<Option<Vec<u8>>, SysError> {
    let nr = sys.target().syscalls.clone();
    let mut batch = Batch::new(sys.target());
    let path = batch.cstr(VMLINUX_PATH);
    // AT_FDCWD, O_RDONLY.
    batch.call(nr.openat, &[-100i64 as u64, path, 0, 0]);
    let fd = match result(&submit(sys, &batch)?, 0)? {
        Ok(fd) => fd,
        Err(ENOENT) => return Ok(None),
        Err(errno) => return Err(SysError::Protocol(format!("cannot open {VMLINUX_PATH} (errno {errno})"))),
    };
    let mut bytes = Vec::new();
    let outcome = read_to_end(sys, fd, &mut bytes);
    sys.call(nr.close, &[fd as u64])?;
    outcome?;
    Ok(Some(bytes))
}

fn read_to_end(sys: &mut dyn Sys, fd: i32, bytes: &mut Vec<u8>) -> Result<(), SysError> {
    let read = sys.target().syscalls.read;
    let chunk = CHUNK.min(sys.target().arena_len / 2);
    loop {
        let mut batch = Batch::new(sys.target());
        let buffer = batch.reserve(chunk);
        for _ in 0..CHUNKS {
            batch.call(read, &[fd as u64, buffer, chunk]);
            batch.peek(buffer, chunk);
        }
        let replies = submit(sys, &batch)?;
        for index in 0..CHUNKS {
            match result(&replies, index)? {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    let part = peeked(&replies, index)?.get(..n as usize);
                    bytes.extend(part.ok_or_else(|| SysError::Protocol("read() gave more than was asked for".into()))?);
                }
                Err(errno) => return Err(SysError::Protocol(format!("cannot read {VMLINUX_PATH} (errno {errno})"))),
            }
        }
        if bytes.len() > BTF_MAX {
            return Err(SysError::Protocol(format!("{VMLINUX_PATH} is larger than {BTF_MAX} bytes")));
        }
    }
}

/// A module whose BTF makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("the BTF of module {module}: {source}")]
pub struct ModuleBtfError {
    /// Name of the module.
    pub module: String,
    /// What is wrong.
    pub source: BtfError,
}

/// Reads the BTF of the loaded modules with these names, in this order; those that are not loaded or have none are left
/// out.
///
/// # Errors
/// When the other side is gone.
pub fn read_modules(
    sys: &mut dyn Sys,
    vmlinux: &Arc<Btf>,
    names: &[String],
) -> Result<Vec<Result<ModuleBtf, ModuleBtfError>>, SysError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let ids = all_ids(sys)?;
    let (bpf, close) = (sys.target().syscalls.bpf, sys.target().syscalls.close);
    let endian = sys.target().endian;
    let mut found = Vec::new();
    for ids in ids.chunks(IDS as usize) {
        let mut batch = Batch::new(sys.target());
        for &id in ids {
            Attr::new(endian, 12).u32(0, id).call(&mut batch, bpf, cmd::BTF_GET_FD_BY_ID);
        }
        let replies = submit(sys, &batch)?;
        let mut open = Vec::new();
        for (index, &id) in ids.iter().enumerate() {
            // One that vanished in between is none of ours.
            if let Ok(fd) = result(&replies, index)? {
                open.push((id, fd));
            }
        }
        let infos = infos(sys, &open)?;
        let mut keep = Vec::new();
        for ((id, fd), info) in open.iter().zip(infos) {
            if let Some((name, size)) = info.filter(|(name, _)| names.contains(name)) {
                keep.push((*id, *fd, name, size));
            }
        }
        for (id, fd, name, size) in keep {
            if let Some(bytes) = blob(sys, fd, size)? {
                found.push((name, id, bytes));
            }
        }
        let mut batch = Batch::new(sys.target());
        open.iter().for_each(|(_, fd)| batch.call(close, &[*fd as u64]));
        submit(sys, &batch)?;
    }
    let mut modules = Vec::new();
    for name in names {
        if let Some((_, id, bytes)) = found.iter().find(|(n, _, _)| n == name) {
            modules.push(match Btf::parse_split(bytes, vmlinux.clone()) {
                Ok(btf) => Ok(ModuleBtf { name: name.clone(), btf: Arc::new(btf), id: *id }),
                Err(source) => Err(ModuleBtfError { module: name.clone(), source }),
            });
        }
    }
    Ok(modules)
}

/// Ids of every BTF object. `start_id` and `next_id` are neighbours, so attributes that overlap by one word make each
/// call begin where the last one ended, and one batch asks for many.
fn all_ids(sys: &mut dyn Sys) -> Result<Vec<u32>, SysError> {
    let (bpf, endian) = (sys.target().syscalls.bpf, sys.target().endian);
    let mut ids: Vec<u32> = Vec::new();
    while ids.len() < OBJECTS_MAX {
        let mut batch = Batch::new(sys.target());
        let mut words = vec![0u8; 4 * (IDS as usize + 1)];
        words[..4].copy_from_slice(&match endian {
            crate::arch::Endian::Little => ids.last().copied().unwrap_or(0).to_le_bytes(),
            crate::arch::Endian::Big => ids.last().copied().unwrap_or(0).to_be_bytes(),
        });
        let at = batch.bytes(words);
        for index in 0..IDS {
            batch.call(bpf, &[cmd::BTF_GET_NEXT_ID, at + 4 * index, 8]);
        }
        batch.peek(at + 4, 4 * IDS);
        let replies = submit(sys, &batch)?;
        let words = peeked(&replies, 0)?;
        for index in 0..IDS as usize {
            match (result(&replies, index)?, at_u32(endian, words, 4 * index)) {
                (Ok(_), Some(id)) if ids.last().is_none_or(|&last| id > last) => ids.push(id),
                _ => return Ok(ids),
            }
        }
    }
    Ok(ids)
}

/// `struct bpf_btf_info` of each: name and size of those that are the kernel's own.
fn infos(sys: &mut dyn Sys, fds: &[(u32, i32)]) -> Result<Vec<Option<(String, u32)>>, SysError> {
    const NAME: u64 = 64;
    let (bpf, endian) = (sys.target().syscalls.bpf, sys.target().endian);
    let mut batch = Batch::new(sys.target());
    for (_, fd) in fds {
        let name = batch.zeroed(NAME);
        let mut info = Vec::new();
        // btf 0, btf_size 8, id 12, name 16, name_len 24, kernel_btf 28.
        for word in [0, 0, 0, 0] {
            crate::btf::put_u32(endian, &mut info, word);
        }
        crate::btf::put_u64(endian, &mut info, name);
        crate::btf::put_u32(endian, &mut info, NAME as u32);
        crate::btf::put_u32(endian, &mut info, 0);
        let info = batch.bytes(info);
        Attr::new(endian, 16).fd(0, *fd).u32(4, 32).u64(8, info).call(&mut batch, bpf, cmd::OBJ_GET_INFO_BY_FD);
        batch.peek(info, 32);
        batch.peek(name, NAME);
    }
    let replies = submit(sys, &batch)?;
    let mut out = Vec::new();
    for index in 0..fds.len() {
        let info = peeked(&replies, 2 * index)?;
        let name = peeked(&replies, 2 * index + 1)?;
        let name = name.split(|&b| b == 0).next().unwrap_or_default();
        let is_kernel = at_u32(endian, info, 28) == Some(1);
        let size = at_u32(endian, info, 8).filter(|_| is_kernel && result(&replies, index).is_ok_and(|r| r.is_ok()));
        out.push(size.map(|size| (String::from_utf8_lossy(name).into_owned(), size)));
    }
    Ok(out)
}

/// The BTF behind a fd.
fn blob(sys: &mut dyn Sys, fd: i32, size: u32) -> Result<Option<Vec<u8>>, SysError> {
    let (bpf, endian) = (sys.target().syscalls.bpf, sys.target().endian);
    let mut batch = Batch::new(sys.target());
    let buffer = batch.reserve(u64::from(size));
    let mut info = Vec::new();
    crate::btf::put_u64(endian, &mut info, buffer);
    crate::btf::put_u32(endian, &mut info, size);
    info.resize(32, 0);
    let info = batch.bytes(info);
    Attr::new(endian, 16).fd(0, fd).u32(4, 32).u64(8, info).call(&mut batch, bpf, cmd::OBJ_GET_INFO_BY_FD);
    batch.peek(buffer, u64::from(size));
    let replies = submit(sys, &batch)?;
    Ok(match result(&replies, 0)? {
        Ok(_) => Some(peeked(&replies, 0)?.to_vec()),
        Err(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys_local::LocalSys;

    /// vmlinux's BTF object is found the way a module's is, and has the bytes of the file in sysfs.
    #[test]
    fn here_btf_objects_are_listed_and_read() {
        let mut sys = LocalSys::new();
        let Some(file) = read_vmlinux(&mut sys).unwrap() else {
            eprintln!("not run: this machine's kernel has no BTF");
            return;
        };
        let ids = all_ids(&mut sys).unwrap();
        if ids.is_empty() {
            eprintln!("not run: bpf(2) lists no BTF objects here; root is needed");
            return;
        }
        assert!(ids.is_sorted());
        let (bpf, close, endian) = (sys.target().syscalls.bpf, sys.target().syscalls.close, sys.target().endian);
        let mut found = None;
        for id in ids {
            let mut batch = Batch::new(sys.target());
            Attr::new(endian, 12).u32(0, id).call(&mut batch, bpf, cmd::BTF_GET_FD_BY_ID);
            let Ok(fd) = result(&sys.submit(&batch).unwrap(), 0).unwrap() else { continue };
            if let Some((name, size)) = infos(&mut sys, &[(id, fd)]).unwrap().remove(0)
                && name == "vmlinux"
            {
                found = blob(&mut sys, fd, size).unwrap();
            }
            sys.call(close, &[fd as u64]).unwrap();
        }
        assert!(found.is_some_and(|bytes| bytes == file));
    }

    #[test]
    fn here_no_such_module() {
        let mut sys = LocalSys::new();
        let Some(file) = read_vmlinux(&mut sys).unwrap() else { return };
        let vmlinux = Arc::new(Btf::parse(&file).unwrap());
        assert!(read_modules(&mut sys, &vmlinux, &["no_such_module".into()]).unwrap().is_empty());
    }
}
