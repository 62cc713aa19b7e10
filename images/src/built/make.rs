//! Runs `make` in a kernel tree with the objects elsewhere: output into a log, steps counted, the first error quoted.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::event::{Activity, Progress, Task};

use super::log;

/// In an object directory: steps done so far, while a build is under way.
const STEPS: &str = "kfunc.steps";
/// Every how many steps that is written.
const STEPS_KEPT: u64 = 20;

/// One tree with one object directory.
pub(crate) struct Make<'a> {
    pub(crate) cache: &'a Cache,
    /// The source tree; only read.
    pub(crate) tree: &'a Path,
    /// Where everything is written; the tree itself where modules are built against one that was made for that.
    pub(crate) objects: &'a Path,
    /// `ARCH=…`, `LLVM=…` and the like.
    pub(crate) arguments: Vec<String>,
    /// Processes at a time.
    pub(crate) jobs: usize,
    /// Where output goes.
    pub(crate) log: PathBuf,
    /// The lock of the object directory. It becomes the standard input of `make` and so stays taken as long as any part
    /// of the build lives, even when this process is killed.
    pub(crate) lock: &'a File,
    /// For messages.
    pub(crate) what: String,
}

impl Make<'_> {
    /// Makes targets, silently: for what takes seconds.
    pub(crate) fn quick(&self, targets: &[String]) -> Result<()> {
        self.run(targets, |_| {})
    }

    /// Makes targets and tells how far it is. `expected` is the number of steps of a build from nothing, if known; gives the
    /// number of steps that there were, those of interrupted attempts included.
    pub(crate) fn build(&self, targets: &[String], expected: Option<u64>, progress: &Progress) -> Result<u64> {
        let mut done = self.steps_before();
        let mut task = Task::go_on(Activity::Build, &self.what, done, expected, progress);
        self.run(targets, |line| {
            if log::is_step(line) {
                done += 1;
                task.at(done);
                if done.is_multiple_of(STEPS_KEPT) {
                    self.keep_steps(Some(done));
                }
            }
        })?;
        self.keep_steps(None);
        task.finish(done);
        Ok(done)
    }

    /// Steps that earlier attempts got done here before they were interrupted.
    pub(crate) fn steps_before(&self) -> u64 {
        fs::read_to_string(self.objects.join(STEPS)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Notes how far it is, or that it is done. What cannot be noted is forgotten: it is only for the display.
    pub(crate) fn keep_steps(&self, done: Option<u64>) {
        let path = self.objects.join(STEPS);
        let _ = match done {
            Some(done) => fs::write(&path, done.to_string()),
            None => fs::remove_file(&path),
        };
    }

    fn run(&self, targets: &[String], mut line: impl FnMut(&str)) -> Result<()> {
        let io = |e: std::io::Error| self.cache.io("write", &self.log, e, 0);
        let stdin = self.lock.try_clone().context("pass on the lock of", self.objects)?;
        // One pipe for both: their order is what makes a log worth reading.
        let (reader, writer) = std::io::pipe().context("make a pipe for", &self.log)?;
        let both = writer.try_clone().context("make a pipe for", &self.log)?;
        let mut command = Command::new("make");
        command.arg("-C").arg(self.tree).arg(format!("-j{}", self.jobs));
        if self.objects != self.tree {
            command.arg(format!("O={}", self.objects.display()));
        }
        command.args(&self.arguments).args(targets);
        for (name, _) in std::env::vars_os().filter(|(name, _)| leaks(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        // A kernel is the same whenever, wherever and by whomever it is built.
        command
            .env("KBUILD_BUILD_TIMESTAMP", "1970-01-01")
            .env("KBUILD_BUILD_VERSION", "1")
            .env("KBUILD_BUILD_USER", "kfunc");
        command.env("KBUILD_BUILD_HOST", "conformance").env("LC_ALL", "C");
        let mut file = File::options().create(true).append(true).open(&self.log).context("open the log", &self.log)?;
        let shown = command.get_args().map(|a| format!(" {}", a.display())).collect::<String>();
        writeln!(file, "+ make{shown}").map_err(io)?;
        let mut child =
            command.stdin(Stdio::from(stdin)).stdout(writer).stderr(both).spawn().context("run make for", self.tree)?;
        drop(command); // with it our ends of the pipe, so that it ends with the build
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            match reader.read_until(b'\n', &mut bytes) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if let Err(error) = file.write_all(&bytes) {
                let _ = child.kill();
                let _ = child.wait();
                return Err(io(error));
            }
            line(String::from_utf8_lossy(&bytes).trim_end());
        }
        let status = child.wait().context("wait for make in", self.tree)?;
        if status.success() {
            return Ok(());
        }
        Err(self.failure(&status.to_string()))
    }

    fn failure(&self, status: &str) -> Error {
        let text = fs::read(&self.log).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        // Of this attempt only: the log is kept from one to the next.
        let last = text.rfind("\n+ make ").map_or(&*text, |at| &text[at..]);
        let first = log::first_error(last).unwrap_or_else(|| format!("make ended with {status} and said nothing"));
        let full = self.cache.available().is_ok_and(|free| free < 1 << 20) || last.contains("No space left on device");
        if full {
            return Error::DiskFull {
                path: self.objects.to_owned(),
                what: format!("building {}", self.what),
                needed: None,
                available: self.cache.available().unwrap_or(0),
            };
        }
        let first = match first.contains("encoding BTF") {
            true => format!(
                "{first}; pahole's own libdw does not understand this machine's object files: LoongArch needs libdw 0.190 or newer \
                 (on Debian 12: apt-get install -t bookworm-backports libdw1)"
            ),
            false => first,
        };
        Error::BuildFailed { what: self.what.clone(), first, log: self.log.clone() }
    }
}

/// Whether a variable of the caller's would change the build: what an outer `make` exports, kbuild's own, compilers.
fn leaks(name: &str) -> bool {
    const NAMES: [&str; 9] = ["MFLAGS", "GNUMAKEFLAGS", "ARCH", "CROSS_COMPILE", "LLVM", "CC", "LD", "V", "W"];
    ["KBUILD_", "KCONFIG_", "MAKE"].iter().any(|prefix| name.starts_with(prefix))
        || name.starts_with("KC") && name.ends_with("FLAGS")
        || NAMES.contains(&name)
}

/// How long a build will take, in words: steps at the pace of a common processor, which the display corrects later.
pub(crate) fn estimate(steps: u64, jobs: usize) -> Duration {
    // Measured: 0.6 s of processor time a step, linking and BTF included.
    Duration::from_millis(steps * 600 / jobs.max(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn make<'a>(cache: &'a Cache, tree: &'a Path, lock: &'a File) -> Make<'a> {
        Make {
            cache,
            tree,
            objects: tree,
            arguments: vec!["ARCH=riscv".into()],
            jobs: 2,
            log: cache.root().join("logs/x.log"),
            lock,
            what: "kernel for riscv64".into(),
        }
    }

    #[test]
    fn the_callers_environment_does_not_matter() {
        for name in ["MAKEFLAGS", "KBUILD_OUTPUT", "KCFLAGS", "ARCH", "V", "LLVM"] {
            assert!(leaks(name), "{name}");
        }
        for name in ["PATH", "HOME", "LLVM_HOME", "TMPDIR"] {
            assert!(!leaks(name), "{name}");
        }
    }

    #[test]
    fn steps_are_counted_and_output_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().join("c"))).unwrap();
        fs::create_dir_all(cache.root().join("logs")).unwrap();
        let makefile =
            "all:\n\t@echo '  CC      a.o'\n\t@echo '  CC      $(ARCH).o' >&2\n\t@sleep 0.2\n\t@echo '  LD      k'\n";
        fs::write(dir.path().join("Makefile"), makefile).unwrap();
        let lock = cache.lock("k", "x", &|_| {}).unwrap();
        let events = Mutex::new(Vec::new());
        let make = make(&cache, dir.path(), &lock);
        assert_eq!(make.build(&["all".into()], Some(3), &|e| events.lock().unwrap().push(e)).unwrap(), 3);
        let log = fs::read_to_string(&make.log).unwrap();
        assert!(log.contains("CC      riscv.o") && log.starts_with("+ make -C "), "{log}");
        let events = events.into_inner().unwrap();
        assert!(matches!(&events[0], crate::Event::Started { activity: Activity::Build, total: Some(3), .. }));
        assert!(matches!(events.last(), Some(crate::Event::Finished { bytes: 3, .. })));
        assert_eq!(make.steps_before(), 0);
    }

    #[test]
    fn what_an_interrupted_attempt_did_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().join("c"))).unwrap();
        fs::create_dir_all(cache.root().join("logs")).unwrap();
        let steps = |n: u64| (0..n).map(|i| format!("\t@echo '  CC      {i}.o'\n")).collect::<String>();
        let lock = cache.lock("k", "x", &|_| {}).unwrap();
        let make = make(&cache, dir.path(), &lock);
        fs::write(dir.path().join("Makefile"), format!("all:\n{}\t@false\n", steps(2 * STEPS_KEPT + 1))).unwrap();
        make.build(&["all".into()], Some(50), &|_| {}).unwrap_err();
        assert_eq!(make.steps_before(), 2 * STEPS_KEPT);
        fs::write(dir.path().join("Makefile"), format!("all:\n{}", steps(10))).unwrap();
        let events = Mutex::new(Vec::new());
        let all = make.build(&["all".into()], Some(50), &|e| events.lock().unwrap().push(e)).unwrap();
        assert_eq!((all, make.steps_before()), (2 * STEPS_KEPT + 10, 0));
        let events = events.into_inner().unwrap();
        assert!(matches!(&events[0], crate::Event::Started { done, total: Some(50), .. } if *done == 2 * STEPS_KEPT));
    }

    #[test]
    fn a_failure_quotes_the_first_error_of_the_last_attempt_and_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().join("c"))).unwrap();
        fs::create_dir_all(cache.root().join("logs")).unwrap();
        let lock = cache.lock("k", "x", &|_| {}).unwrap();
        for name in ["old", "new"] {
            fs::write(dir.path().join("Makefile"), format!("all:\n\t@echo '{name}.c:1:1: error: bad'\n\t@false\n"))
                .unwrap();
            match make(&cache, dir.path(), &lock).quick(&["all".into()]).unwrap_err() {
                Error::BuildFailed { first, log, .. } => {
                    assert_eq!(first, format!("{name}.c:1:1: error: bad"));
                    assert!(log.ends_with("logs/x.log"));
                }
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn the_lock_outlives_this_process_with_the_build() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().join("c"))).unwrap();
        fs::create_dir_all(cache.root().join("logs")).unwrap();
        // The build leaves a process behind, as a killed harness would leave make.
        fs::write(dir.path().join("Makefile"), "all:\n\t@exec 3<&0; sleep 0.7 >/dev/null 2>&1 &\n").unwrap();
        let lock = cache.lock("k", "x", &|_| {}).unwrap();
        make(&cache, dir.path(), &lock).quick(&["all".into()]).unwrap();
        drop(lock);
        let waited = Mutex::new(false);
        let _second = cache.lock("k", "x", &|_| *waited.lock().unwrap() = true).unwrap();
        assert!(*waited.lock().unwrap());
    }
}
