//! What the operator most likely meant by a word that is not known.

/// How alike two words must be (0 to 1) for one to be offered instead of the other.
const ALIKE: f64 = 0.8;

/// The remedy for an unknown word: the known one it resembles, or `otherwise`.
pub fn did_you_mean(word: &str, known: &[&str], otherwise: String) -> String {
    let word = word.to_lowercase();
    let closest = known
        .iter()
        .map(|candidate| (likeness(&word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    closest.map_or(otherwise, |(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// Jaro-Winkler is blind to swapped letters in short words, so one slip counts as very much alike.
fn likeness(word: &str, candidate: &str) -> f64 {
    if strsim::osa_distance(word, candidate) == 1 { 0.99 } else { strsim::jaro_winkler(word, candidate) }
}
