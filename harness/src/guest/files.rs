//! What the host does in a guest besides BPF: read and write files, mount, load modules, follow the kernel's log.
//! Everything is system calls through [`Sys`]; a result's `Err` is an errno, infrastructure is [`SysError`].

use crate::sys::{Batch, Sys, SysError, one_call};

use super::console::clean;

/// An errno, positive.
pub type Errno = i32;

const AT_FDCWD: u64 = (-100i64).cast_unsigned();
const O_WRONLY: u64 = 1;
const O_NONBLOCK: u64 = 0o4000;
const EPIPE: Errno = 32;
/// Files in sysfs and procfs give at most a page per read.
const PAGE: u64 = 4096;
/// Longest file the harness reads from a guest: vmlinux BTF is about 6 MiB.
const FILE_LIMIT: usize = 64 << 20;

fn errno(result: i64) -> Result<u64, Errno> {
    u64::try_from(result).map_err(|_| i32::try_from(-result).unwrap_or(i32::MAX))
}

/// Opens a file.
///
/// # Errors
/// [`SysError`] outside, errno inside.
pub fn open(sys: &mut dyn Sys, path: &str, flags: u64) -> Result<Result<u64, Errno>, SysError> {
    let mut batch = Batch::new(sys.target());
    let name = batch.cstr(path);
    batch.call(sys.target().syscalls.openat, &[AT_FDCWD, name, flags, 0]);
    Ok(errno(one_call(&sys.submit(&batch)?)?))
}

/// Closes a descriptor.
///
/// # Errors
/// [`SysError`].
pub fn close(sys: &mut dyn Sys, fd: u64) -> Result<(), SysError> {
    let nr = sys.target().syscalls.close;
    sys.call(nr, &[fd]).map(drop)
}

/// Reads a whole file, many pages in a batch.
///
/// # Errors
/// [`SysError`] outside, errno inside.
pub fn read(sys: &mut dyn Sys, path: &str) -> Result<Result<Vec<u8>, Errno>, SysError> {
    let fd = match open(sys, path, 0)? {
        Ok(fd) => fd,
        Err(errno) => return Ok(Err(errno)),
    };
    let nr = sys.target().syscalls.read;
    let (mut content, mut reads, mut end) = (Vec::new(), 2u64, Ok(()));
    while content.len() < FILE_LIMIT {
        let mut batch = Batch::new(sys.target());
        let pages: Vec<u64> = (0..reads).map(|_| batch.reserve(PAGE)).collect();
        pages.iter().for_each(|page| batch.call(nr, &[fd, *page, PAGE]));
        let results = sys.submit(&batch)?.calls;
        // Only what was read is transferred: a UART carries 200 KiB a second.
        let mut batch = Batch::new(sys.target());
        for (result, page) in results.iter().zip(&pages) {
            match errno(*result) {
                Ok(0) => break,
                Ok(n) => batch.peek(*page, n.min(PAGE)),
                Err(errno) => {
                    end = Err(errno);
                    break;
                }
            }
        }
        if !batch.ops().is_empty() {
            content.extend(sys.submit(&batch)?.peeks.concat());
        }
        if results.iter().any(|result| *result <= 0) {
            break;
        }
        // A small file takes two round trips, a large one few.
        reads = (reads * 8).min(512);
    }
    close(sys, fd)?;
    Ok(end.map(|()| content))
}

/// Reads a small text file without its line end.
///
/// # Errors
/// As [`read`].
pub fn read_text(sys: &mut dyn Sys, path: &str) -> Result<Result<String, Errno>, SysError> {
    Ok(read(sys, path)?.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

/// Writes a small file in one go.
///
/// # Errors
/// [`SysError`] outside, errno inside.
pub fn write(sys: &mut dyn Sys, path: &str, text: &str) -> Result<Result<(), Errno>, SysError> {
    let fd = match open(sys, path, O_WRONLY)? {
        Ok(fd) => fd,
        Err(errno) => return Ok(Err(errno)),
    };
    let mut batch = Batch::new(sys.target());
    let bytes = batch.bytes(text);
    batch.call(sys.target().syscalls.write, &[fd, bytes, text.len() as u64]);
    let written = one_call(&sys.submit(&batch)?)?;
    close(sys, fd)?;
    Ok(errno(written).map(drop))
}

/// Mounts a file system that needs no device, making the directory first.
///
/// # Errors
/// [`SysError`] outside, errno inside.
pub fn mount(sys: &mut dyn Sys, kind: &str, at: &str) -> Result<Result<(), Errno>, SysError> {
    let mut batch = Batch::new(sys.target());
    let (kind, at) = (batch.cstr(kind), batch.cstr(at));
    batch.call(sys.target().syscalls.mkdirat, &[AT_FDCWD, at, 0o755]);
    batch.call(sys.target().syscalls.mount, &[kind, at, kind, 0, 0]);
    let replies = sys.submit(&batch)?;
    Ok(errno(replies.calls.get(1).copied().ok_or_else(|| SysError::Protocol("no result of mount".into()))?).map(drop))
}

/// `uname -r` and `uname -m`.
///
/// # Errors
/// [`SysError`].
pub fn uname(sys: &mut dyn Sys) -> Result<(String, String), SysError> {
    /// `struct new_utsname` (include/uapi/linux/utsname.h): six fields of 65 bytes.
    const FIELD: usize = 65;
    let mut batch = Batch::new(sys.target());
    let at = batch.zeroed(6 * FIELD as u64);
    batch.call(sys.target().syscalls.newuname, &[at]);
    batch.peek(at, 6 * FIELD as u64);
    let replies = sys.submit(&batch)?;
    let fields = replies.peeks.first().ok_or_else(|| SysError::Protocol("no reply to uname".into()))?;
    let field = |index: usize| {
        let bytes = &fields[index * FIELD..(index + 1) * FIELD];
        clean(&String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()))
    };
    Ok((field(2), field(4)))
}

/// Loads a kernel module from its decompressed bytes, through a memory file. Loaded already is success.
///
/// # Errors
/// [`SysError`] outside, errno inside.
pub fn load_module(sys: &mut dyn Sys, name: &str, bytes: &[u8]) -> Result<Result<(), Errno>, SysError> {
    const EEXIST: i32 = 17;
    let calls = sys.target().syscalls.clone();
    let mut batch = Batch::new(sys.target());
    let path = batch.cstr(name);
    batch.call(calls.memfd_create, &[path, 0]);
    let fd = match errno(one_call(&sys.submit(&batch)?)?) {
        Ok(fd) => fd,
        Err(errno) => return Ok(Err(errno)),
    };
    for piece in bytes.chunks(1 << 20) {
        let mut batch = Batch::new(sys.target());
        let at = batch.bytes(piece);
        batch.call(calls.write, &[fd, at, piece.len() as u64]);
        match errno(one_call(&sys.submit(&batch)?)?) {
            Ok(n) if n == piece.len() as u64 => {}
            Ok(_) => return Ok(Err(28)), // ENOSPC: a memory file takes all or nothing, unless memory ran out
            Err(errno) => return Ok(Err(errno)),
        }
    }
    let mut batch = Batch::new(sys.target());
    let parameters = batch.cstr("");
    batch.call(calls.finit_module, &[fd, parameters, 0]);
    let loaded = errno(one_call(&sys.submit(&batch)?)?);
    close(sys, fd)?;
    Ok(match loaded {
        Ok(_) | Err(EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    })
}

/// The kernel's log from now on, record by record, without waiting: unlike the console it is complete and in step
/// with system calls, so a record belongs to the case during which it appeared.
#[derive(Debug)]
pub struct KernelLog {
    fd: u64,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Cleaned text.
    pub text: String,
}

impl KernelLog {
    /// Opens the log at its end.
    ///
    /// # Errors
    /// [`SysError`] outside, errno inside.
    pub fn open(sys: &mut dyn Sys) -> Result<Result<Self, Errno>, SysError> {
        let fd = match open(sys, "/dev/kmsg", O_NONBLOCK)? {
            Ok(fd) => fd,
            Err(errno) => return Ok(Err(errno)),
        };
        // SEEK_END: behind the last record (Documentation/ABI/testing/dev-kmsg).
        let lseek = sys.target().syscalls.lseek;
        sys.call(lseek, &[fd, 0, 2])?;
        Ok(Ok(Self { fd }))
    }

    /// All records since the last call, at most [`LOG_LIMIT`].
    ///
    /// # Errors
    /// [`SysError`].
    pub fn read(&mut self, sys: &mut dyn Sys) -> Result<News, SysError> {
        /// `CONSOLE_EXT_LOG_MAX` (kernel/printk): longest record.
        const RECORD: u64 = 8192;
        let nr = sys.target().syscalls.read;
        let (mut news, mut reads) = (News::default(), 1u64);
        while news.records.len() < LOG_LIMIT {
            let mut batch = Batch::new(sys.target());
            let places: Vec<u64> = (0..reads).map(|_| batch.reserve(RECORD)).collect();
            places.iter().for_each(|at| batch.call(nr, &[self.fd, *at, RECORD]));
            let results = sys.submit(&batch)?.calls;
            // Mostly there is nothing, and then nothing is transferred.
            let mut batch = Batch::new(sys.target());
            let mut at_end = false;
            for (result, at) in results.iter().zip(&places) {
                match errno(*result) {
                    Ok(n) => batch.peek(*at, n.min(RECORD)),
                    // Overwritten before it was read: the next read goes on with the oldest that is left.
                    Err(EPIPE) => news.incomplete = true,
                    Err(_) => at_end = true,
                }
            }
            if !batch.ops().is_empty() {
                news.records.extend(sys.submit(&batch)?.peeks.iter().filter_map(|bytes| record(bytes)));
            }
            if at_end {
                return Ok(news);
            }
            reads = (reads * 4).min(64);
        }
        // A kernel that logs faster than it can be read is not waited for.
        news.incomplete = true;
        Ok(news)
    }
}

/// What the log had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Records in order.
    pub records: Vec<Record>,
    /// Some are missing: a splat may be among them.
    pub incomplete: bool,
}

/// Most records taken at once.
const LOG_LIMIT: usize = 4096;

/// `level,sequence,microseconds,flags;text\n KEY=value…` (Documentation/ABI/testing/dev-kmsg).
fn record(bytes: &[u8]) -> Option<Record> {
    let text = String::from_utf8_lossy(bytes);
    let (prefix, text) = text.split_once(';')?;
    let priority: u32 = prefix.split(',').next()?.parse().ok()?;
    let text = text.lines().next().unwrap_or_default();
    Some(Record { level: (priority & 7) as u8, text: clean(text) })
}

/// Whether a record begins a kernel complaint that nothing should cause.
pub fn is_splat(record: &Record) -> bool {
    const MARKS: [&str; 18] = [
        "WARNING: ",
        "BUG: ",
        "kernel BUG at",
        "Oops",
        "Internal error:",
        "general protection fault",
        "Unable to handle kernel",
        "UBSAN: ",
        "CFI failure",
        "INFO: rcu",
        "INFO: task",
        "verifier bug",
        "bpf_jit: ",
        "BPF private stack overflow",
        "bpf-jit: ",
        "refcount_t: ",
        "list_add corruption",
        "list_del corruption",
    ];
    record.level <= 4 && MARKS.iter().any(|mark| record.text.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_apart() {
        let line = b"4,339,5140900,-;WARNING: CPU: 0 PID: 1 at kernel/bpf/core.c:1 x\n SUBSYSTEM=pci\n";
        let record = record(line).unwrap();
        assert_eq!(record, Record { level: 4, text: "WARNING: CPU: 0 PID: 1 at kernel/bpf/core.c:1 x".into() });
        assert!(is_splat(&record));
        assert!(super::record(b"no separator").is_none());
        assert!(super::record(b"x,1,2,-;text").is_none());
    }

    #[test]
    fn ordinary_lines_are_no_splats() {
        let record = |level, text: &str| Record { level, text: text.into() };
        assert!(!is_splat(&record(6, "Oops is only a word at info level")));
        assert!(!is_splat(&record(
            4,
            "nf_conntrack: module verification failed: signature and/or required key missing"
        )));
        assert!(is_splat(&record(1, "Unable to handle kernel paging request at virtual address 0")));
    }

    #[test]
    fn errnos_are_positive() {
        assert_eq!(errno(-524), Err(524));
        assert_eq!(errno(3), Ok(3));
    }
}
