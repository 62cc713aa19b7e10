//! The capability table: each cell opens to how it is known.

use std::fmt::Write as _;

use super::text::line;
use super::{Name, close_table, open_table};
use crate::model::RunResults;
use crate::report::capabilities::{self, Known, Value};

/// The table. Empty when the run has no probe.
pub fn capabilities(results: &RunResults, names: &[Name]) -> String {
    let table = capabilities::table(results);
    // The table leaves out kernels that nothing was run on.
    let names = results.kernels.iter().zip(names).filter(|(kernel, _)| !kernel.cells.is_empty()).map(|(_, name)| name);
    let asked = |value: &Value| matches!(value.known, Known::Measured { .. } | Known::NotObservable { .. });
    if !table.capabilities.iter().flat_map(|line| &line.cells).any(asked) {
        return String::new();
    }
    let mut out = String::from(
        "<p class=\"legend\"><span>A cell opens to how it is known.</span> <span class=\"bad\">✗ not as claimed, or not as it \
         must be</span> <span class=\"na\">? not observable</span></p>\n",
    );
    open_table(&mut out, "What each kernel can do", "can", true);
    out.push_str("<thead><tr><th scope=\"col\">capability</th>");
    for name in names {
        let _ = write!(out, "<th scope=\"col\">{}<small>{}</small></th>", name.arch, name.kernel);
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.capabilities {
        let hook = row.hook.map_or_else(String::new, |hook| format!("<small>{}()</small>", line(hook)));
        let _ = write!(out, "<tr><th scope=\"row\">{} {hook}</th>", line(&row.title));
        for value in &row.cells {
            cell(&mut out, value);
        }
        out.push_str("</tr>\n");
    }
    close_table(&mut out);
    out
}

fn cell(out: &mut String, value: &Value) {
    let word = if value.value == "not observable" { "?" } else { &value.value };
    let class = match (value.right, word, &value.known) {
        (Some(false), ..) => "bad",
        (_, _, Known::NotAsked { .. }) | (_, "?", _) => "na",
        (_, "yes", Known::Measured { .. }) => "good",
        _ => "plain",
    };
    let symbol = if class == "bad" { "<span aria-hidden=\"true\">✗</span> " } else { "" };
    let how = line(&value.how());
    let _ = write!(
        out,
        "<td class=\"{class}\"><details class=\"how\"><summary title=\"{how}\">{symbol}{}</summary><small>{how}</small></details></td>",
        line(word)
    );
}
