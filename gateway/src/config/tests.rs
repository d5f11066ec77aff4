use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{Algorithm, Answer, Listen};

mod accepted;
mod refused;

const EXAMPLE: &str = include_str!("../../../gateway.example.toml");

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, "gateway.toml")
}

fn accept(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("refused:\n{errors}\nin:\n{text}"))
}

/// Pieces that files are made of, right and wrong, for the fuzzing tests.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "[[service]]\n",
        "[service]\n",
        "[service.health]\n",
        "[[service.backend]]\n",
        "[snat]\n",
        "[public]\n",
        "[[interface]]\n",
        "name = \"a\"\n",
        "listen = \":80\"\n",
        "listen = [\":80\", 3, []]\n",
        "address = \"10.0.0.1:1\"\n",
        "address = [\"10.0.0.1\"]\n",
        "ports = \"5-4\"\n",
        "timeout = \"9999999999999999999y\"\n",
        "weight = -1\n",
        "weight = 0x1_0000_0000_0000_0000\n",
        "é = 'ü'\n",
        "\u{feff}",
        "\r\n",
    ]);
    prop_oneof![known.prop_map(str::to_owned), any::<String>()]
}

proptest! {
    #[test]
    fn arbitrary_text_gets_an_answer(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn arbitrary_pieces_get_an_answer(pieces in prop::collection::vec(piece(), 0..20)) {
        let _ = parse(&pieces.concat());
    }

    #[test]
    fn mutated_example_gets_an_answer_with_places_inside_it(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, piece()), 1..4),
    ) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (at, length, insert) in cuts {
            let start = at.index(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(errors) = parse(&text) {
            for finding in errors.findings() {
                let line = finding.line.expect("a line");
                let content = text.split('\n').nth(line - 1).expect("a line of the file");
                let columns = 1..=content.chars().count() + 1;
                prop_assert!(columns.contains(&finding.column.expect("a column")), "{}", finding);
            }
        }
    }
}
