//! What a run says when something is missing: the doctor's line, from the place where it is missed.

use std::path::Path;

use super::tools::{QEMU_MIN, Tool, Version};
use super::{Mirror, Probe, host::Host, remedy};

/// First line of `PROGRAM --version`, if it is a QEMU that is new enough.
///
/// # Errors
/// What is wrong with it and how to get a good one.
pub fn qemu_version(program: &Path) -> Result<String, String> {
    let name = program.display().to_string();
    let text = Host { mirror: &|| Mirror::NotAsked }.version(&name);
    judge(&name, text.as_deref()).map_err(|what| format!("{what}; {}", remedy(&Tool::Qemu(name))))
}

fn judge(name: &str, text: Option<&str>) -> Result<String, String> {
    let line = text.and_then(|text| text.lines().next()).unwrap_or_default();
    match (text, Version::find(line)) {
        (None, _) => Err(format!("{name} is not installed")),
        (Some(_), _) if !line.starts_with("QEMU emulator version") => {
            Err(format!("{name} is no QEMU (it says `{line}`)"))
        }
        (Some(_), Some(version)) if version >= QEMU_MIN => Ok(line.to_owned()),
        (Some(_), Some(version)) => Err(format!("{name} is QEMU {version}, and {QEMU_MIN} or newer is needed")),
        (Some(_), None) => Err(format!("{name} does not say a version (it says `{line}`)")),
    }
}

/// An error of the image stage, with the doctor's line when it is about a missing tool.
pub fn explain(error: &images::Error) -> String {
    match error {
        images::Error::MissingTool { tool, .. } => {
            let needed = match *tool {
                "ld.lld" | "lld" => Tool::Lld,
                "gpgv" | "sqv" => Tool::Verifier,
                _ => Tool::Clang(super::tools::CLANG_MIN),
            };
            format!("{error}; {}", remedy(&needed))
        }
        images::Error::MissingBuildTools { missing, .. } => {
            format!("{error}; {}", super::remedies(&build_tools(missing)).join("; "))
        }
        other => other.to_string(),
    }
}

/// The doctor's words for what the image stage misses: `ld.lld-19` is lld.
fn build_tools(missing: &[String]) -> Vec<Tool> {
    let tool = |name: &String| {
        let program = name.rsplit('/').next().unwrap_or(name);
        let plain = program.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
        match plain {
            "clang" => Tool::Clang(super::tools::CLANG_MIN),
            "ld.lld" => Tool::Lld,
            _ => Tool::Build(plain.to_owned()),
        }
    };
    missing.iter().map(tool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Distro, tools};

    #[test]
    fn every_missing_build_tool_comes_with_its_package() {
        let missing = ["pahole", "libelf", "ld.lld-19", "llvm-nm-19", "riscv64-linux-gnu-gcc", "riscv64-linux-gnu-ld"];
        let tools = build_tools(&missing.map(str::to_owned));
        let command = |os: &str| tools::remedies(&tools, &Distro::read(os)).join("\n");
        let debian = command("ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n");
        let names = "dwarves libelf-dev lld-19 llvm-19 gcc-riscv64-linux-gnu binutils-riscv64-linux-gnu";
        assert!(debian.ends_with(names), "{debian}");
        assert!(command("ID=fedora\nVERSION_ID=43\n").contains("elfutils-libelf-devel"));
    }

    #[test]
    fn qemu_must_be_there_and_new_enough() {
        assert_eq!(judge("q", None).unwrap_err(), "q is not installed");
        assert_eq!(
            judge("q", Some("QEMU emulator version 7.2.15 (Debian)")).unwrap_err(),
            "q is QEMU 7.2, and 9.0 or newer is needed"
        );
        assert!(judge("q", Some("hello")).unwrap_err().contains("`hello`"));
        assert!(judge("q", Some("true (GNU coreutils) 9.1")).unwrap_err().contains("no QEMU"));
        assert_eq!(
            judge("q", Some("QEMU emulator version 10.0.2\nCopyright")).unwrap(),
            "QEMU emulator version 10.0.2"
        );
    }
}
