//! `kfunc schema`: JSON Schemas of what this program writes.

use super::args::{SchemaArgs, Schemas};
use super::error::Error;
use super::out;
use crate::schema;

/// Prints a schema.
pub fn schema(args: &SchemaArgs) -> Result<(), Error> {
    let schema = match args.of {
        Schemas::Results => schema::results(),
    };
    out::stdout(&schema::text(&schema).map_err(|error| Error::Infrastructure(error.to_string()))?)
}
