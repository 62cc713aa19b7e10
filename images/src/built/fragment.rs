//! What the configuration of a kernel must have: fragments, their merging, and the check that nothing was lost. Pure.
//!
//! `make allnoconfig` drops silently what cannot be: a symbol that is misspelt, that this tree does not have, or whose
//! dependencies are not met. A kernel without, say, BTF would then be built for minutes and be of no use.

use crate::image::config_value;

/// What every arch has.
const COMMON: &str = include_str!("../../kernel/common.config");

/// What comes with an arch, by the name in its arch file.
const ARCHES: [(&str, &str); 6] = [
    ("x86_64", include_str!("../../kernel/x86_64.config")),
    ("x86_32", include_str!("../../kernel/x86_32.config")),
    ("arm64", include_str!("../../kernel/arm64.config")),
    ("arm32", include_str!("../../kernel/arm32.config")),
    ("riscv64", include_str!("../../kernel/riscv64.config")),
    ("loongarch64", include_str!("../../kernel/loongarch64.config")),
];

/// A symbol and the value it must have in the end; `n` is "not set".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Without `CONFIG_`.
    pub(crate) symbol: String,
    /// As in a `.config`.
    pub(crate) value: String,
    /// First release (version, patch level) that has the symbol.
    since: Option<(u32, u32)>,
}

/// A demand that the final configuration does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Without `CONFIG_`.
    pub(crate) symbol: String,
    /// What was asked for.
    pub(crate) wanted: String,
    /// What came out; `n` if it is not set.
    pub(crate) got: String,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CONFIG_{} (wanted {}, got {})", self.symbol, self.wanted, self.got)
    }
}

/// Names that an arch file may use for `[build] fragment`.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ARCHES.iter().map(|(name, _)| *name)
}

/// All that is demanded of a kernel: the common fragment, the arch's, then `more`; what comes later wins. `None`: there is
/// no fragment of that name.
pub(crate) fn demands(fragment: &str, more: &str) -> Option<Result<Vec<Demand>, String>> {
    let (_, arch) = ARCHES.iter().find(|(name, _)| *name == fragment)?;
    Some(merge(&[("common.config", COMMON), (fragment, arch), ("the variant", more)]))
}

/// Merges texts; the last one that names a symbol decides.
fn merge(texts: &[(&str, &str)]) -> Result<Vec<Demand>, String> {
    let mut merged: Vec<Demand> = Vec::new();
    for (name, text) in texts {
        for demand in parse(text).map_err(|(line, what)| format!("fragment {name}, line {line}: {what}"))? {
            merged.retain(|earlier| earlier.symbol != demand.symbol);
            merged.push(demand);
        }
    }
    Ok(merged)
}

/// Reads a fragment: `CONFIG_X=value`, `# CONFIG_X is not set`, `# since X.Y` for the line that follows, comments.
fn parse(text: &str) -> Result<Vec<Demand>, (usize, String)> {
    let (mut demands, mut since) = (Vec::new(), None);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let malformed = || (index + 1, format!("expected CONFIG_NAME=value, found '{line}'"));
        let (symbol, value) = if let Some(rest) = line.strip_prefix("# since ") {
            since = Some(release(rest).ok_or_else(|| (index + 1, format!("expected a release, found '{rest}'")))?);
            continue;
        } else if let Some(symbol) = line.strip_prefix("# CONFIG_").and_then(|rest| rest.strip_suffix(" is not set")) {
            (symbol, "n")
        } else if line.is_empty() || line.starts_with('#') {
            continue;
        } else {
            line.strip_prefix("CONFIG_").and_then(|rest| rest.split_once('=')).ok_or_else(malformed)?
        };
        if symbol.is_empty() || value.is_empty() || !symbol.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(malformed());
        }
        demands.push(Demand { symbol: symbol.to_owned(), value: value.to_owned(), since: since.take() });
    }
    Ok(demands)
}

/// Version and patch level at the beginning of a text such as `7.2.12`.
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The demands that a kernel of this release can meet.
pub(crate) fn for_release(demands: Vec<Demand>, release: (u32, u32)) -> Vec<Demand> {
    demands.into_iter().filter(|demand| demand.since.is_none_or(|since| release >= since)).collect()
}

/// The text for `KCONFIG_ALLCONFIG`.
pub(crate) fn text(demands: &[Demand]) -> String {
    let line = |demand: &Demand| match demand.value.as_str() {
        "n" => format!("# CONFIG_{} is not set\n", demand.symbol),
        value => format!("CONFIG_{}={value}\n", demand.symbol),
    };
    demands.iter().map(line).collect()
}

/// Demands that the final configuration does not meet.
pub(crate) fn lost(demands: &[Demand], config: &str) -> Vec<Lost> {
    let got = |demand: &Demand| config_value(config, &demand.symbol).unwrap_or("n").to_owned();
    demands
        .iter()
        .filter(|demand| got(demand) != demand.value)
        .map(|demand| Lost { symbol: demand.symbol.clone(), wanted: demand.value.clone(), got: got(demand) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fragment_that_comes_along_is_well_formed_and_asks_for_what_we_live_on() {
        for name in names() {
            let demands = demands(name, "").unwrap().unwrap();
            for symbol in ["BPF_JIT", "DEBUG_INFO_BTF", "VIRTIO_CONSOLE", "BPF_JIT_ALWAYS_ON", "NET_CLS_BPF"] {
                assert!(demands.iter().any(|d| d.symbol == symbol && d.value == "y"), "{name}: {symbol}");
            }
            let mut symbols: Vec<_> = demands.iter().map(|d| &d.symbol).collect();
            let all = symbols.len();
            symbols.sort();
            symbols.dedup();
            assert_eq!(symbols.len(), all, "{name}: a symbol twice");
        }
        assert!(demands("vax", "").is_none());
    }

    #[test]
    fn the_last_word_counts() {
        let more = "# CONFIG_BPF_JIT_ALWAYS_ON is not set\n";
        let demands = demands("riscv64", more).unwrap().unwrap();
        let jit: Vec<_> =
            demands.iter().filter(|d| d.symbol == "BPF_JIT_ALWAYS_ON").map(|d| d.value.as_str()).collect();
        assert_eq!(jit, ["n"]);
        assert!(text(&demands).contains("\n# CONFIG_BPF_JIT_ALWAYS_ON is not set\n"));
        assert!(!text(&demands).contains("CONFIG_BPF_JIT_ALWAYS_ON=y"));
    }

    #[test]
    fn what_did_not_survive_is_named_with_what_came_out() {
        let demands =
            parse("CONFIG_A=y\nCONFIG_BEE=y\nCONFIG_M=m\nCONFIG_S=\"-x\"\n# CONFIG_OFF is not set\n").unwrap();
        let config = "CONFIG_A=y\n# CONFIG_BEE is not set\nCONFIG_M=y\nCONFIG_S=\"-x\"\nCONFIG_OFF=y\n";
        let lost: Vec<_> = lost(&demands, config).iter().map(Lost::to_string).collect();
        assert_eq!(
            lost,
            ["CONFIG_BEE (wanted y, got n)", "CONFIG_M (wanted m, got y)", "CONFIG_OFF (wanted n, got y)"]
        );
        assert!(super::lost(&demands, "CONFIG_A=y\nCONFIG_BEE=y\nCONFIG_M=m\nCONFIG_S=\"-x\"").is_empty());
    }

    #[test]
    fn a_symbol_is_not_demanded_of_kernels_older_than_it() {
        let demands = parse("# since 6.12\nCONFIG_NEW=y\nCONFIG_OLD=y\n").unwrap();
        let symbols = |release| for_release(demands.clone(), release).into_iter().map(|d| d.symbol).collect::<Vec<_>>();
        assert_eq!(symbols((6, 9)), ["OLD"]);
        assert_eq!(symbols((6, 12)), ["NEW", "OLD"]);
        assert_eq!(symbols((7, 0)), ["NEW", "OLD"]);
    }

    #[test]
    fn a_malformed_line_is_named() {
        let error = |text: &str| merge(&[("my.config", text)]).unwrap_err();
        assert_eq!(
            error("CONFIG_A=y\nCNFIG_B=y"),
            "fragment my.config, line 2: expected CONFIG_NAME=value, found 'CNFIG_B=y'"
        );
        assert!(error("CONFIG_A B=y").contains("line 1"));
        assert!(error("CONFIG_A=").contains("line 1"));
        assert!(error("# since soon").contains("expected a release"));
    }
}
