//! The whole provider with a kernel tree whose "build system" is a page of make.

use std::sync::Mutex;

use super::*;
use crate::format::Machine;
use crate::store::DebianNames;

/// A tree that kbuild's targets work in. `DROP` in it is a symbol that its configuration cannot have.
const MAKEFILE: &str = r#"VERSION = 7
PATCHLEVEL = 2

DROP = NONE
allnoconfig:
	@grep -v CONFIG_$(DROP)= $(KCONFIG_ALLCONFIG) >$(O)/.config; echo CONFIG_DEFAULT=y >>$(O)/.config
Image:
	@echo '  CC      jit.o'
	@! grep -n broken jit.c | sed 's/^/jit.c:/; s/$$/: error: it is broken/' | grep .
	@mkdir -p $(O)/arch/riscv/boot $(O)/include/config
	@(head -c 48 /dev/zero; printf 'RISCV\0\0\0RSC\005'; cat jit.c; head -c 4096 /dev/zero) >$(O)/arch/riscv/boot/Image
	@echo 7.2.0-kfunc >$(O)/include/config/kernel.release
	@touch $(O)/System.map $(O)/Module.symvers; cp /bin/sh $(O)/vmlinux
	@echo '  LD      vmlinux'
modules:
	@:
modules_install:
	@mkdir -p $(INSTALL_MOD_PATH)/lib/modules/7.2.0-kfunc
	@touch $(INSTALL_MOD_PATH)/lib/modules/7.2.0-kfunc/modules.builtin $(INSTALL_MOD_PATH)/lib/modules/7.2.0-kfunc/modules.order
"#;

struct World {
    dir: tempfile::TempDir,
    cache: Cache,
    options: BuildOptions,
    debian: DebianNames,
    names: BuildNames,
    notes: Mutex<Vec<String>>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("linux");
        for sub in ["kernel/bpf", "arch/riscv"] {
            fs::create_dir_all(tree.join(sub)).unwrap();
        }
        for (name, text) in
            [("Makefile", MAKEFILE), ("Kconfig", "config BPF_JIT\n"), ("arch/riscv/Makefile", ""), ("jit.c", "one\n")]
        {
            fs::write(tree.join(name), text).unwrap();
        }
        Self {
            cache: Cache::open(Some(dir.path().join("cache"))).unwrap(),
            options: BuildOptions::default(),
            debian: DebianNames { arch: "riscv64".into(), flavour: "riscv64".into(), has_kernel: true },
            names: BuildNames::example(),
            notes: Mutex::default(),
            dir,
        }
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("linux")
    }

    fn edit(&self, name: &str, text: &str) {
        fs::write(self.tree().join(name), text).unwrap();
    }

    fn build(&self) -> Result<Image> {
        let target = Target {
            name: "riscv64",
            debian: &self.debian,
            machine: Machine { elf_machine: 243, bits: 64 },
            build: Some(&self.names),
        };
        let progress = |event| {
            if let Event::Note(text) = event {
                self.notes.lock().unwrap().push(text);
            }
        };
        let job = Job {
            cache: &self.cache,
            options: &self.options,
            source: &Source::Path(self.tree()),
            variant: Variant::Plain,
            target: &target,
            progress: &progress,
        };
        let found = job.own(&self.tree())?;
        job.made(&found, None, || Ok(Tools { arguments: Vec::new(), identity: "none".into() }))
    }

    fn images(&self) -> usize {
        fs::read_dir(self.cache.root().join("images")).unwrap().count()
    }

    fn announced(&self) -> usize {
        self.notes.lock().unwrap().len()
    }
}

#[test]
fn what_is_there_is_not_built_again_and_an_edit_replaces_it() {
    let world = World::new();
    let first = world.build().unwrap();
    assert_eq!(
        (first.release.as_str(), first.provider, first.config("BPF_JIT")),
        ("7.2.0-kfunc", Provider::Built, Some("y"))
    );
    assert_eq!(world.build().unwrap().key, first.key);
    assert_eq!(world.announced(), 1, "the second asked make for nothing");

    world.edit("jit.c", "two\n");
    let second = world.build().unwrap();
    assert_ne!(second.key, first.key);
    let kernel = fs::read(&second.kernel).unwrap();
    assert!(kernel.windows(3).any(|w| w == b"two"));
    assert_eq!(world.images(), 1, "nobody will ask for the one before the edit");
    // Nothing was written into the user's tree.
    let mut names: Vec<_> = fs::read_dir(world.tree()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["Kconfig", "Makefile", "arch", "jit.c", "kernel"]);
}

#[test]
fn a_symbol_that_is_lost_stops_it_before_the_build() {
    let world = World::new();
    world.edit("Makefile", &MAKEFILE.replace("DROP = NONE", "DROP = BPF_JIT"));
    let error = world.build().unwrap_err();
    match &error {
        Error::LostSymbols { lost, .. } => {
            assert_eq!(lost, &["CONFIG_BPF_JIT (wanted y, got n): what it depends on is not set"]);
        }
        other => panic!("{other}"),
    }
    world.edit("Kconfig", "config BPF_JITTER\nconfig BPF_JIST\n");
    let text = world.build().unwrap_err().to_string();
    assert!(text.contains("this source has no such symbol; did you mean BPF_JIST?"), "{text}");
    assert_eq!((world.announced(), world.images()), (0, 0));
}

#[test]
fn a_build_that_failed_says_why_and_goes_on_when_repaired() {
    let world = World::new();
    world.edit("jit.c", "fine\nbroken\n");
    match world.build().unwrap_err() {
        Error::BuildFailed { first, log, .. } => {
            assert!(first.contains("jit.c:2:broken: error: it is broken"), "{first}");
            assert!(fs::read_to_string(log).unwrap().contains("CC      jit.o"));
        }
        other => panic!("{other}"),
    }
    assert_eq!(world.images(), 0);
    world.edit("jit.c", "fine\n");
    world.build().unwrap();
    let notes = world.notes.lock().unwrap();
    assert!(
        notes[0].starts_with("building the kernel") && notes[1].starts_with("going on with the kernel"),
        "{notes:?}"
    );
}

#[test]
fn two_builds_of_one_tree_wait_for_one_another() {
    let world = World::new();
    let keys: Vec<String> = std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| world.build().unwrap().key));
        both.map(|one| one.join().unwrap()).into()
    });
    assert_eq!(keys[0], keys[1]);
    assert_eq!(world.announced(), 1, "one of them built");
}

#[test]
fn a_kernel_for_another_machine_is_not_filed() {
    let world = World::new();
    world.edit("Makefile", &MAKEFILE.replace("RSC\\005", "ARM\\144"));
    assert!(matches!(world.build().unwrap_err(), Error::WrongArch { .. }));
    assert_eq!(world.images(), 0);
}
