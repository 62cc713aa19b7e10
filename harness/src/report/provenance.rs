//! What a run was made with, as names and values: the same in every form.
//!
//! Names are those of KTAP's and JUnit's properties and of the JSON forms. Values are clean and of one line; what is not
//! known is left out.

use super::{clean, quote};
use crate::model::{KernelResults, RunResults};
use crate::results;

/// Name and value.
pub type Fact = (&'static str, String);

/// Of the run as a whole: harness, time, command, host, seed.
pub fn of_run(results: &RunResults) -> Vec<Fact> {
    let command = quote::words(std::iter::once("kfunc").chain(results.command.iter().map(String::as_str)));
    let mut out = vec![
        ("harness", results.harness.clone()),
        ("commit", results.commit.clone().unwrap_or_default()),
        ("started", results::iso8601(results.started)),
        ("command", command),
        ("host", results.host.kernel.clone()),
        ("host-cpus", results.host.cpus.to_string()),
    ];
    if let Some(abi) = results.abi {
        out.push(("seed", abi.seed.to_string()));
        out.push(("cases", abi.cases.to_string()));
    }
    cleaned(out)
}

/// Of one kernel: what was booted, and how.
pub fn of_kernel(kernel: &KernelResults) -> Vec<Fact> {
    let known = |hash: &Option<String>| hash.clone().unwrap_or_default();
    let mut out = Vec::new();
    if let Some(image) = &kernel.image {
        out.push(("image", image.provider.clone()));
        out.push(("image-key", image.key.clone()));
        out.push(("kernel-sha256", known(&image.kernel_sha256)));
        out.push(("config-sha256", known(&image.config_sha256)));
        let from: Vec<String> = image.provenance.iter().map(|(name, value)| format!("{name}={value}")).collect();
        out.push(("image-from", from.join(", ")));
    }
    if let Some(guest) = &kernel.guest {
        out.push(("btf-sha256", known(&guest.btf_sha256)));
        out.push(("qemu", guest.qemu.clone()));
        out.push(("accelerator", guest.accel.clone()));
        out.push(("qemu-command", guest.command.clone()));
    }
    cleaned(out)
}

fn cleaned(facts: Vec<Fact>) -> Vec<Fact> {
    let facts = facts.into_iter().map(|(name, value)| (name, clean::line(&value)));
    facts.filter(|(_, value)| !value.is_empty()).collect()
}

/// The beginning of a hash or commit, as people tell two apart; the rest of the text (`-dirty`) stays.
pub fn short(hash: &str) -> String {
    let digits = hash.chars().take_while(char::is_ascii_hexdigit).count();
    format!("{}{}", &hash[..digits.min(12)], &hash[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AbiSettings;
    use crate::report::fixture;

    #[test]
    fn everything_that_is_known_is_there() {
        let mut results = fixture::five();
        results.abi = Some(AbiSettings { seed: 7, cases: 20 });
        let run: Vec<String> = of_run(&results).iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            run,
            [
                "harness: 0.1.0",
                "commit: 8a354db",
                "started: 2025-11-24T03:10:00Z",
                "command: kfunc run",
                "host: 6.18.0 x86_64",
                "host-cpus: 2",
                "seed: 7",
                "cases: 20"
            ]
        );
        let names: Vec<&str> = of_kernel(&results.kernels[0]).iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "image",
                "image-key",
                "kernel-sha256",
                "config-sha256",
                "image-from",
                "btf-sha256",
                "qemu",
                "accelerator",
                "qemu-command"
            ]
        );
        assert!(of_kernel(&results.kernels[1]).is_empty(), "nothing was booted");
        let without_btf = of_kernel(&results.kernels[2]);
        assert!(!without_btf.iter().any(|(name, _)| *name == "btf-sha256"));
    }

    #[test]
    fn short_hashes() {
        assert_eq!(short("e21704860f568347262d87e59d8528"), "e21704860f56");
        assert_eq!(short("8a354db9c9e435ec846f-dirty"), "8a354db9c9e4-dirty");
        assert_eq!((short(""), short("é")), (String::new(), "é".to_owned()));
    }
}
