//! The `kfunc` command as a user meets it, without guests: messages, exit codes, streams.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The command with a state and a cache of its own and nothing of the caller's selection.
    fn kfunc(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kfunc"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("KFUNC_") && text != "KFUNC_CLANG" {
                command.env_remove(&name);
            }
        }
        command
            .args(args)
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        split(self.kfunc(args).output().expect("kfunc starts"))
    }
}

fn split(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn mistakes_are_usage_errors_on_standard_error() {
    let place = Place::new();
    for (args, said) in [
        (&["run", "--arch", "riscv46"][..], "kfunc: error: unknown arch `riscv46`; known are x86_64, arm64, "),
        (&["run", "--suite", "stok"], "kfunc: error: unknown suite `stok`; "),
        (&["list", "cases", "--suite", "stok"], "; did you mean `stock`?"),
        (&["run", "probe::trampolin3"], "did you mean probe::trampoline"),
        (&["run", "--skip", "::"], "no case is left to run"),
        (&["run", "--kernel", "stock:../x"], "kfunc: error: kernel 'stock:../x' is not understood"),
        (&["run", "--kernel", "stock:sid/6..1"], "kfunc: error: kernel 'stock:sid/6..1' is not understood"),
        (&["run", "--kernel", "/no/such/bzImage"], "'/no/such/bzImage' is not understood: there is no such file"),
        (&["run", "--tree", "/no/such/linux"], "/no/such/linux is no source of a kernel: there is no such file"),
        (
            &["images", "build", "--arch", "arm32", "--source", "/no/such/linux"],
            "/no/such/linux is no source of a kernel",
        ),
        (&["run", "--arhc", "x"], "kfunc: error: unexpected argument '--arhc'"),
        (&["run", "--arch-file", "/no/such/file.toml"], "/no/such/file.toml"),
        (&["doctor", "--offline", "--arch", "amd64"], "kfunc: error: unknown arch `amd64`"),
        (&["images", "prune", "abc"], "kfunc: error: no kernel `abc` in the cache"),
    ] {
        let (code, stdout, stderr) = place.run(args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
        assert_eq!(stdout, "", "{args:?}");
    }
    assert!(!place.path().join("state").exists(), "a refused command leaves nothing");
}

#[test]
fn a_matrix_is_cut_and_a_bad_one_is_named() {
    let place = Place::new();
    let file = place.path().join("m.toml");
    let name = file.to_str().expect("UTF-8");
    let good = "[[run]]\narch = [\"riscv64\", \"arm64\"]\nkernel = [\"stock\"]\nsuite = [\"probe\"]\n";
    std::fs::write(&file, good).expect("written");
    let (code, stdout, stderr) = place.run(&["matrix", name, "--shards", "2"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("{\"include\":[{") && stdout.lines().count() == 1, "{stdout}");
    assert_eq!(place.run(&["matrix", name, "--shards", "2"]).1, stdout, "the same twice");
    // What a shard is told is what it plans.
    let (code, stdout, _) = place.run(&["run", "--matrix", name, "--shard", "1/2", "--unit", "arm64@stock", "--list"]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("arm64  stock:testing  probe::jit\n") && !stdout.contains("riscv64"), "{stdout}");

    let history = place.path().join("no-such-folder");
    let out = place.path().join("absent/child.yml");
    for (args, code, said) in [
        (&["--out", out.to_str().expect("UTF-8")][..], 4, "absent/child.yml: there is no such folder".to_owned()),
        (&["--history", history.to_str().expect("UTF-8")], 4, "no-such-folder".into()),
    ] {
        let (got, stdout, stderr) = place.run(&[&["matrix", name][..], args].concat());
        assert_eq!((got, stdout.as_str()), (Some(code), ""), "{stderr}");
        assert!(stderr.starts_with("kfunc: error: ") && stderr.contains(&said), "{stderr}");
    }
    for (text, said) in [
        (good.replace("[\"probe\"]", "[]"), "m.toml:4: an empty cell: `suite` selects none; name one"),
        (good.replace("\"probe\"", "\"abi\""), "m.toml:4: an empty cell: riscv64 by stock by abi has no case"),
        (good.replace("riscv64", "riscv46"), "m.toml:2: unknown arch `riscv46`; did you mean `riscv64`?"),
        (good.replace("suite", "suites"), "m.toml:4: unknown field `suites`"),
        (String::new(), "m.toml:1: the matrix has no entry"),
    ] {
        std::fs::write(&file, text).expect("written");
        for command in [&["matrix", name][..], &["run", "--matrix", name, "--list"]] {
            let (code, stdout, stderr) = place.run(command);
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
            assert!(stderr.contains(said), "{stderr}");
        }
    }
    let (code, _, stderr) = place.run(&["run", "--matrix", "/no/such/m.toml"]);
    assert_eq!(code, Some(4));
    assert!(stderr.contains("cannot read /no/such/m.toml: there is no such file"), "{stderr}");
}

#[test]
fn help_and_lists_go_to_standard_output() {
    let place = Place::new();
    let (code, stdout, stderr) = place.run(&["help", "exit-codes"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("  5  control "), "{stdout}");
    let (code, stdout, _) = place.run(&["list", "arches"]);
    assert_eq!(code, Some(0));
    assert_eq!(stdout.lines().count(), 6);
    let (code, stdout, _) = place.run(&["run", "--list", "--arch", "riscv64", "--suite", "probe"]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("riscv64  stock:testing  probe::jit\n"), "{stdout}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let mut child =
        place.kfunc(&["run", "--list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kfunc starts");
    // One byte, then the pipe is closed while much more is to come.
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0]).expect("a byte");
    drop(stdout);
    let output = child.wait_with_output().expect("kfunc ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn what_is_missing_comes_with_its_remedy() {
    let place = Place::new();
    // Compiled cases are in the cache before the tools go away.
    assert_eq!(place.run(&["list", "suites"]).0, Some(0));
    let empty = place.path().join("empty");
    std::fs::create_dir(&empty).expect("created");
    let without = |args: &[&str]| split(place.kfunc(args).env("PATH", &empty).output().expect("kfunc starts"));

    let (code, stdout, _) = without(&["doctor", "--offline", "--arch", "riscv64"]);
    assert_eq!(code, Some(3));
    for line in ["MISSING  qemu-system-riscv64", "MISSING  clang", "MISSING  ld.lld", "qemu-system-riscv"] {
        assert!(stdout.contains(line), "{line} is not in\n{stdout}");
    }
    let (code, stdout, stderr) = without(&["run", "--arch", "riscv64", "--offline"]);
    assert_eq!((code, stdout.as_str()), (Some(3), ""), "{stderr}");
    assert!(stderr.starts_with("kfunc: error: ") && stderr.contains("install"), "{stderr}");
    assert!(!stderr.contains("os error"), "no ENOENT for people: {stderr}");
}

#[test]
fn results_that_cannot_be_read_are_named() {
    let place = Place::new();
    let (code, _, stderr) = place.run(&["table"]);
    assert_eq!(code, Some(4));
    assert!(stderr.contains("no saved run in "), "{stderr}");
    let file = place.path().join("cut.json");
    std::fs::write(&file, "{\"schema\": 1, \"harn").expect("written");
    let name = file.to_str().expect("UTF-8");
    let (code, stdout, stderr) = place.run(&["table", name]);
    assert_eq!((code, stdout.as_str()), (Some(4), ""));
    assert!(stderr.contains(name) && stderr.contains("is no results file"), "{stderr}");
}

#[test]
fn a_full_disk_is_said() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let (code, _, stderr) = split(place.kfunc(&["exit-codes"]).stdout(full).output().expect("kfunc starts"));
    assert_eq!(code, Some(4));
    assert!(stderr.starts_with("kfunc: error: cannot write to standard output: "), "{stderr}");
}

#[test]
fn without_the_network_nothing_is_invented() {
    let place = Place::new();
    let file = place.path().join("run.json");
    let name = file.to_str().expect("UTF-8");
    let (code, stdout, stderr) =
        place.run(&["run", "--arch", "riscv64", "--suite", "probe", "--offline", "--json", name]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stdout.contains("unknown") && stdout.contains("offline"), "{stdout}");
    // The run that got nowhere is a result too, and can be read again.
    let (code, stdout, _) = place.run(&["table", name, "--format", "markdown"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("| riscv64 | stock:testing | - |"), "{stdout}");
}
