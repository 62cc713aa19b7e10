//! From a case's C source to a BPF object: compiled by clang, kept in the cache under the content of everything that
//! went into it.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::arch::Endian;

/// Why a source did not become an object.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No clang.
    #[error(transparent)]
    Clang(#[from] images::Error),
    /// Compiler errors, as clang words them.
    #[error("{path} does not compile:\n{output}")]
    Source {
        /// The case's file.
        path: String,
        /// What clang said.
        output: String,
    },
    /// The cache cannot be written or the compiler cannot be run.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// Flags for every case. `-mcpu=v3` is what the kernel's selftests use by default and every supported JIT has.
const FLAGS: [&str; 6] = ["-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", "-c"];

/// Compiles cases, or finds them compiled.
#[derive(Debug)]
pub struct Compiler {
    cache: PathBuf,
    clang: Option<images::Clang>,
}

impl Compiler {
    /// A compiler that keeps objects below `cache`.
    pub fn new(cache: &Path) -> Self {
        Self { cache: cache.join("objects"), clang: None }
    }

    /// The object of a source, for kernels of this byte order.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn object(&mut self, source: &testcases::Source, endian: Endian) -> Result<Vec<u8>, CompileError> {
        let clang = match &self.clang {
            Some(clang) => clang.clone(),
            None => self.clang.insert(images::clang()?).clone(),
        };
        let io = |what: String| move |source| CompileError::Io { what, source };
        let target = match endian {
            Endian::Little => "--target=bpfel",
            Endian::Big => "--target=bpfeb",
        };
        let kept = self.cache.join(format!("{}.o", key(source, target, &clang)));
        if let Ok(bytes) = std::fs::read(&kept) {
            return Ok(bytes);
        }
        std::fs::create_dir_all(&self.cache).map_err(io(format!("create {}", self.cache.display())))?;
        let work =
            tempfile::tempdir_in(&self.cache).map_err(io(format!("create a folder in {}", self.cache.display())))?;
        // The path inside the folder is the path in the repository: it is what line information and messages show.
        let file = work.path().join(source.path);
        let include = work.path().join("testcases/include");
        for folder in [file.parent().unwrap_or(work.path()), &include] {
            std::fs::create_dir_all(folder).map_err(io(format!("create {}", folder.display())))?;
        }
        let mut texts = vec![(file, source.text)];
        texts.extend(testcases::HEADERS.iter().map(|(name, text)| (include.join(name), *text)));
        for (path, text) in texts {
            std::fs::write(&path, text).map_err(io(format!("write {}", path.display())))?;
        }
        let made = work.path().join("case.o");
        let output = Command::new(&clang.path)
            .current_dir(work.path())
            .arg(target)
            // Line information names files as the repository does, wherever the folder is.
            .arg(format!("-fdebug-prefix-map={}=", work.path().display()))
            .args(FLAGS)
            .args(["-I", "testcases/include", source.path, "-o", "case.o"])
            .output()
            .map_err(io(format!("run {}", clang.path.display())))?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            return Err(CompileError::Source { path: source.path.into(), output });
        }
        let bytes = std::fs::read(&made).map_err(io(format!("read {}", made.display())))?;
        // Atomic, and the same content whoever comes first.
        std::fs::rename(&made, &kept).map_err(io(format!("rename to {}", kept.display())))?;
        Ok(bytes)
    }
}

/// Content key of an object.
fn key(source: &testcases::Source, target: &str, clang: &images::Clang) -> String {
    let mut hash = Sha256::new();
    let version = format!("{:?}", clang.version);
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for part in [target, &version, source.path, source.text].into_iter().chain(FLAGS) {
        add(part);
    }
    testcases::HEADERS.iter().for_each(|(name, text)| {
        add(name);
        add(text);
    });
    images::hex(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clang() -> images::Clang {
        images::Clang { path: "clang".into(), version: (19, 1, 7) }
    }

    #[test]
    fn everything_that_matters_is_in_the_key() {
        let source = testcases::SOURCES[0];
        let base = key(&source, "--target=bpfel", &clang());
        assert_ne!(base, key(&source, "--target=bpfeb", &clang()));
        assert_ne!(base, key(&testcases::Source { text: "", ..source }, "--target=bpfel", &clang()));
        assert_ne!(base, key(&source, "--target=bpfel", &images::Clang { version: (20, 1, 0), ..clang() }));
        assert_eq!(base, key(&source, "--target=bpfel", &clang()));
    }

    #[test]
    fn a_malformed_case_is_named_by_its_place_in_the_repository() {
        let text = "#include \"kfunc_case.h\"\nSEC(\"syscall\") __success\nint f(void *ctx) { return 0; }\n";
        let cache = tempfile::tempdir().unwrap();
        let source = testcases::Source { suite: "stock", name: "bad", path: "testcases/stock/bad.bpf.c", text };
        let object = Compiler::new(cache.path()).object(&source, Endian::Little).unwrap();
        let program = crate::bpf::Object::parse(&object).unwrap().programs().remove(0);
        let error = program.annotations.unwrap_err().to_string();
        assert!(error.starts_with("testcases/stock/bad.bpf.c:3: program f: "), "{error}");
    }

    #[test]
    fn a_source_that_does_not_compile_is_named_with_its_line() {
        let cache = tempfile::tempdir().unwrap();
        let source =
            testcases::Source { suite: "stock", name: "bad", path: "testcases/stock/bad.bpf.c", text: "int x = ;\n" };
        let error = Compiler::new(cache.path()).object(&source, Endian::Little).unwrap_err().to_string();
        assert!(error.contains("testcases/stock/bad.bpf.c:1:9: error: expected expression"), "{error}");
        let left: Vec<_> = std::fs::read_dir(cache.path().join("objects")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
