//! `kfunc report`: a saved run as a file for others.

use super::args::{ReportArgs, ReportFormat};
use super::error::Error;
use super::{out, table};
use crate::report::kcidb;
use crate::{report, results};

/// Writes the report to its file, whole or not at all, or to standard output.
pub fn report(args: &ReportArgs) -> Result<(), Error> {
    let file = args.out.as_deref().filter(|path| path.as_os_str() != "-");
    if args.origin.is_some() && args.format != ReportFormat::Kcidb {
        return Err(Error::Usage("--origin is for --format kcidb only".into()));
    }
    let origin = args.origin.as_deref().unwrap_or(kcidb::ORIGIN);
    if !kcidb::is_origin(origin) {
        return Err(Error::Usage(format!(
            "--origin `{origin}`: KCIDB takes lower-case letters, digits and `_` only, as in {}",
            kcidb::ORIGIN
        )));
    }
    if let Some(path) = file {
        results::check_writable(path)?;
    }
    let saved = table::saved(args.file.as_deref())?;
    let text = match args.format {
        ReportFormat::Html => report::html(&saved),
        ReportFormat::Junit => {
            report::junit::junit(&saved).map_err(|error| Error::Infrastructure(format!("cannot write XML: {error}")))?
        }
        ReportFormat::Ktap => report::ktap::ktap(&saved),
        ReportFormat::Github => report::annotations::github(&saved),
        ReportFormat::Gitlab => {
            report::annotations::gitlab(&saved).map_err(|error| Error::Infrastructure(error.to_string()))?
        }
        ReportFormat::Kcidb => kcidb::kcidb(&saved, origin)
            .map_err(|error| Error::Infrastructure(format!("cannot write JSON: {error}")))?,
    };
    match file {
        Some(path) => Ok(results::write_atomically(path, text.as_bytes())?),
        None => out::stdout(&text),
    }
}
