//! JSON Schema (draft 2020-12) of the results file, made from the types of [`crate::model`] and their documentation.
//!
//! `harness/schema/results.schema.json` is what [`results`] gives; a test compares the two.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::model::RunResults;

/// The schema of a results file: [`RunResults`], and the `digest` that [`crate::results`] adds.
pub fn results() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<RunResults>().to_value();
    let Value::Object(root) = &mut schema else { return schema };
    root.insert("title".into(), json!("Results of kfunc-conformance"));
    let digest = json!({
        "description": "SHA-256 in hex over the compact JSON of everything else.",
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
    });
    if let Some(Value::Object(properties)) = root.get_mut("properties") {
        properties.insert("digest".into(), digest);
    }
    if let Some(Value::Array(required)) = root.get_mut("required") {
        required.push("digest".into());
    }
    plain(root);
    schema
}

/// The schema as a file has it. Ends with a line feed.
///
/// # Errors
/// When serialisation fails, which a value gives no reason to.
pub fn text(schema: &Value) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(schema).map(|text| text + "\n")
}

/// Takes rustdoc's links out of descriptions: their targets are Rust's.
fn plain(object: &mut Map<String, Value>) {
    for (key, value) in object {
        match value {
            Value::String(text) if key == "description" => *text = text.replace("[`", "`").replace("`]", "`"),
            Value::Object(inner) => plain(inner),
            Value::Array(list) => list.iter_mut().filter_map(Value::as_object_mut).for_each(plain),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::suites::tests::every_end;
    use crate::results;

    const KEPT: &str = include_str!("../schema/results.schema.json");

    #[test]
    fn the_kept_copy_is_the_schema() {
        assert!(
            text(&super::results()).unwrap() == KEPT,
            "harness/schema/results.schema.json is out of date: \
             `cargo kfunc schema results >harness/schema/results.schema.json`"
        );
    }

    #[test]
    fn everything_is_described() {
        fn walk(at: &str, value: &Value) {
            let Value::Object(object) = value else { return };
            for (name, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let says = |key| property.get(key).is_some();
                // The tag of an enum says which variant it is, and the variant has the description.
                assert!(says("description") || says("const"), "{at}.{name}: {property}");
            }
            for (key, inner) in object {
                match inner {
                    Value::Object(_) => walk(&format!("{at}.{key}"), inner),
                    Value::Array(list) => list.iter().for_each(|one| walk(&format!("{at}.{key}"), one)),
                    _ => {}
                }
            }
        }
        walk("", &super::results());
        assert!(!KEPT.contains("[`"), "a link of rustdoc");
    }

    fn validator() -> jsonschema::Validator {
        let schema: Value = serde_json::from_str(KEPT).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        jsonschema::draft202012::new(&schema).unwrap()
    }

    fn file() -> Value {
        let mut run = every_end();
        run.abi = Some(crate::model::AbiSettings { seed: u64::MAX, cases: 1 });
        serde_json::from_str(&results::to_text(&run).unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_is_valid() {
        let validator = validator();
        for run in [fixture::five(), fixture::clean(), fixture::control_passed()] {
            let value: Value = serde_json::from_str(&results::to_text(&run).unwrap()).unwrap();
            if let Err(error) = validator.validate(&value) {
                panic!("{}: {error}", error.instance_path());
            }
        }
        validator.validate(&file()).unwrap();
    }

    #[test]
    fn what_a_reader_refuses_is_not_valid() {
        let validator = validator();
        type Change = fn(&mut Value);
        let cases: [(&str, Change); 13] = [
            ("another schema", |v| v["schema"] = json!(1)),
            ("no digest", |v| drop(v.as_object_mut().unwrap().remove("digest"))),
            ("a short digest", |v| v["digest"] = json!("abc")),
            ("no cells", |v| drop(v["kernels"][0].as_object_mut().unwrap().remove("cells"))),
            ("an unknown field", |v| v["extra"] = json!(1)),
            ("an unknown field of a cell", |v| v["kernels"][0]["cells"][0]["extra"] = json!(1)),
            ("an unknown outcome", |v| v["kernels"][0]["cells"][0]["outcome"] = json!({"kind": "wonderful"})),
            ("an outcome without its parts", |v| v["kernels"][0]["cells"][0]["outcome"] = json!({"kind": "splat"})),
            ("a part that the outcome has not", |v| v["kernels"][0]["cells"][0]["outcome"]["line"] = json!("x")),
            ("an unknown verdict", |v| v["kernels"][0]["verdict"] = json!("fine")),
            ("a negative time", |v| v["started"] = json!(-1)),
            ("a seed in words", |v| v["abi"]["seed"] = json!("one")),
            ("a hash that is none", |v| v["kernels"][0]["image"]["kernel_sha256"] = json!("x")),
        ];
        for (what, change) in cases {
            let mut value = file();
            change(&mut value);
            assert!(!validator.is_valid(&value), "{what}");
        }
    }
}
