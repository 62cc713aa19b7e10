//! One page of HTML that needs nothing else: the table, cases by suite and by kfunc, every cell that is not right with its
//! evidence. No script, nothing loaded from anywhere. All text that is not ours goes through [`text`].

mod can;
mod cells;
mod matrix;
mod text;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::provenance::short;
use super::row::{Row, rows};
use super::{quote, table};
use crate::model::{KernelResults, RunResults, Verdict};
use crate::results;
use text::{escape_into, line};

const STYLE: &str = include_str!("html/style.css");

/// A kernel as the page names it, ready for HTML.
struct Name {
    arch: String,
    /// The release; the kernel as asked for as well where two of the run would read the same.
    kernel: String,
}

/// The page. Ends with a line feed.
pub fn html(results: &RunResults) -> String {
    let rows = rows(results);
    let names = names(&rows);
    let (date, stamp) = when(results.started);
    let tally = matrix::all(results);
    let mut out = String::with_capacity(64 << 10);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>kfunc conformance, {date}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<header>\n<h1>kfunc conformance</h1>\n"
    );
    let _ = writeln!(out, "<p class=\"lead\">{}</p>", lead(&rows, &tally));
    facts(&mut out, results, &date, &stamp);
    out.push_str("</header>\n");
    let sections = [
        ("table", "Kernels", summary(results, &rows, &names)),
        ("can", "Capabilities", can::capabilities(results, &names)),
        ("suites", "Suites", matrix::suites(results, &names)),
        ("wrong", "Wrong", cells::wrong(results, &names)),
        ("known", "Known failures", cells::known(results, &names)),
        ("kfuncs", "kfuncs", matrix::kfuncs(results, &names)),
        ("guests", "Guests", guests(results, &names)),
    ];
    out.push_str("<nav aria-label=\"Sections\"><ul>\n");
    for (id, title, _) in sections.iter().filter(|(.., body)| !body.is_empty()) {
        let _ = writeln!(out, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    out.push_str("</ul></nav>\n<main>\n");
    // By value: a section that is in the page is not kept beside it.
    for (id, title, body) in sections.into_iter().filter(|(.., body)| !body.is_empty()) {
        let _ = write!(out, "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{body}</section>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// `2025-11-24 03:10:00 UTC` and the same for machines.
fn when(started: u64) -> (String, String) {
    let stamp = results::iso8601(started);
    (stamp.replace('T', " ").replace('Z', " UTC"), stamp)
}

fn names(rows: &[Row]) -> Vec<Name> {
    let twice =
        |row: &Row| rows.iter().filter(|other| other.arch == row.arch && other.kernel == row.kernel).count() > 1;
    let kernel = |row: &Row| if twice(row) { format!("{} ({})", row.kernel, row.asked) } else { row.kernel.clone() };
    rows.iter().map(|row| Name { arch: line(&row.arch), kernel: line(&kernel(row)) }).collect()
}

/// The run in two sentences.
fn lead(rows: &[Row], tally: &matrix::Tally) -> String {
    let order =
        [Verdict::Conformant, Verdict::Broken, Verdict::Unsupported, Verdict::NoBtf, Verdict::NoJit, Verdict::Unknown];
    let verdicts: Vec<String> = order
        .iter()
        .map(|verdict| (rows.iter().filter(|row| row.verdict == *verdict).count(), verdict))
        .filter(|(count, _)| *count > 0)
        .map(|(count, verdict)| format!("{count} {verdict}"))
        .collect();
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let wrong =
        if tally.wrong == 0 { "none wrong".to_owned() } else { format!("<strong>{} wrong</strong>", tally.wrong) };
    format!(
        "{}: {}. {} of {} right, {}, {wrong}.",
        plural(rows.len(), "kernel"),
        verdicts.join(", "),
        tally.right,
        plural(tally.run(), "case"),
        plural(tally.known, "known failure"),
    )
}

/// One term and its text as HTML.
fn term(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
}

fn facts(out: &mut String, results: &RunResults, date: &str, stamp: &str) {
    let each = |of: fn(&KernelResults) -> Option<&str>| -> String {
        let all: BTreeSet<&str> = results.kernels.iter().filter_map(of).filter(|text| !text.is_empty()).collect();
        all.into_iter().map(line).collect::<Vec<_>>().join("<br>")
    };
    out.push_str("<dl class=\"facts\">\n");
    term(out, "Date", &format!("<time datetime=\"{stamp}\">{date}</time>"));
    let tenths = results.duration_ms / 100;
    term(out, "Took", &format!("{}.{} s", tenths / 10, tenths % 10));
    let command = quote::words(std::iter::once("kfunc").chain(results.command.iter().map(String::as_str)));
    term(out, "Command", &format!("<code>{}</code>", line(&command)));
    let cpus = results.host.cpus;
    let host = format!("{}, {cpus} processor{}", line(&results.host.kernel), if cpus == 1 { "" } else { "s" });
    term(out, "Host", &host);
    term(out, "QEMU", &each(|kernel| kernel.guest.as_ref().map(|guest| guest.qemu.as_str())));
    term(out, "Accelerator", &each(|kernel| kernel.guest.as_ref().map(|guest| guest.accel.as_str())));
    let commit = results.commit.as_deref().map(|commit| format!(" ({})", line(&short(commit)))).unwrap_or_default();
    term(out, "Harness", &format!("{}{commit}", line(&results.harness)));
    if let Some(abi) = results.abi {
        let random = if abi.cases == 0 { String::new() } else { format!(", {} random calls", abi.cases) };
        term(out, "Seed", &format!("{}{random}", abi.seed));
    }
    out.push_str("</dl>\n");
}

/// Class and symbol that go with the word.
fn look(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Conformant => ("good", "✓"),
        Verdict::Broken => ("bad", "✗"),
        Verdict::Unknown => ("bad", "?"),
        Verdict::Unsupported | Verdict::NoBtf | Verdict::NoJit => ("na", "–"),
    }
}

fn summary(results: &RunResults, rows: &[Row], names: &[Name]) -> String {
    let mut out = String::new();
    open_table(&mut out, "One row per kernel", "summary", false);
    out.push_str("<thead><tr>");
    for head in table::HEADER {
        let class = if matches!(head, "right/run" | "n/a") { " class=\"num\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{class}>{head}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (row, name) in rows.iter().zip(names) {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th><td>{}</td>", name.arch, name.kernel);
        for word in [&row.jit, &row.btf, &row.claim] {
            let _ = write!(out, "<td>{}</td>", line(word));
        }
        let _ = write!(out, "<td class=\"num\">{}/{}</td>", row.right, row.run);
        let _ = write!(out, "<td class=\"num\">{}</td><td>{}</td>", row.not_applicable, line(&row.trampoline));
        let (class, symbol) = look(row.verdict);
        let _ =
            writeln!(out, "<td class=\"{class}\"><span aria-hidden=\"true\">{symbol}</span> {}</td></tr>", row.verdict);
    }
    close_table(&mut out);
    let notes = table::notes(results, rows);
    if !notes.is_empty() {
        out.push_str("<ul class=\"notes\">\n");
        for note in &notes {
            let _ = writeln!(out, "<li>{}</li>", line(note));
        }
        out.push_str("</ul>\n");
    }
    out
}

/// A table in a box of its own that scrolls sideways, and down as well if it is `tall`.
fn open_table(out: &mut String, caption: &str, class: &str, tall: bool) {
    let tall = if tall { " tall" } else { "" };
    let _ = writeln!(
        out,
        "<div class=\"scroll{tall}\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table class=\"{class}\">\n\
         <caption><span>{caption}</span></caption>"
    );
}

fn close_table(out: &mut String) {
    out.push_str("</tbody>\n</table></div>\n");
}

/// What was booted, and how.
fn guests(results: &RunResults, names: &[Name]) -> String {
    let mut out = String::new();
    for (kernel, name) in results.kernels.iter().zip(names) {
        let _ = write!(out, "<details><summary>{} <small>{}</small></summary>\n<dl>\n", name.arch, name.kernel);
        term(&mut out, "Asked for", &line(&kernel.kernel));
        if let Some(error) = &kernel.error {
            term(&mut out, "Error", &line(error));
        }
        if let Some(guest) = &kernel.guest {
            term(&mut out, "QEMU", &line(&guest.qemu));
            term(&mut out, "Accelerator", &line(&guest.accel));
            term(&mut out, "Booted in", &format!("{} ms", guest.boot_ms));
            term(&mut out, "Guests", &guest.guests.to_string());
            term(&mut out, "Command", &format!("<code>{}</code>", line(&guest.command)));
            hash(&mut out, "BTF", guest.btf_sha256.as_deref());
        }
        if let Some(image) = &kernel.image {
            term(&mut out, "Image", &line(&format!("{} {}", image.provider, image.release)));
            term(&mut out, "Key", &line(&image.key));
            hash(&mut out, "Kernel", image.kernel_sha256.as_deref());
            hash(&mut out, "Configuration", image.config_sha256.as_deref());
            for (key, value) in &image.provenance {
                term(&mut out, &line(key), &line(value));
            }
        }
        out.push_str("</dl>\n</details>\n");
    }
    out
}

fn hash(out: &mut String, what: &str, sha256: Option<&str>) {
    if let Some(sha256) = sha256 {
        term(out, &format!("{what}, SHA-256"), &format!("<code>{}</code>", line(sha256)));
    }
}

/// A link where the text is one that a browser can follow, else the text.
fn link(text: &str) -> String {
    let shown = line(text);
    if text.starts_with("https://") || text.starts_with("http://") {
        format!("<a href=\"{shown}\" rel=\"noopener noreferrer\">{shown}</a>")
    } else {
        shown
    }
}

/// Text in a block that keeps its lines.
fn preformatted(out: &mut String, title: &str, lines: &[String]) {
    let _ = write!(out, "<h4>{title}</h4>\n<pre tabindex=\"0\">");
    for (index, text) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        escape_into(out, text);
    }
    out.push_str("</pre>\n");
}

#[cfg(test)]
mod tests;
