//! Shell quoting for commands that people copy.

/// One word, quoted for a POSIX shell when it needs it.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Words joined to a command line.
pub fn words<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|one| word(one.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_gets_them() {
        assert_eq!(words(["--kernel", "stock:testing"]), "--kernel stock:testing");
        assert_eq!(words(["a b", "", "it's", "$x"]), r"'a b' '' 'it'\''s' '$x'");
    }
}
