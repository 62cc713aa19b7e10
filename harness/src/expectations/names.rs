//! Patterns of names: braces and stars.

/// Most names that one pattern may stand for.
const NAMES_MAX: usize = 1000;

/// All names that a text with braces stands for: `a_{b,c}` is `a_b` and `a_c`, `a_{1..3}` is `a_1` to `a_3`.
pub fn braces(text: &str) -> Result<Vec<String>, String> {
    let unpaired = || format!("`{text}`: braces do not pair");
    let Some((before, rest)) = text.split_once('{') else {
        return if text.contains('}') { Err(unpaired()) } else { Ok(vec![text.to_owned()]) };
    };
    let (inside, after) = rest.split_once('}').ok_or_else(unpaired)?;
    if before.contains('}') || inside.contains('{') {
        return Err(unpaired());
    }
    let range = inside.split_once("..").map(|(from, to)| (from.parse::<u32>(), to.parse::<u32>()));
    let words: Vec<String> = match range {
        Some((Ok(from), Ok(to))) if from <= to && to - from < 100 => (from..=to).map(|n| n.to_string()).collect(),
        Some(_) => return Err(format!("`{text}`: `{{{inside}}}` is no range")),
        None => inside.split(',').map(|word| word.trim().to_owned()).collect(),
    };
    let tails = braces(after)?;
    if words.len() * tails.len() > NAMES_MAX {
        return Err(format!("`{text}` stands for more than {NAMES_MAX} names"));
    }
    Ok(words.iter().flat_map(|word| tails.iter().map(move |tail| format!("{before}{word}{tail}"))).collect())
}

/// `*` stands for any text.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_each_of_their_words() {
        assert_eq!(braces("a_{b,c}_{8..10}").unwrap(), ["a_b_8", "a_b_9", "a_b_10", "a_c_8", "a_c_9", "a_c_10"]);
        assert_eq!(braces("a").unwrap(), ["a"]);
        for bad in ["a{b", "a}b", "{a{b}}", "{9..1}", "{a..b}", "{1..90}{1..90}"] {
            assert!(braces(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn globs() {
        assert!(glob("a::*", "a::b") && glob("*", "x") && glob("a*c*e", "abcde") && glob("ab", "ab"));
        assert!(!glob("a::*", "b::a::") && !glob("ab", "abc") && !glob("a*c*e", "abcd") && !glob("a*a", "a"));
    }
}
