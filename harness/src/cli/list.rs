//! `kfunc list`.

use super::args::{ListArgs, Listed};
use super::error::Error;
use super::{engine, images, out};
use crate::plan::SUITES;
use crate::report::near;

/// Shows what there is, one thing a line.
pub fn list(args: &ListArgs) -> Result<(), Error> {
    for suite in &args.suite {
        let names = || SUITES.iter().map(|(name, _)| *name);
        if !names().any(|name| name == suite) {
            let known = names().collect::<Vec<_>>().join(", ");
            let near = near::did_you_mean(suite, names());
            return Err(Error::Usage(format!("unknown suite `{suite}`; known are {known}{near}")));
        }
    }
    let catalog = || engine::catalog(&args.arch_file, args.cache_dir.as_deref());
    let text = match args.what {
        Listed::Arches => columns(engine::arches(&args.arch_file)?.into_iter().map(|(name, qemu)| vec![name, qemu])),
        Listed::Suites => columns(
            engine::suites(&catalog()?)
                .into_iter()
                .map(|(name, cases, purpose)| vec![name.to_owned(), format!("{cases} cases"), purpose.to_owned()]),
        ),
        Listed::Cases => {
            let cases = catalog()?.cases;
            let asked = cases.iter().filter(|case| args.suite.is_empty() || args.suite.iter().any(|s| s == case.suite));
            columns(asked.map(|case| {
                let at = case.location.as_ref().map(|at| format!("{}:{}", at.file, at.line)).unwrap_or_default();
                vec![case.full_name(), at, case.kfuncs.join(" ")]
            }))
        }
        Listed::Kernels => {
            let mut text = columns(
                [
                    ["stock", "the newest kernel of Debian testing"],
                    ["stock:SUITE", "the newest of a suite: stable, testing, unstable, trixie, bookworm, …"],
                    ["stock:SUITE/VERSION", "of that version: stock:trixie/6.12"],
                    ["built", "one built here from the newest source in Debian testing"],
                    ["built:SUITE", "from the newest source of a suite"],
                    ["tree:DIR", "one built here from your own source: --tree DIR"],
                    ["built@interpreter", "one whose JIT can be turned off; also after tree:DIR"],
                    ["built@no-btf", "one without types; also after tree:DIR"],
                    ["PATH", "a kernel of your own"],
                ]
                .map(|row| row.map(str::to_owned).to_vec()),
            );
            let cached = images::listing(args.cache_dir.clone())?;
            if !cached.is_empty() {
                text.push_str("\nin the cache:\n");
                text.push_str(&cached);
            }
            text
        }
    };
    out::stdout(&text)
}

/// Left-aligned columns, two spaces apart, nothing at the end of a line.
pub fn columns(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(super::columns(rows), "a     b\nlong\n");
    }
}
