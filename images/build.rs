//! Embeds the agent's sources (`agent/*`) as a table, so that an installed binary can compile them for any arch.

use std::fmt::Write as _;
use std::path::Path;

fn main() {
    let dir = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("agent");
    println!("cargo::rerun-if-changed=agent");
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .expect("the agent's sources are part of the crate")
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|e| e == "c" || e == "S" || e == "h"))
        .collect();
    files.sort();
    let mut table = String::from("&[\n");
    for path in files {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        writeln!(table, "    ({name:?}, include_str!({:?})),", path.display().to_string()).expect("a string takes all");
    }
    table.push(']');
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("agent.rs"), table).expect("cargo's directory is writable");
}
