//! The OpenAPI 3.1 document of our own API, public: it tells what there is, not what is in it.
//!
//! Invariants
//! - Every path of `paths()` is documented, and nothing else is (a test compares).

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use super::{audit, data, messages, node, passport, replay};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "FerryMQ",
        description = "What FerryMQ's HTTP API has beside RabbitMQ's management API. Times are \
                       Unix milliseconds; errors are {\"error\", \"reason\"}.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        messages::browse::list,
        messages::browse::one,
        messages::browse::count,
        messages::act::drop_one,
        messages::act::move_one,
        messages::act::due,
        messages::edit::edit,
        messages::bulk::drop_many,
        messages::bulk::move_many,
        messages::bulk::drop_delayed,
        messages::leases::list,
        messages::leases::extend,
        messages::leases::end,
        replay::start,
        replay::list,
        replay::one,
        replay::stop,
        node::partitions,
        node::log,
        node::alarms,
        audit::list,
        passport::one,
        document,
        data::publish::publish,
        data::batch::batch,
        data::request::request,
        data::lease::lease,
        data::settle::settle,
        data::settle::extend,
        data::subscribe::subscribe
    ),
    modifiers(&BasicAuth),
    security(("basic" = []))
)]
struct Document;

struct BasicAuth;

impl utoipa::Modify for BasicAuth {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("basic", basic);
    }
}

/// This document.
#[utoipa::path(get, path = "/api/ferry/openapi.json", tag = "node", security(()),
    responses((status = 200, body = Object)))]
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    fn whole() -> Value {
        json!(Document::openapi())
    }

    #[test]
    fn every_path_is_documented_and_nothing_else_is() {
        let known = crate::api::ferry::paths().known;
        let known: BTreeSet<(String, String)> = known
            .into_iter()
            .map(|(method, path)| {
                (
                    method.to_owned(),
                    format!("/api/ferry{}", path.replace('*', "")),
                )
            })
            .collect();
        let document = whole();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut documented = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let summary = operation["summary"].as_str().unwrap_or_default();
                assert!(!summary.is_empty(), "{method} {path} has no words");
                documented.insert((method.clone(), path.clone()));
            }
        }
        assert_eq!(known, documented);
    }

    /// The schemas of all bodies that have an example.
    fn examples(document: &Value) -> Vec<(String, Value)> {
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let with_example = schemas
            .iter()
            .filter_map(|(name, schema)| Some((name.clone(), schema.get("example")?.clone())));
        with_example.collect()
    }

    #[test]
    fn examples_satisfy_their_schemas() {
        let document = whole();
        let examples = examples(&document);
        assert!(examples.len() >= 12, "{}", examples.len());
        for (name, example) in examples {
            let mut schema = document.clone();
            schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
            schema["$ref"] = json!(format!("#/components/schemas/{name}"));
            let validator = jsonschema::validator_for(&schema).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&example)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
        }
    }
}
