//! A backend in one argument: its address, then what else is to be said of it, in pairs.

use crate::model::{NewBackend, Process};

/// How the argument looks in help texts.
pub const FORM: &str = "A:P[,weight=N][,container=C|,pid=P|,unit=U|,command=CMD]";

/// The argument does not describe a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    #[error("`{0}` is not ADDRESS:PORT or [V6]:PORT")]
    Address(String),
    #[error("`{0}` is not weight=N with N of 1 to 65535")]
    Weight(String),
    #[error("`{0}` is not pid=N with the id of a process")]
    Pid(String),
    #[error("`{0}` is not a command and its arguments")]
    Command(String),
    #[error("`{0}` is not weight=N, container=NAME, pid=N, unit=NAME or command=COMMAND")]
    Unknown(String),
    #[error("`{0}` is one process too many")]
    SecondProcess(String),
}

/// Parses `10.0.1.2:80` or `10.0.1.2:80,weight=3,container=web-1`. A command is the last pair and takes the rest.
pub fn parse(text: &str) -> Result<NewBackend, InvalidSpec> {
    let (address, mut rest) = text.split_once(',').map_or((text, None), |(address, rest)| (address, Some(rest)));
    let address = address.parse().map_err(|_| InvalidSpec::Address(address.to_owned()))?;
    let mut backend = NewBackend::new(address);
    while let Some(text) = rest {
        let pair;
        (pair, rest) = match text.split_once(',') {
            Some((pair, rest)) if !text.starts_with("command=") => (pair, Some(rest)),
            _ => (text, None),
        };
        let (key, value) = pair.split_once('=').ok_or_else(|| InvalidSpec::Unknown(pair.to_owned()))?;
        let process = match key {
            "weight" => {
                let weight = value.parse().ok().filter(|weight| *weight != 0);
                backend.weight = weight.ok_or_else(|| InvalidSpec::Weight(pair.to_owned()))?;
                continue;
            }
            "container" if !value.is_empty() => Process::Container(value.to_owned()),
            "unit" if !value.is_empty() => Process::Unit(value.to_owned()),
            "pid" => Process::Pid { id: value.parse().map_err(|_| InvalidSpec::Pid(pair.to_owned()))?, start: None },
            "command" => Process::Command(command(value)?),
            _ => return Err(InvalidSpec::Unknown(pair.to_owned())),
        };
        if backend.process.replace(process).is_some() {
            return Err(InvalidSpec::SecondProcess(pair.to_owned()));
        }
    }
    Ok(backend)
}

/// A command line as a shell would split it, without anything else that a shell does.
pub fn command(line: &str) -> Result<Vec<String>, InvalidSpec> {
    let argv = shlex::split(line).filter(|argv| !argv.is_empty());
    argv.ok_or_else(|| InvalidSpec::Command(line.to_owned()))
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
    fn process_is_one_of_four_kinds() {
        let process = |text: &str| parse(text).unwrap().process.unwrap();
        assert_eq!(process("10.0.1.2:80,container=web-1,weight=2"), Process::Container("web-1".into()));
        assert_eq!(process("10.0.1.2:80,pid=77"), Process::Pid { id: 77, start: None });
        assert_eq!(process("10.0.1.2:80,unit=web@1.service"), Process::Unit("web@1.service".into()));
        let argv = ["notify", "--who", "a, b"].map(str::to_owned).to_vec();
        assert_eq!(process("10.0.1.2:80,weight=2,command=notify --who 'a, b'"), Process::Command(argv));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "10.0.1.2",
            "h:80",
            "10.0.1.2:80,",
            "10.0.1.2:80,weight=0",
            "10.0.1.2:80,weight=65536",
            "10.0.1.2:80,colour=red",
            "10.0.1.2:80,pid=self",
            "10.0.1.2:80,container=",
            "10.0.1.2:80,pid=1,unit=a",
            "10.0.1.2:80,command=",
            "10.0.1.2:80,command='open",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
