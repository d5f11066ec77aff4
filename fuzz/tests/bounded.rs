//! Every target without libFuzzer: what is kept of it, then bytes that are made at random for a few seconds.
//!
//! `GATEWAY_FUZZ_SECONDS` says how long each is attacked, `GATEWAY_FUZZ_SEED` where to begin. Coverage guides none of
//! this: `cargo xtask fuzz` searches, this sees to it that what it searches with and has found stays right.

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    time::{Duration, Instant},
};

use gateway_fuzz::{configuration, control, packets};

const SECONDS: u64 = 3;
/// Longest input that is made from nothing.
const MAX_LENGTH: usize = 600;

#[test]
fn configuration_gets_an_answer_whatever_it_is() {
    attack("configuration", configuration::attack);
}

#[test]
fn control_api_stays_whole_whatever_it_is_asked() {
    attack("control", control::attack);
}

#[test]
fn packet_core_stays_whole_whatever_arrives() {
    attack("packets", packets::attack);
}

fn attack(target: &str, attack: fn(&[u8])) {
    let mut kept = Vec::new();
    for kind in ["seeds", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
        for file in fs::read_dir(folder).into_iter().flatten() {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            guarded(&path.display().to_string(), &bytes, attack);
            kept.push(bytes);
        }
    }
    assert!(!kept.is_empty(), "there are no seeds of {target}");

    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let duration = Duration::from_secs(number("GATEWAY_FUZZ_SECONDS").unwrap_or(SECONDS));
    let first = number("GATEWAY_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    println!("{target}: {} inputs are kept; first seed {first}", kept.len());
    let (begin, mut seed) = (Instant::now(), first);
    while seed == first || begin.elapsed() < duration {
        guarded(&format!("GATEWAY_FUZZ_SEED={seed}"), &input(seed, &kept), attack);
        seed += 1;
    }
    println!("{target}: {} inputs were made", seed - first);
}

/// Bytes from nothing, or one of `kept` with a few changes.
fn input(seed: u64, kept: &[Vec<u8>]) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    if random.bool() {
        let length = random.usize(..MAX_LENGTH);
        return (0..length).map(|_| random.u8(..)).collect();
    }
    let mut bytes = random.choice(kept).expect("there is one").clone();
    for _ in 0..random.usize(1..8) {
        let start = random.usize(..=bytes.len());
        let end = (start + random.usize(..12)).min(bytes.len());
        let insert: Vec<u8> = match random.u8(..4) {
            0 => Vec::new(),
            1 => bytes[start..end].repeat(2),
            2 => (0..end - start).map(|_| random.u8(..)).collect(),
            _ => (0..end - start).map(|_| random.u8(b' '..=b'~')).collect(),
        };
        bytes.splice(start..end, insert);
    }
    bytes
}

/// Says which input it was that panics.
fn guarded(origin: &str, bytes: &[u8], attack: fn(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| attack(bytes))) {
        eprintln!("{origin}: {:?}", String::from_utf8_lossy(bytes));
        resume_unwind(panic);
    }
}
