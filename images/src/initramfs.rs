//! The initramfs: a cpio archive in the `newc` format (Documentation/driver-api/early-userspace/buffer-format.rst) with the
//! agent as `/init`. Deterministic: no times, no owners, inode numbers in order. Pure bytes.

/// One member.
#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    Directory,
    File {
        mode: u32,
        bytes: &'a [u8],
    },
    /// A character device with its numbers.
    Device {
        major: u32,
        minor: u32,
    },
}

const DIRECTORY: u32 = 0o040_755;
const REGULAR: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_600;

/// The archive: `/init`, the devices that the kernel opens for it, and `/boot-modules/00`, `01`, … in load order (the
/// names that agent.c, `load_boot_modules`, looks for).
pub(crate) fn archive(agent: &[u8], boot_modules: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(agent.len() + boot_modules.iter().map(Vec::len).sum::<usize>() + 4096);
    let mut inode = 0;
    let mut add = |name: &str, kind: Kind| {
        inode += 1;
        member(&mut out, inode, name, kind);
    };
    add("dev", Kind::Directory);
    // init/main.c, console_on_rootfs(): without it PID 1 has no standard streams.
    add("dev/console", Kind::Device { major: 5, minor: 1 });
    add("dev/null", Kind::Device { major: 1, minor: 3 });
    add("init", Kind::File { mode: 0o755, bytes: agent });
    if !boot_modules.is_empty() {
        add("boot-modules", Kind::Directory);
    }
    for (n, bytes) in boot_modules.iter().enumerate() {
        add(&format!("boot-modules/{n:02}"), Kind::File { mode: 0o644, bytes });
    }
    member(&mut out, 0, "TRAILER!!!", Kind::File { mode: 0, bytes: &[] });
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn member(out: &mut Vec<u8>, inode: u32, name: &str, kind: Kind) {
    let (mode, bytes, rdev): (u32, &[u8], (u32, u32)) = match kind {
        Kind::Directory => (DIRECTORY, &[], (0, 0)),
        Kind::File { mode: 0, bytes } => (0, bytes, (0, 0)), // the trailer
        Kind::File { mode, bytes } => (REGULAR | mode, bytes, (0, 0)),
        Kind::Device { major, minor } => (CHARACTER, &[], (major, minor)),
    };
    let links = if mode == DIRECTORY { 2 } else { 1 };
    let fields = [inode, mode, 0, 0, links, 0, bytes.len() as u32, 0, 0, rdev.0, rdev.1, name.len() as u32 + 1, 0];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parsed = (String, u32, (u32, u32), Vec<u8>);

    /// Reads the archive back, independently of the writer's order of fields: (name, mode, device, bytes).
    fn parse(mut archive: &[u8]) -> Vec<Parsed> {
        let mut members = Vec::new();
        loop {
            assert_eq!(&archive[..6], b"070701");
            let field = |i: usize| {
                u32::from_str_radix(std::str::from_utf8(&archive[6 + 8 * i..14 + 8 * i]).unwrap(), 16).unwrap()
            };
            let (mode, size, rdev, name_size) =
                (field(1), field(6) as usize, (field(9), field(10)), field(11) as usize);
            let name = std::str::from_utf8(&archive[110..110 + name_size - 1]).unwrap().to_owned();
            assert_eq!(archive[110 + name_size - 1], 0);
            let start = (110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                return members;
            }
            members.push((name, mode, rdev, archive[start..start + size].to_vec()));
            archive = &archive[(start + size).next_multiple_of(4)..];
        }
    }

    #[test]
    fn holds_the_agent_the_devices_and_the_modules_in_order() {
        let bytes = archive(b"\x7fELF!", &[b"first".to_vec(), b"second!!".to_vec()]);
        assert_eq!(bytes.len() % 512, 0);
        let members = parse(&bytes);
        let names: Vec<_> = members.iter().map(|m| m.0.as_str()).collect();
        assert_eq!(
            names,
            ["dev", "dev/console", "dev/null", "init", "boot-modules", "boot-modules/00", "boot-modules/01"]
        );
        assert_eq!((members[1].1, members[1].2), (0o020_600, (5, 1)));
        assert_eq!((members[3].1, members[3].3.as_slice()), (0o100_755, &b"\x7fELF!"[..]));
        assert_eq!(members[6].3, b"second!!");
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        assert_eq!(archive(b"x", &[]), archive(b"x", &[]));
        assert_ne!(archive(b"x", &[]), archive(b"y", &[]));
        assert!(!parse(&archive(b"x", &[])).iter().any(|m| m.0.starts_with("boot-modules")));
    }
}
