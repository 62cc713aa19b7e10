//! The store against a tiny archive (made by `mirror/make.py`) on a loopback server that can misbehave: every row of the
//! "bad input" table that concerns mirrors, indexes and packages. Needs `gpgv` (or `sqv`), as every Debian has.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use images::{DebianNames, Error, Event, Image, KernelSpec, Machine, Store, StoreOptions, Target};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mirror");
const KERNEL: &str = "linux-binary-7.2.1+test-riscv64_7.2.1-1_riscv64.deb";
const MODULES: &str = "linux-modules-7.2.1+test-riscv64_7.2.1-1_riscv64.deb";

/// What the server does to files whose path ends so.
#[derive(Debug, Clone)]
enum Fault {
    /// Ends the first transfer in the middle; a request for the rest is served.
    BreakOnce,
    /// Ends every transfer in the middle.
    BreakAlways,
    /// Sends other bytes of the same length.
    Alter,
    /// Sends the first half as if it were all.
    Truncate,
    /// Sends this file instead.
    Swap(&'static str),
    /// Says that there is no such file.
    Missing,
}

#[derive(Debug, Default)]
struct Served {
    faults: BTreeMap<&'static str, Fault>,
    requests: Vec<String>,
}

/// A server for as long as the process lives.
struct Mirror {
    url: String,
    state: Arc<Mutex<Served>>,
}

impl Mirror {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/debian", listener.local_addr().unwrap());
        let state = Arc::<Mutex<Served>>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || while serve(&stream, &shared).is_some() {});
            }
        });
        Self { url, state }
    }

    fn fault(&self, path: &'static str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(path, fault);
    }

    fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// Requests since the last call.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

fn file(path: &str) -> PathBuf {
    match path.split_once("/by-hash/SHA256/") {
        // Debian keeps older lists under their hashes; this archive has one each.
        Some((dir, hash)) => {
            let list = Path::new(HERE).join("archive").join(dir).join("Packages.xz");
            let same = std::fs::read(&list).is_ok_and(|b| sha256(&b) == hash);
            if same { list } else { PathBuf::from("/nonexistent") }
        }
        None => Path::new(HERE).join("archive").join(path),
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn serve(mut stream: &TcpStream, shared: &Mutex<Served>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request).ok().filter(|n| *n > 0)?;
    let path = request.split(' ').nth(1)?.strip_prefix("/debian/")?.to_owned();
    let mut from = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = range.trim().trim_end_matches('-').parse().ok()?;
        }
    }
    let fault = {
        let mut state = shared.lock().unwrap();
        state.requests.push(path.clone());
        let fault = state.faults.iter().find(|(end, _)| path.ends_with(*end)).map(|(end, fault)| (*end, fault.clone()));
        if let Some((end, Fault::BreakOnce)) = fault {
            state.faults.remove(end);
        }
        fault.map(|(_, fault)| fault)
    };
    let path = if let Some(Fault::Swap(other)) = fault { other.to_owned() } else { path };
    let Some(mut bytes) = std::fs::read(file(&path)).ok().filter(|_| !matches!(fault, Some(Fault::Missing))) else {
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok()?;
        return Some(());
    };
    match fault {
        Some(Fault::Alter) => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        Some(Fault::Truncate) => bytes.truncate(bytes.len() / 2),
        _ => {}
    }
    let rest = &bytes[from.min(bytes.len())..];
    let status = match from {
        0 => "200 OK".to_owned(),
        _ => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", bytes.len() - 1, bytes.len()),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", rest.len()).ok()?;
    if matches!(fault, Some(Fault::BreakOnce | Fault::BreakAlways)) {
        stream.write_all(&rest[..rest.len() / 2]).ok()?;
        let _ = stream.shutdown(std::net::Shutdown::Both);
        return None;
    }
    stream.write_all(rest).ok()
}

/// A store with a cache of its own.
struct World {
    mirror: Mirror,
    cache: tempfile::TempDir,
    events: Mutex<Vec<Event>>,
}

impl World {
    fn new() -> Self {
        Self { mirror: Mirror::start(), cache: tempfile::tempdir().unwrap(), events: Mutex::default() }
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
            cache_dir: Some(self.cache.path().to_owned()),
            mirror: Some(self.mirror.url.clone()),
            keyring: Some(Path::new(HERE).join("keyring.gpg")),
            refresh: false,
            offline: false,
            build: images::BuildOptions::default(),
        }
    }

    /// Each time with a store of its own, as a new process would.
    fn resolve(&self, spec: &str, arch: &str) -> Result<Image, Error> {
        self.resolve_with(self.options(), spec, arch)
    }

    fn resolve_with(&self, options: StoreOptions, spec: &str, arch: &str) -> Result<Image, Error> {
        let store = Store::open(options)?;
        let spec: KernelSpec = spec.parse()?;
        let (flavour, elf_machine) = match arch {
            "armhf" => ("armmp", 40),
            "amd64" => ("amd64", 62),
            "riscv64" | "arm64" => (arch, 243),
            other => (other, 258),
        };
        let debian = DebianNames { arch: arch.to_owned(), flavour: flavour.to_owned(), has_kernel: true };
        let target = Target {
            name: arch,
            debian: &debian,
            machine: Machine { elf_machine, bits: if arch == "armhf" { 32 } else { 64 } },
            build: None,
        };
        store.resolve(&spec, &target, &|event| self.events.lock().unwrap().push(event))
    }

    fn modules(&self, image: &Image, names: &[&str]) -> Result<images::ModuleSet, Error> {
        Store::open(self.options())?.modules(image, names, &|event| self.events.lock().unwrap().push(event))
    }

    fn notes(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        events.into_iter().filter_map(|e| if let Event::Note(note) = e { Some(note) } else { None }).collect()
    }

    /// Nothing half-written: no image, no temporary file.
    fn assert_clean(&self) {
        for dir in ["images", "tmp"] {
            let left: Vec<_> =
                std::fs::read_dir(self.cache.path().join(dir)).unwrap().flatten().map(|e| e.path()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[test]
fn a_kernel_of_three_packages_is_resolved_once() {
    let world = World::new();
    let image = world.resolve("stock", "riscv64").unwrap();
    assert_eq!(image.release, "7.2.1+test-riscv64");
    assert_eq!(image.provenance["suite"], "testing");
    assert_eq!(image.config("DEBUG_INFO_BTF"), Some("y"));
    assert!(image.boot_modules.is_empty());
    let kernel = std::fs::read(&image.kernel).unwrap();
    assert_eq!((kernel.len(), &kernel[0x38..0x3c]), (6000, &b"RSC\x05"[..]), "the zboot wrapping is off");
    world.mirror.requests();

    let again = world.resolve("stock:testing/7.2", "riscv64").unwrap();
    assert_eq!((again.key, again.kernel), (image.key, image.kernel));
    assert_eq!(world.mirror.requests(), Vec::<String>::new(), "a warm run asks nobody");
    // The codename is the same suite; its index is another file, the list of packages is the same.
    assert!(world.resolve("stock:forky", "riscv64").is_err(), "this mirror has no such directory");
}

#[test]
fn modules_come_with_their_dependencies_in_order() {
    let world = World::new();
    let image = world.resolve("stock", "riscv64").unwrap();
    let set = world.modules(&image, &["nf-conntrack", "virtio_console"]).unwrap();
    let names: Vec<_> = set.load.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["nf_defrag_ipv4", "crc32c_generic", "libcrc32c", "nf_conntrack"]);
    assert_eq!(set.builtin, ["virtio_console"]);
    assert!(set.load.iter().all(|m| std::fs::read(&m.path).unwrap().starts_with(b"\x7fELF")));
    world.mirror.requests();
    world.modules(&image, &["libcrc32c"]).unwrap();
    assert_eq!(world.mirror.requests(), Vec::<String>::new());

    let error = world.modules(&image, &["nf_contrack"]).unwrap_err().to_string();
    assert!(error.contains("no module 'nf_contrack'; did you mean nf_conntrack?"), "{error}");
    assert_eq!(world.mirror.requests(), Vec::<String>::new(), "the list of modules is enough to know");
}

#[test]
fn a_kernel_of_one_package_with_modular_virtio_has_boot_modules() {
    let world = World::new();
    let image = world.resolve("stock:testing/6.1", "riscv64").unwrap();
    let names: Vec<_> = image.boot_modules.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["virtio", "virtio_pci", "virtio_console"]);
    let package = |r: &String| r.contains("linux-image-6.1.0");
    assert_eq!(
        world.mirror.requests().iter().filter(|r| package(r)).count(),
        1,
        "one download serves kernel and modules"
    );
}

#[test]
fn a_dead_mirror_and_a_warm_cache() {
    let world = World::new();
    world.resolve("stock", "riscv64").unwrap();
    world.notes();
    world.mirror.fault("InRelease", Fault::BreakAlways);
    let refresh = StoreOptions { refresh: true, ..world.options() };
    world.resolve_with(refresh, "stock", "riscv64").unwrap();
    let notes = world.notes();
    assert!(notes.len() == 1 && notes[0].contains("did not answer") && notes[0].contains("30 Oct 2026"), "{notes:?}");
    world.mirror.requests();
    let offline = StoreOptions { offline: true, ..world.options() };
    world.resolve_with(offline, "stock", "riscv64").unwrap();
    assert_eq!(world.mirror.requests(), Vec::<String>::new());
}

#[test]
fn a_dead_mirror_and_a_cold_cache() {
    let world = World::new();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead = StoreOptions { mirror: Some(format!("http://127.0.0.1:{port}/debian")), ..world.options() };
    let error = world.resolve_with(dead, "stock", "riscv64").unwrap_err();
    assert!(matches!(&error, Error::Fetch { url, .. } if url.contains(&port.to_string())), "{error}");
    let offline = StoreOptions { offline: true, ..world.options() };
    assert!(matches!(world.resolve_with(offline, "stock", "riscv64"), Err(Error::Offline { .. })));
    world.assert_clean();
}

#[test]
fn an_index_that_was_altered_truncated_or_swapped() {
    for fault in [Fault::Alter, Fault::Truncate, Fault::Swap("dists/testing/main/binary-riscv64/Packages.xz")] {
        let world = World::new();
        world.mirror.fault("InRelease", fault.clone());
        let error = world.resolve("stock", "riscv64").unwrap_err();
        assert!(matches!(error, Error::BadSignature { .. }), "{fault:?}: {error}");
        world.assert_clean();
    }
    let world = World::new();
    world.mirror.fault("testing/InRelease", Fault::Swap("dists/stable/InRelease"));
    assert!(matches!(world.resolve("stock", "riscv64"), Err(Error::WrongSuite { .. })));
}

#[test]
fn a_keyring_that_does_not_know_the_key_or_is_not_there() {
    let world = World::new();
    let empty = world.cache.path().join("empty.gpg");
    std::fs::write(&empty, b"").unwrap();
    let options = StoreOptions { keyring: Some(empty), ..world.options() };
    assert!(matches!(world.resolve_with(options, "stock", "riscv64"), Err(Error::BadSignature { .. })));
    let options = StoreOptions { keyring: Some(PathBuf::from("/nonexistent.gpg")), ..world.options() };
    assert!(matches!(world.resolve_with(options, "stock", "riscv64"), Err(Error::NoKeyring { .. })));
}

#[test]
fn files_that_are_not_what_the_index_lists() {
    for name in ["Packages.xz", KERNEL] {
        let world = World::new();
        let end = if name == KERNEL { KERNEL } else { list_hash() };
        for fault in [Fault::Alter, Fault::Truncate] {
            world.mirror.fault(end, fault.clone());
            let error = world.resolve("stock", "riscv64").unwrap_err();
            let message = error.to_string();
            assert!(matches!(error, Error::Altered { .. }) && message.contains("expected"), "{fault:?}: {message}");
            world.assert_clean();
        }
        world.mirror.heal();
        world.resolve("stock", "riscv64").unwrap();
    }
}

/// SHA-256 of the list for riscv64, the end of the address it is asked for at.
fn list_hash() -> &'static str {
    let list = Path::new(HERE).join("archive/dists/testing/main/binary-riscv64/Packages.xz");
    Box::leak(sha256(&std::fs::read(list).unwrap()).into_boxed_str())
}

#[test]
fn a_broken_transfer_is_resumed_once() {
    let world = World::new();
    world.mirror.fault(KERNEL, Fault::BreakOnce);
    world.resolve("stock", "riscv64").unwrap();
    assert_eq!(world.mirror.requests().iter().filter(|r| r.ends_with(KERNEL)).count(), 2);

    let world = World::new();
    world.mirror.fault(KERNEL, Fault::BreakAlways);
    let error = world.resolve("stock", "riscv64").unwrap_err();
    assert!(matches!(&error, Error::Fetch { url, .. } if url.ends_with(KERNEL)), "{error}");
    world.assert_clean();
}

#[test]
fn a_missing_package_says_what_to_do() {
    let world = World::new();
    world.mirror.fault(MODULES, Fault::Missing);
    let image = world.resolve("stock", "riscv64").unwrap();
    let error = world.modules(&image, &["nf_conntrack"]).unwrap_err();
    assert!(matches!(error, Error::Gone { .. }) && error.to_string().contains("--refresh"), "{error}");
}

#[test]
fn a_package_that_climbs_is_refused() {
    let world = World::new();
    let error = world.resolve("stock", "arm64").unwrap_err();
    assert!(matches!(&error, Error::UnsafePath { path, .. } if path == "../../evil"), "{error}");
    world.assert_clean();
    assert!(!world.cache.path().join("evil").exists());
}

#[test]
fn a_kernel_of_another_arch_is_refused() {
    let world = World::new();
    let error = world.resolve("stock", "amd64").unwrap_err();
    assert!(matches!(error, Error::WrongArch { .. }), "{error}");
    world.assert_clean();
}

#[test]
fn what_does_not_exist_is_named_with_what_does() {
    let world = World::new();
    let error = |spec: &str, arch: &str| world.resolve(spec, arch).unwrap_err();
    let unknown = error("stock:tesitng", "riscv64");
    assert!(
        matches!(unknown, Error::UnknownSuite { .. }) && unknown.to_string().contains("did you mean testing"),
        "{unknown}"
    );
    let version = error("stock:testing/7.3", "riscv64");
    assert!(
        version.to_string().ends_with("it has 7.2.1-1 (7.2.1+test-riscv64), 6.1.9-1 (6.1.0-1-riscv64)"),
        "{version}"
    );
    assert!(matches!(error("stock:testing", "loong64"), Error::NotInSuite { .. }));
    assert!(matches!(error("stock:testing", "armhf"), Error::NoKernel { .. }));
}

#[test]
fn another_name_of_the_suite_helps_when_the_mirror_lacks_a_list() {
    let world = World::new();
    let image = world.resolve("stock:trixie", "riscv64").unwrap();
    assert_eq!(image.provenance["index_date"], "Sat, 12 Sep 2026 07:55:41 UTC");
    let notes = world.notes();
    assert!(notes.len() == 1 && notes[0].contains("using that of stable"), "{notes:?}");
    world.mirror.requests();
    world.resolve("stock:trixie", "riscv64").unwrap();
    assert_eq!(world.mirror.requests(), Vec::<String>::new(), "known for a while");
}

#[test]
fn a_damaged_entry_is_made_again() {
    let world = World::new();
    let image = world.resolve("stock", "riscv64").unwrap();
    for damage in ["short", "gone"] {
        match damage {
            "short" => std::fs::File::options().write(true).open(&image.kernel).unwrap().set_len(10).unwrap(),
            _ => std::fs::remove_file(&image.kernel).unwrap(),
        }
        let again = world.resolve("stock", "riscv64").unwrap();
        assert_eq!(std::fs::metadata(&again.kernel).unwrap().len(), 6000, "{damage}");
    }
}

#[test]
fn runs_at_the_same_time_share_one_download() {
    let world = World::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| world.resolve("stock", "riscv64").unwrap().key)).collect();
        let keys: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    });
    let requests = world.mirror.requests();
    for name in ["InRelease", KERNEL] {
        assert_eq!(requests.iter().filter(|r| r.ends_with(name)).count(), 1, "{requests:?}");
    }
}

#[test]
fn list_and_remove() {
    let world = World::new();
    let image = world.resolve("stock", "riscv64").unwrap();
    world.modules(&image, &["libcrc32c"]).unwrap();
    let store = Store::open(world.options()).unwrap();
    let list = store.list().unwrap();
    assert_eq!((list.len(), list[0].key.as_str(), list[0].arch.as_str()), (1, image.key.as_str(), "riscv64"));
    assert_eq!(list[0].modules, ["crc32c_generic", "libcrc32c"]);
    assert!(store.disk_usage() >= list[0].bytes && list[0].bytes > 6000);
    assert!(matches!(store.remove("../images"), Err(Error::UnknownImage { .. })));
    store.remove(&image.key).unwrap();
    assert!(store.list().unwrap().is_empty());
}
