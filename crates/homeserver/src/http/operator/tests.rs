//! The description is complete, and the committed copy of it current.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{openapi::description, routes};

fn described() -> Value {
    serde_json::to_value(description()).unwrap()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described = described();
    let described: BTreeSet<String> = described["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let routed: BTreeSet<String> = routes()
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(described, routed);
    assert_eq!(routed.len(), routes().len(), "a route is listed twice");
}

#[test]
fn every_operation_has_a_sentence_and_a_known_tag() {
    let described = described();
    let tags = described["tags"].as_array().unwrap();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            let tag = &operation["tags"][0];
            assert!(
                tags.iter().any(|known| known["name"] == *tag),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn the_committed_description_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operator-api.json");
    let wanted = format!("{:#}\n", described());
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/operator-api.json is stale; run this test again with UPDATE_GENERATED=1"
    );
}

#[test]
fn the_page_for_people_has_every_route_and_no_other() {
    let page = include_str!("../../../../../docs/operate.md");
    let told: BTreeSet<String> = page
        .split('`')
        .filter(|words| {
            let method = words.split(' ').next().unwrap_or_default();
            ["GET", "POST", "PUT", "DELETE"].contains(&method) && words.contains(" /")
        })
        .map(str::to_owned)
        .collect();
    let routed: BTreeSet<String> = routes()
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(told, routed);
}
