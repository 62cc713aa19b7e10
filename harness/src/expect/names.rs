//! Many names written as few patterns, and back: the inverse of braces in `testcases/expectations.toml`.

use std::collections::{BTreeMap, BTreeSet};

/// Patterns that stand for exactly these names, in their order. Names whose last word is a number are written together
/// (`abi::dirty::{bool,u8}_{1..5}`), others by themselves.
pub fn merged<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let mut out: Vec<String> = Vec::new();
    // Numbers by (path, rest of the last word).
    let mut numbered: BTreeMap<(&str, &str), BTreeSet<u32>> = BTreeMap::new();
    for name in names {
        match split(name) {
            Some((path, stem, number)) => drop(numbered.entry((path, stem)).or_default().insert(number)),
            None => out.push(name.to_owned()),
        }
    }
    // Stems by (path, numbers).
    let mut alike: BTreeMap<(&str, Vec<u32>), Vec<&str>> = BTreeMap::new();
    for ((path, stem), numbers) in numbered {
        alike.entry((path, numbers.into_iter().collect())).or_default().push(stem);
    }
    for ((path, numbers), stems) in alike {
        let stem = match stems.as_slice() {
            [one] => (*one).to_owned(),
            several => format!("{{{}}}", several.join(",")),
        };
        out.push(format!("{path}{stem}_{}", span(&numbers)));
    }
    out.sort_unstable();
    out
}

/// `abi::dirty::u8_3` is `abi::dirty::`, `u8` and 3. Not what would read differently when written as a number again.
fn split(name: &str) -> Option<(&str, &str, u32)> {
    let at = name.rfind("::").map_or(0, |at| at + 2);
    let (path, word) = name.split_at(at);
    let (stem, digits) = word.rsplit_once('_')?;
    let number: u32 = digits.parse().ok()?;
    let plain = !name.contains(['{', '}', ',', '*']) && !stem.is_empty();
    (plain && number.to_string() == digits).then_some((path, stem, number))
}

/// `{1..5}` for numbers without a gap, `{1,3}` for others, `7` for one.
fn span(numbers: &[u32]) -> String {
    match numbers {
        [one] => one.to_string(),
        [first, .., last] if last - first == u32::try_from(numbers.len() - 1).unwrap_or(0) && last - first < 100 => {
            format!("{{{first}..{last}}}")
        }
        several => format!("{{{}}}", several.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expectations::braces;

    fn back(patterns: &[String]) -> BTreeSet<String> {
        patterns.iter().flat_map(|pattern| braces(pattern).expect("our own pattern")).collect()
    }

    #[test]
    fn numbers_are_written_together() {
        let names: Vec<String> = ["u8", "bool", "u16"]
            .iter()
            .flat_map(|stem| (1..=5).map(move |n| format!("abi::dirty::{stem}_{n}")))
            .chain(["abi::dirty::s8_1", "abi::dirty::s8_3", "stock::tasks::from_pid_null"].map(str::to_owned))
            .collect();
        let merged = merged(names.iter().map(String::as_str));
        assert_eq!(merged, ["abi::dirty::s8_{1,3}", "abi::dirty::{bool,u16,u8}_{1..5}", "stock::tasks::from_pid_null"]);
        assert_eq!(back(&merged), names.into_iter().collect());
    }

    #[test]
    fn any_set_of_names_comes_back() {
        let all: Vec<String> =
            ["a::x_1", "a::x_2", "a::x_3", "a::y_1", "a::y_2", "a::y_3", "a::z_01", "a::_4", "x_9", "b"]
                .map(str::to_owned)
                .to_vec();
        for bits in 0u32..1 << all.len() {
            let some: BTreeSet<String> =
                all.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, name)| name.clone()).collect();
            assert_eq!(back(&merged(some.iter().map(String::as_str))), some);
        }
    }
}
