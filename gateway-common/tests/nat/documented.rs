//! The documents name tests that exist.

use std::{fs, path::Path};

/// The documents, and the least number of tests that each names.
const DOCUMENTS: [(&str, usize); 2] = [("docs/rfc.md", 20), ("docs/security.md", 20)];
/// Where tests are that are named without a folder.
const FOLDER: &str = "gateway-common/tests/nat";

#[test]
fn every_test_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is around this crate");
    let mut missing = Vec::new();
    for (document, least) in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap();
        let named: Vec<_> = text.split('`').skip(1).step_by(2).filter_map(test_of).collect();
        assert!(named.len() >= least, "{document} names only {named:?}");
        for (file, name) in named {
            let source = fs::read_to_string(root.join(&file)).unwrap_or_default();
            if !source.contains(&format!("fn {name}(")) {
                missing.push(format!("{document}: {file}::{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// File and function of `FILE::FUNCTION`, if that is what a document quotes.
fn test_of(quoted: &str) -> Option<(String, &str)> {
    let (file, name) = quoted.split_once("::")?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    let file = if file.ends_with(".rs") { file.to_owned() } else { format!("{FOLDER}/{file}.rs") };
    Some((file, name))
}
