//! Single values of the file: each is read into its type or refused with the form it should have.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use serde::de::{DeserializeOwned, value::StrDeserializer};
use toml::de::DeValue;

use super::{
    PortRange,
    finding::{Fault, fault},
    suggestion::did_you_mean,
};
use crate::model::{Listen, Share, Statuses};

/// A value that is written as a string.
pub(super) trait FromText: Sized {
    /// What the string is, with an example.
    const FORM: &'static str;

    fn from_text(text: &str) -> Result<Self, Fault>;
}

/// Reads a string into the value it stands for.
pub(super) fn text<T: FromText>(value: &DeValue<'_>) -> Result<T, Fault> {
    T::from_text(string(value, T::FORM)?)
}

/// Reads a whole number within bounds.
pub(super) fn number(value: &DeValue<'_>, bounds: &RangeInclusive<u64>) -> Result<u64, Fault> {
    let form = format!("a whole number from {} to {}", bounds.start(), bounds.end());
    match value {
        DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| fault(format!("{integer} is out of range"), format!("use {form}"))),
        DeValue::String(text) if text.parse::<u64>().is_ok() => {
            Err(fault(format!("expected a number, found the string \"{text}\""), "write it without quotes"))
        }
        other => Err(fault(format!("expected a number, found {}", shown(other)), format!("use {form}"))),
    }
}

/// Reads a string that names a variant of `T`.
pub(super) fn choice<T: DeserializeOwned>(value: &DeValue<'_>) -> Result<T, Fault> {
    let word = string(value, "a name in quotes")?;
    T::deserialize(StrDeserializer::new(word)).map_err(|UnknownChoice(known)| {
        fault(
            format!("`{word}` is not one of {}", known.join(", ")),
            did_you_mean(word, known, "use one of these".to_owned()),
        )
    })
}

/// A value as a message shows it.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string \"{text}\""),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(truth) => format!("{truth}"),
        DeValue::Datetime(datetime) => format!("the date {datetime}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn string<'v>(value: &'v DeValue<'_>, form: &str) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| fault(format!("expected a string, found {}", shown(value)), format!("write {form}")))
}

/// The names that were possible; made by serde when a word is none of an enum's variants.
#[derive(Debug)]
struct UnknownChoice(&'static [&'static str]);

impl fmt::Display for UnknownChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not one of {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownChoice {}

impl serde::de::Error for UnknownChoice {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

fn malformed<T: FromText>(text: &str) -> Fault {
    let what = T::FORM.split(" such as").next().unwrap_or(T::FORM);
    fault(format!("`{text}` is not {what}"), format!("write {}", T::FORM))
}

impl FromText for String {
    const FORM: &'static str = "a string";

    fn from_text(text: &str) -> Result<Self, Fault> {
        Ok(text.to_owned())
    }
}

impl FromText for PathBuf {
    const FORM: &'static str = "an absolute path such as \"/run/gateway/gateway.sock\"";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let path = Self::from(text);
        if path.is_absolute() && !text.contains('\0') { Ok(path) } else { Err(malformed::<Self>(text)) }
    }
}

impl FromText for Duration {
    const FORM: &'static str = "a duration such as \"30s\" or \"2h4m\"";

    fn from_text(text: &str) -> Result<Self, Fault> {
        humantime::parse_duration(text).map_err(|error| {
            let Fault { message, remedy } = malformed::<Self>(text);
            fault(format!("{message}: {error}"), remedy)
        })
    }
}

impl FromText for PortRange {
    const FORM: &'static str = "a port range such as \"40000-65535\"";

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|error: super::InvalidPortRange| {
            fault(error.to_string(), format!("write {}, the lower port first", Self::FORM))
        })
    }
}

impl FromText for Statuses {
    const FORM: &'static str = "HTTP statuses such as \"200\", \"200-399\" or \"200-299,404\"";

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse()
            .map_err(|error: crate::model::InvalidStatuses| fault(error.to_string(), format!("write {}", Self::FORM)))
    }
}

impl FromText for Share {
    const FORM: &'static str = "a share such as \"25%\"";

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse()
            .map_err(|error: crate::model::InvalidShare| fault(error.to_string(), format!("write {}", Self::FORM)))
    }
}

impl FromText for Listen {
    const FORM: &'static str = "an address and port such as \"203.0.113.10:443\", \"[2001:db8::10]:443\" or \":443\"";

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|error: crate::model::InvalidListen| {
            let remedy = endpoint_remedy(text).unwrap_or_else(|| format!("write {}", Self::FORM));
            fault(error.to_string(), remedy)
        })
    }
}

impl FromText for SocketAddr {
    const FORM: &'static str = "an address and port such as \"10.0.1.2:1883\" or \"[fd00::2]:1883\"";

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| {
            let Fault { message, remedy } = malformed::<Self>(text);
            fault(message, endpoint_remedy(text).unwrap_or(remedy))
        })
    }
}

impl FromText for IpAddr {
    const FORM: &'static str = "an IP address such as \"203.0.113.10\" or \"2001:db8::10\"";

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| {
            let Fault { message, remedy } = malformed::<Self>(text);
            let remedy = match (text.parse::<SocketAddr>(), text.split_once('/')) {
                (Ok(endpoint), _) => format!("leave the port out: \"{}\"", endpoint.ip()),
                (_, Some((address, _))) if address.parse::<Self>().is_ok() => {
                    format!("leave the prefix length out: \"{address}\"")
                }
                _ => remedy,
            };
            fault(message, remedy)
        })
    }
}

/// The remedy for an endpoint that lacks its port or its brackets, or that is a URL or a host name.
fn endpoint_remedy(text: &str) -> Option<String> {
    if let Some((_, endpoint)) = text.split_once("://") {
        return Some(format!("leave the scheme out: \"{}\"", endpoint.trim_end_matches('/')));
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let bare = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        return Some(format!("give the port too, as in \"{bare}:443\""));
    }
    if let Some(port) = text.strip_prefix("*:") {
        return Some(format!("write \":{port}\" for every public address"));
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_name = host.starts_with(|c: char| c.is_ascii_alphabetic()) && !host.contains(':');
    (is_name && port.parse::<u16>().is_ok())
        .then(|| format!("write the IP address of `{host}`, names are not looked up"))
}
