//! Every way a boot or a request can end, with a script in QEMU's place: it gets the same descriptors.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::qemu::{Accelerator, ChannelDevice};

/// An agent's first words: magic, version, 64 bits, no boot modules, arena of 64 KiB at 4096.
const HELLO: &str = r"printf '\x31\x48\x46\x4b\x01\0\0\0\x40\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\x01\0\0\0\0\0' >&100";

struct Ended {
    result: Result<Guest, GuestError>,
    after: Duration,
    _dir: tempfile::TempDir,
}

fn boot(script: &str, deadline: Duration) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let program: PathBuf = dir.path().join("qemu");
    // Written by another process: a file that this one has had open for writing cannot be executed while another
    // thread is between fork and exec.
    let text = format!("#!/bin/bash\n{script}\n");
    let mut child = std::process::Command::new("tee")
        .arg(&program)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), text.as_bytes()).unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let arches = crate::arch::load(&[]).unwrap();
    let arch = arches.iter().find(|arch| arch.name == "riscv64").unwrap();
    let boot = Boot {
        kernel: Path::new("/kernel"),
        initramfs: Path::new("/initramfs"),
        channel: ChannelDevice::Virtio,
        accelerator: Accelerator::Tcg,
        append: &[],
        random_place: false,
    };
    let start = Instant::now();
    let result = Guest::boot(&program, arch, &boot, deadline);
    Ended { result, after: start.elapsed(), _dir: dir }
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_qemu_that_ends_is_not_waited_for() {
    let ended = boot("echo 'unsupported machine type' >&2; exit 1", LONG);
    let Err(GuestError::Exit { status, console, by_guest: false }) = ended.result else { panic!("{:?}", ended.result) };
    assert_eq!(status, "exit status 1");
    assert_eq!(console, ["qemu: unsupported machine type"]);
    assert!(ended.after < Duration::from_secs(5), "{:?}", ended.after);
}

#[test]
fn a_panic_is_noticed_although_qemu_stays() {
    let ended = boot("echo '[    1.0] Kernel panic - not syncing: VFS'; echo '[    1.1] trace'; sleep 1000", LONG);
    let Err(GuestError::Panic { line, console }) = ended.result else { panic!("{:?}", ended.result) };
    assert!(line.ends_with("Kernel panic - not syncing: VFS"));
    assert_eq!(console.last().unwrap(), "[    1.1] trace");
    assert!(ended.after < Duration::from_secs(5), "{:?}", ended.after);
}

#[test]
fn a_guest_that_never_speaks_meets_the_deadline_with_its_console() {
    let ended = boot("echo booting; sleep 1000", Duration::from_millis(700));
    let Err(GuestError::BootDeadline { console, .. }) = ended.result else { panic!("{:?}", ended.result) };
    assert_eq!(console, ["booting"]);
    assert!(ended.after >= Duration::from_millis(700) && ended.after < Duration::from_secs(5), "{:?}", ended.after);
}

#[test]
fn silence_after_the_boot_is_an_error_of_its_own() {
    let mut guest = boot(&format!("{HELLO}; sleep 1000"), LONG).result.unwrap();
    assert_eq!((guest.target().arena_base, guest.target().arena_len), (4096, 65536));
    guest.set_call_deadline(Duration::from_millis(200));
    assert!(matches!(guest.call(1, &[]), Err(SysError::Guest(GuestError::Silent { after_ms: 200, .. }))));
    // What answers late would be taken for the answer to another request.
    assert!(matches!(guest.call(1, &[]), Err(SysError::Guest(GuestError::Silent { after_ms: 200, .. }))));
}

#[test]
fn a_guest_that_dies_during_a_request_is_not_waited_for() {
    let mut guest = boot(&format!("{HELLO}; head -c 16 <&100 >/dev/null; exit 3"), LONG).result.unwrap();
    let start = Instant::now();
    let error = guest.call(1, &[]).unwrap_err();
    assert!(matches!(&error, SysError::Guest(GuestError::Exit { status, .. }) if status == "exit status 3"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_guest_that_trickles_meets_the_deadline() {
    let script = format!("{HELLO}; while true; do printf x >&100; sleep 0.02; done");
    let mut guest = boot(&script, LONG).result.unwrap();
    guest.set_call_deadline(Duration::from_millis(200));
    let start = Instant::now();
    assert!(guest.call(1, &[]).is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_reset_is_the_guests_doing_and_a_signal_is_not() {
    let ended = boot("exit 0", LONG);
    assert!(matches!(ended.result, Err(GuestError::Exit { by_guest: true, .. })));
    let ended = boot("kill -9 $$", LONG);
    let Err(GuestError::Exit { status, by_guest: false, .. }) = ended.result else { panic!("{:?}", ended.result) };
    assert_eq!(status, "killed by SIGKILL");
}

#[test]
fn nonsense_on_the_channel_is_refused() {
    let ended = boot("printf 'this is no agent, and it is longer than a hello' >&100; sleep 1000", LONG);
    assert!(matches!(ended.result, Err(GuestError::Protocol(_))), "{:?}", ended.result);
    // A reply that claims a body longer than any.
    let head = r"printf '\x31\x52\x46\x4b\x01\0\0\0\0\0\0\0\xff\xff\xff\xff' >&100";
    let mut guest = boot(&format!("{HELLO}; {head}; sleep 1000"), LONG).result.unwrap();
    assert!(matches!(guest.call(1, &[]), Err(SysError::Protocol(_))));
}

#[test]
fn a_batch_beyond_the_arena_is_not_sent() {
    let mut guest = boot(&format!("{HELLO}; sleep 1000"), LONG).result.unwrap();
    let mut batch = Batch::new(guest.target());
    batch.zeroed(65537);
    assert!(matches!(guest.submit(&batch), Err(SysError::ArenaFull(65536))));
}
