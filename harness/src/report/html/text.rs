//! Text that means itself in HTML, wherever it came from.

use crate::report::clean;

/// Appends `text` so that it means itself between tags and in a quoted attribute. What a terminal could act on must have
/// been taken out before ([`clean`]).
pub fn escape_into(out: &mut String, text: &str) {
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let entity = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        out.push_str(entity);
        from = at + 1;
    }
    out.push_str(&text[from..]);
}

/// One line, cleaned and escaped.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    escape_into(&mut out, &clean::line(text));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_tag_or_an_attribute() {
        assert_eq!(line("a & b"), "a &amp; b");
        assert_eq!(line("<script>alert('x')</script>"), "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
        assert_eq!(line("\" onclick=\"x"), "&quot; onclick=&quot;x");
        assert_eq!(line("&lt;"), "&amp;lt;");
        assert_eq!(line("ünï ✓"), "ünï ✓");
        assert_eq!(line(""), "");
    }

    #[test]
    fn cleaning_comes_first() {
        // What is left when a control character is gone is escaped as well.
        assert_eq!(line("<\u{0}b\u{1b}[31m>\u{202e}\n"), "&lt;b&gt;");
    }
}
