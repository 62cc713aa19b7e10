//! The last border before a terminal or a report: no control sequence that came from a guest passes here.
//!
//! The engine strips too, where text enters; this is done again because a saved file may have been written by anybody.

/// One line: escape sequences, control characters and invisible direction marks are dropped, white space is one space.
pub fn line(text: &str) -> String {
    let stripped = strip(text);
    let mut out = String::with_capacity(stripped.len());
    for word in stripped.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Lines as they are, each cleaned but with its indentation; empty ones at the end dropped.
pub fn lines(text: &str) -> Vec<String> {
    let mut out: Vec<String> =
        strip(text).split('\n').map(|one| one.replace('\t', "    ").trim_end().to_owned()).collect();
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    out
}

/// Cuts to `max` characters, with an ellipsis when something was cut.
pub fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// Everything but line feeds and tabs that a terminal could act on is gone afterwards.
fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                // CSI (ECMA-48 5.4): parameters and intermediates up to a final byte 0x40..0x7e.
                Some('[') => {
                    while let Some(&next) = chars.peek() {
                        if next == '\n' {
                            break;
                        }
                        chars.next();
                        if ('\u{40}'..='\u{7e}').contains(&next) {
                            break;
                        }
                    }
                }
                // OSC, DCS, SOS, PM, APC (ECMA-48 5.6): up to BEL or ST. A line feed ends it too: an unterminated
                // string must not swallow the rest of a log.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(&next) = chars.peek() {
                        if next == '\n' {
                            break;
                        }
                        chars.next();
                        if next == '\u{7}' {
                            break;
                        }
                        if next == '\u{1b}' {
                            if chars.peek() == Some(&'\\') {
                                chars.next();
                            }
                            break;
                        }
                    }
                }
                Some('\n') => out.push('\n'),
                _ => {}
            },
            '\n' | '\t' => out.push(c),
            '\r' => {}
            c if c.is_control() => {}
            // Direction overrides and isolates can make a line read differently from what it says.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_sequence_survives() {
        assert_eq!(line("\u{1b}[31mred\u{1b}[0m"), "red");
        assert_eq!(line("\u{1b}]0;title\u{7}text"), "text");
        assert_eq!(line("\u{1b}]8;;link\u{1b}\\text"), "text");
        assert_eq!(line("a\u{9b}2Jb"), "a2Jb");
        assert_eq!(line("a\rb\u{8}\u{0}c"), "abc");
        assert_eq!(line("\u{202e}abc"), "abc");
        assert_eq!(line("  two\n\twords "), "two words");
        assert_eq!(line("\u{1b}"), "");
        assert_eq!(line("\u{1b}["), "");
    }

    #[test]
    fn an_unterminated_sequence_ends_with_its_line() {
        assert_eq!(lines("\u{1b}]0;never ended\nnext\n"), ["", "next"]);
        assert_eq!(lines("\u{1b}[12\nnext"), ["", "next"]);
    }

    #[test]
    fn lines_keep_indentation() {
        assert_eq!(lines("0: r1\n\t1: exit\r\n\n"), ["0: r1", "    1: exit"]);
    }

    #[test]
    fn long_lines_are_cut() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abcde…");
    }
}
