//! Ranges of kernel releases, as expectations name them.

use crate::arch::Release;

/// A range of releases: comparisons joined by commas (`>=6.4, <6.9`), or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range(Vec<(Comparison, Release)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    AtLeast,
    More,
    Equal,
}

impl Range {
    /// Whether a release is in it.
    pub fn holds(&self, release: Release) -> bool {
        self.0.iter().all(|(comparison, bound)| match comparison {
            Comparison::Less => release < *bound,
            Comparison::AtMost => release <= *bound,
            Comparison::AtLeast => release >= *bound,
            Comparison::More => release > *bound,
            Comparison::Equal => release == *bound,
        })
    }
}

impl Range {
    /// Whether some release is in it. Releases are numbers, and between two of them there may be others.
    fn is_possible(&self) -> bool {
        let holds = |release: Release| self.holds(release);
        let near = |Release(version, level): Release| {
            let below = if level == 0 {
                version.checked_sub(1).map(|v| Release(v, u32::MAX))
            } else {
                Some(Release(version, level - 1))
            };
            [Some(Release(version, level)), Some(Release(version, level.saturating_add(1))), below]
        };
        self.0.is_empty() || self.0.iter().any(|(_, bound)| near(*bound).into_iter().flatten().any(holds))
    }
}

impl std::str::FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(Self(Vec::new()));
        }
        let comparisons = [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            ("<", Comparison::Less),
            (">", Comparison::More),
            ("=", Comparison::Equal),
        ];
        let mut bounds = Vec::new();
        for part in text.split(',').map(str::trim) {
            let found = comparisons.iter().find_map(|(sign, c)| part.strip_prefix(sign).map(|rest| (*c, rest.trim())));
            let Some((comparison, release)) = found else {
                return Err(format!(
                    "`kernels`: expected comparisons such as \">=6.4, <6.9\" or \"*\", found `{part}`"
                ));
            };
            bounds.push((comparison, release.parse().map_err(|e| format!("`kernels`: {e}"))?));
        }
        let range = Self(bounds);
        if range.is_possible() { Ok(range) } else { Err(format!("`kernels`: no release is in \"{text}\"")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_holds_nothing_is_none() {
        let possible = |text: &str| text.parse::<Range>();
        for good in ["*", ">=6.4, <6.9", "=7.2", ">7.2", "<7.0", ">6.4, <6.6", "<=7.2, >=7.2"] {
            assert!(possible(good).is_ok(), "{good}");
        }
        for bad in [">=6.9, <6.4", ">=7.2, <7.2", "=7.1, =7.2", ">6.4, <6.5", "<0.0"] {
            let error = possible(bad).expect_err(bad);
            assert!(error.contains("no release is in"), "{error}");
        }
        assert!(possible("6.4").expect_err("no comparison").contains("expected comparisons"));
        assert!(possible(">=six").is_err());
    }
}
