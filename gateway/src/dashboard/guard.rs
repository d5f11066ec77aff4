//! What stands before every answer: methods that only read, names that are this server's, headers that bind the browser.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};

/// Nothing is loaded, sent or run but the page's own files, and no text can become markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The routes of a server that listens on `address`, behind the guard.
pub fn around(router: Router, address: SocketAddr) -> Router {
    router.layer(from_fn_with_state(address.ip(), admit))
}

async fn admit(State(own): State<IpAddr>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&request, own) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(request: &Request, own: IpAddr) -> Option<(StatusCode, &'static str)> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "the dashboard only shows; use the gateway command\n"));
    }
    if !host(request.headers()).is_some_and(|host| is_own_name(&host, own)) {
        return Some((StatusCode::MISDIRECTED_REQUEST, "open the dashboard by the address that it listens on\n"));
    }
    None
}

/// The name that the client has for this server, if it gives one.
fn host(headers: &HeaderMap) -> Option<String> {
    let mut given = headers.get_all(header::HOST).iter();
    let (host, None) = (given.next()?, given.next()) else { return None };
    let authority: Authority = host.to_str().ok()?.parse().ok()?;
    Some(authority.host().to_owned())
}

/// Whether a name can only mean this server. Any other could be one that a hostile page has made to mean it (DNS
/// rebinding), and whose scripts could then read what is answered. An address cannot be made to mean another.
fn is_own_name(host: &str, own: IpAddr) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address == own || own.is_unspecified(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(own: &str, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        super::host(&headers).is_some_and(|host| is_own_name(&host, own.parse().unwrap()))
    }

    #[test]
    fn only_names_that_mean_this_server_are_admitted() {
        for host in ["127.0.0.1:9470", "localhost", "LOCALHOST:8080", "[::1]:9470", "127.0.0.2"] {
            assert!(admits("127.0.0.1", host), "{host}");
        }
        let others = ["attacker.example", "localhost.attacker.example", "127.0.0.1.nip.io:9470", "10.0.0.1", "[::2]"];
        for host in others {
            assert!(!admits("127.0.0.1", host), "{host}");
        }
        assert!(admits("10.0.0.1", "10.0.0.1:9470"));
        assert!(admits("0.0.0.0", "192.0.2.7:9470"));
        assert!(!admits("0.0.0.0", "attacker.example:9470"));
    }

    #[test]
    fn no_name_or_two_are_not_admitted() {
        assert_eq!(host(&HeaderMap::new()), None);
        let mut two = HeaderMap::new();
        two.append(header::HOST, HeaderValue::from_static("localhost"));
        two.append(header::HOST, HeaderValue::from_static("attacker.example"));
        assert_eq!(host(&two), None);
    }
}
