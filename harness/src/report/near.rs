//! Names near a mistyped one.

/// At most three of `known` that look like `name`, the nearest first.
pub fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            let contains = !wanted.is_empty() && (lower.contains(&wanted) || wanted.contains(&lower));
            // A name is often remembered by one of its words: `strchr` of `strings::strchr_finds`.
            let words = lower.split([':', '_']).map(|word| 0.99 * strsim::jaro_winkler(&wanted, word));
            let score = words.fold(strsim::jaro_winkler(&wanted, &lower), f64::max);
            (if contains { score.max(0.9) } else { score }, candidate)
        })
        .filter(|(score, _)| *score >= 0.85)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// `"; did you mean `a`, `b` or `c`?"`, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let found = near(name, known);
    match found.as_slice() {
        [] => String::new(),
        [one] => format!("; did you mean `{one}`?"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("; did you mean {} or `{last}`?", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_name() {
        let known = ["x86_64", "arm64", "loongarch64", "riscv64", "arm32"];
        assert_eq!(near("risc64", known), ["riscv64"]);
        assert_eq!(near("longarch64", known), ["loongarch64"]);
        assert_eq!(near("qqq", known), [""; 0]);
        let cases = ["stock::strings::strchr_finds", "stock::list::push_front", "probe::trampoline"];
        assert_eq!(near("strchrr", cases), ["stock::strings::strchr_finds"]);
        assert_eq!(near("probe::trampolin3", cases), ["probe::trampoline"]);
        assert_eq!(near("bananas", cases), [""; 0]);
    }

    #[test]
    fn the_question_reads_well() {
        assert_eq!(did_you_mean("zzz", ["probe"]), "");
        assert_eq!(did_you_mean("prob", ["probe", "stock"]), "; did you mean `probe`?");
        assert_eq!(did_you_mean("arm", ["arm64", "arm32"]), "; did you mean `arm32` or `arm64`?");
    }
}
