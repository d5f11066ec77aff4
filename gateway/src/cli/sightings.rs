//! What `gateway trace` and `gateway capture` have in common: whose packets are wanted.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// A client, with one of its ports or with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    pub ip: IpAddr,
    pub port: Option<u16>,
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

/// The text is neither an address nor an address with a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no client: write 198.51.100.7, 198.51.100.7:51234, 2001:db8::7 or [2001:db8::7]:51234")]
pub struct InvalidClient(String);

impl FromStr for ClientAddress {
    type Err = InvalidClient;

    fn from_str(text: &str) -> Result<Self, InvalidClient> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: socket.ip(), port: Some(socket.port()) });
        }
        let ip = text.parse().map_err(|_| InvalidClient(text.to_owned()))?;
        Ok(Self { ip, port: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_is_an_address_with_or_without_a_port() {
        let parse = |text: &str| text.parse::<ClientAddress>().map(|client| (client.ip.to_string(), client.port));
        assert_eq!(parse("198.51.100.7"), Ok(("198.51.100.7".into(), None)));
        assert_eq!(parse("[2001:db8::7]:80"), Ok(("2001:db8::7".into(), Some(80))));
        assert_eq!(parse("2001:db8::7"), Ok(("2001:db8::7".into(), None)));
        assert!(parse("198.51.100.7:").unwrap_err().to_string().contains("198.51.100.7:51234"));
    }
}
