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

/// The words of a command line that [`words`] joined.
pub fn split(line: &str) -> Vec<String> {
    let (mut out, mut word, mut begun) = (Vec::new(), String::new(), false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                word.extend(chars.by_ref().take_while(|c| *c != '\''));
            }
            '\\' => word.extend(chars.next()),
            c if c.is_whitespace() => {
                if begun {
                    out.push(std::mem::take(&mut word));
                    begun = false;
                }
                continue;
            }
            c => word.push(c),
        }
        begun = true;
    }
    if begun {
        out.push(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_joined_is_split() {
        let all = ["a b", "", "it's", "$x", "--kernel", r"back\slash"];
        assert_eq!(split(&words(all)), all);
        assert_eq!(split("  a  'b c'd "), ["a", "b cd"]);
    }

    #[test]
    fn only_what_needs_quotes_gets_them() {
        assert_eq!(words(["--kernel", "stock:testing"]), "--kernel stock:testing");
        assert_eq!(words(["a b", "", "it's", "$x"]), r"'a b' '' 'it'\''s' '$x'");
    }
}
