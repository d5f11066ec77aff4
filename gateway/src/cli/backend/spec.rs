//! A backend in one argument: `A:P[,weight=N]`.

use crate::model::NewBackend;

/// The argument does not describe a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    #[error("`{0}` is not ADDRESS:PORT or [V6]:PORT")]
    Address(String),
    #[error("`{0}` is not weight=N with N of 1 to 65535")]
    Weight(String),
}

/// Parses `10.0.1.2:80` or `10.0.1.2:80,weight=3`.
pub fn parse(text: &str) -> Result<NewBackend, InvalidSpec> {
    let (address, weight) = match text.split_once(',') {
        Some((address, option)) => (address, weight(option)?),
        None => (text, 1),
    };
    let address = address.parse().map_err(|_| InvalidSpec::Address(address.to_owned()))?;
    Ok(NewBackend { weight, ..NewBackend::new(address) })
}

fn weight(option: &str) -> Result<u16, InvalidSpec> {
    option
        .strip_prefix("weight=")
        .and_then(|number| number.parse().ok())
        .filter(|weight| *weight != 0)
        .ok_or_else(|| InvalidSpec::Weight(option.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_is_optional_and_one() {
        assert_eq!(parse("10.0.1.2:80").unwrap().weight, 1);
        let backend = parse("[fd00::2]:80,weight=7").unwrap();
        assert_eq!((backend.address, backend.weight), ("[fd00::2]:80".parse().unwrap(), 7));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "10.0.1.2", "10.0.1.2:80,", "10.0.1.2:80,weight=0", "10.0.1.2:80,weight=65536", "h:80"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("10.0.1.2:80,weight=1,weight=2").is_err());
    }
}
