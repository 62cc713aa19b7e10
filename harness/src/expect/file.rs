//! The text of an expectations file, cut where its entries are: edits replace what they must and leave every other byte,
//! comments and formatting included, as it is.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::expectations::OneOrMore;

/// An entry's places in the text, in bytes.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Line of its header, from 1.
    pub line: usize,
    /// From its comment to the end of its last line, the line feed included.
    pub whole: Range<usize>,
    /// From its header to the end of its last line.
    pub body: Range<usize>,
    /// The value of `kernels`, with its quotes.
    pub kernels: Range<usize>,
    /// The value of `case`.
    pub case: Range<usize>,
    /// Arch, as written.
    pub arch: String,
    /// `kernels`, as written.
    pub range: String,
    /// The patterns of `case`, as written.
    pub cases: Vec<String>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    known: Vec<Spanned<Raw>>,
}

#[derive(Deserialize)]
struct Raw {
    arch: Spanned<String>,
    kernels: Spanned<String>,
    config: Option<Spanned<String>>,
    case: Spanned<OneOrMore>,
    outcome: Spanned<OneOrMore>,
    reason: Spanned<String>,
    link: Spanned<String>,
}

/// Finds the entries of a file that [`crate::expectations::Expectations::parse`] takes.
///
/// # Errors
/// What the TOML parser says.
pub fn entries(text: &str) -> Result<Vec<Entry>, toml::de::Error> {
    let file: File = toml::from_str(text)?;
    let entry = |spanned: Spanned<Raw>| {
        let start = spanned.span().start;
        let raw = spanned.into_inner();
        let mut ends = vec![raw.arch.span().end, raw.kernels.span().end, raw.case.span().end, raw.outcome.span().end];
        ends.extend([raw.reason.span().end, raw.link.span().end]);
        ends.extend(raw.config.as_ref().map(|config| config.span().end));
        let end = ends.into_iter().max().unwrap_or(start);
        let end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
        Entry {
            line: text[..start].matches('\n').count() + 1,
            whole: comment_above(text, start)..end,
            body: start..end,
            kernels: raw.kernels.span(),
            case: raw.case.span(),
            arch: raw.arch.into_inner(),
            range: raw.kernels.into_inner(),
            cases: raw.case.into_inner().into_vec(),
        }
    };
    Ok(file.known.into_iter().map(entry).collect())
}

/// Where the comment begins that stands directly above `at`, the beginning of a line; `at` without one.
fn comment_above(text: &str, at: usize) -> usize {
    let mut start = at;
    while start > 0 {
        let before = text[..start - 1].rfind('\n').map_or(0, |feed| feed + 1);
        if !text[before..start].starts_with('#') {
            break;
        }
        start = before;
    }
    start
}

/// Replaces parts of a text; parts that overlap are an error of the caller's, of which the first wins.
pub fn splice(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for (range, new) in edits {
        if range.start < at {
            continue;
        }
        out.push_str(&text[at..range.start]);
        out.push_str(&new);
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}

/// A TOML string.
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The value of `case`: a string, or a list with one pattern a line.
pub fn case_value(patterns: &[String]) -> String {
    match patterns {
        [one] => quoted(one),
        several => {
            let lines: String = several.iter().map(|pattern| format!("    {},\n", quoted(pattern))).collect();
            format!("[\n{lines}]")
        }
    }
}
