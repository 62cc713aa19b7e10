//! Names of trials. A name that means a case on one kernel only does not name the kernel.

use std::collections::{HashMap, HashSet};

/// What a trial stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Arch.
    pub arch: String,
    /// Kernel as asked for.
    pub kernel: String,
    /// Suite.
    pub suite: String,
    /// Case.
    pub case: String,
}

/// A trial: its name and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// `riscv64::stock::strings::strchr`; if it is run on several kernels `riscv64@stock:trixie::stock::strings::strchr`.
    pub name: String,
    /// What it stands for.
    pub key: Key,
}

/// Names all cases of a plan.
pub fn name(keys: impl IntoIterator<Item = Key>) -> Vec<Trial> {
    let keys: Vec<Key> = keys.into_iter().collect();
    let case = |key: &Key| (key.arch.clone(), key.suite.clone(), key.case.clone());
    let mut kernels: HashMap<_, HashSet<String>> = HashMap::new();
    for key in &keys {
        kernels.entry(case(key)).or_default().insert(key.kernel.clone());
    }
    keys.into_iter()
        .map(|key| {
            let several = kernels.get(&case(&key)).is_some_and(|kernels| kernels.len() > 1);
            let kernel = if several { format!("@{}", key.kernel) } else { String::new() };
            Trial { name: format!("{}{kernel}::{}::{}", key.arch, key.suite, key.case), key }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(arch: &str, kernel: &str) -> Key {
        Key { arch: arch.into(), kernel: kernel.into(), suite: "stock".into(), case: "strings::strchr".into() }
    }

    #[test]
    fn one_kernel_is_not_named() {
        let trials = name([key("riscv64", "stock"), key("arm64", "stock")]);
        let names: Vec<&str> = trials.iter().map(|trial| trial.name.as_str()).collect();
        assert_eq!(names, ["riscv64::stock::strings::strchr", "arm64::stock::strings::strchr"]);
        assert_eq!(name([]), []);
    }

    #[test]
    fn several_kernels_are_told_apart() {
        let trials = name([key("riscv64", "stock"), key("riscv64", "stock:trixie")]);
        assert_eq!(trials[0].name, "riscv64@stock::stock::strings::strchr");
        assert_eq!(trials[1].name, "riscv64@stock:trixie::stock::strings::strchr");
    }
}
