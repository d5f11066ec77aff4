//! Requests from bytes, one of each line. A line that begins with a capital is a request as it is written, as in
//! `POST /v1/services {"name": "web"}`; of any other, each byte chooses a part of one that is mostly right.

use axum::http::{Method, Uri};

/// Parts of a path.
const NAMES: [&str; 6] = ["file", "web", "mqtt", "web", "W%20", "%FF"];
const ADDRESSES: [&str; 6] =
    ["10.0.1.1:80", "10.0.1.2:80", "10.0.1.3:80", "[fd00::7]:80", "10.0.1.1", "%5Bfd00::7%5D:80"];

type Fields = &'static [(&'static str, &'static [&'static str])];

const BACKENDS: &[&str] = &[
    r#"[{"address": "10.0.1.1:80"}]"#,
    r#"[{"address": "10.0.1.3:80", "weight": 7}, {"address": "[fd00::7]:80"}]"#,
    r#"[{"address": "10.0.1.2:80", "process": {"command": ["true"]}}]"#,
    r#"[{"address": "10.0.1.2:80"}, {"address": "10.0.1.2:80"}]"#,
    r#"[{"address": "10.0.1.4:80", "process": {"pid": {"id": 4294967295}}}]"#,
    "[]",
];
const DURATIONS: &[&str] = &[r#""1ms""#, r#""30s""#, r#""5m""#, r#""7999y""#, r#""18446744073709551615s""#, r#""0s""#];
const ANSWERS: &[&str] = &[r#""reset""#, r#""drop""#, "null"];
const WEIGHTS: &[&str] = &["1", "65535", "0", "65536", "-1"];
const HEALTH: &[&str] = &[
    r#"{"kind": "none"}"#,
    r#"{"kind": "tcp", "interval": "1s", "timeout": "500ms", "rise": 2, "fall": 3}"#,
    r#"{"kind": "http", "path": "/up", "host": "web", "expect": "200-299"}"#,
    r#"{"kind": "grpc", "service": "web"}"#,
    r#"{"kind": "tcp", "interval": "0s", "rise": 4294967295}"#,
    r#"{"kind": "http", "path": "no\r\nslash"}"#,
];
const LIMITS: &[&str] = &[
    r#"{"connections": 10, "connections_per_source": 2, "answer": "drop"}"#,
    r#"{"new_per_second": 100, "new_per_second_per_source": 18446744073709551615}"#,
    r#"{"share": "25%"}"#,
    r#"{"share": "0%", "connections": 0}"#,
];
const POLICY: Fields = &[
    ("algorithm", &[r#""round-robin""#, r#""least-connections""#, r#""source""#, r#""random""#]),
    ("idle_timeout", DURATIONS),
    ("drain_timeout", DURATIONS),
    ("on_deadline", ANSWERS),
    ("no_backend", ANSWERS),
    ("unknown_flow", ANSWERS),
    ("health", HEALTH),
    ("limits", LIMITS),
];
const SERVICE: Fields = &[
    ("name", &[r#""web""#, r#""mqtt""#, r#""file""#, r#""w\u0000""#, r#""""#]),
    ("listen", &[r#"[":81"]"#, r#"["203.0.113.10:82"]"#, r#"["[2001:db8::10]:83", ":84"]"#, r#"[":80"]"#, "[]"]),
];
const MORE_OF_SERVICE: Fields = &[("auto_port", &["true", "false"]), ("backends", BACKENDS)];
const BACKEND: Fields =
    &[("address", &[r#""10.0.1.1:80""#, r#""10.0.1.3:80""#, r#""[fd00::7]:80""#, r#""10.0.1.3:0""#, r#""0.0.0.0:1""#])];
const MORE_OF_BACKEND: Fields = &[
    ("weight", WEIGHTS),
    ("process", &[r#"{"container": "a"}"#, r#"{"unit": ""}"#, r#"{"command": []}"#, r#"{"pid": {"id": 0}}"#]),
    ("deployment", &[r#""a""#]),
];
const CHANGE_OF_BACKEND: Fields = &[("weight", WEIGHTS), ("state", &[r#""active""#, r#""draining""#, r#""starting""#])];
const DRAIN: Fields = &[("timeout", DURATIONS), ("signal", &["true", "false"]), ("remove", &["true", "false"])];
const DEPLOYMENT: Fields = &[("backends", BACKENDS)];
const MORE_OF_DEPLOYMENT: Fields = &[
    ("wait", &[r#""any""#, r#""all""#, r#"{"count": 1}"#, r#"{"count": 18446744073709551615}"#]),
    ("timeout", DURATIONS),
    ("drain_timeout", DURATIONS),
    ("rollback_window", DURATIONS),
];
/// What no body has.
const FOREIGN: Fields = &[("colour", &["1"]), ("name", &["3"]), ("backends", &["{}"]), ("weight", &[r#""2""#])];
const QUERIES: [&str; 11] = [
    "",
    "?service=web",
    "?service=file&limit=1",
    "?state=ESTABLISHED",
    "?limit=18446744073709551616",
    "?client=::1",
    "?backend=10.0.1.1:80",
    "?from=198.51.100.7:5000&to=203.0.113.10:80",
    "?from=198.51.100.7:0&to=[::ffff:203.0.113.10]:80",
    "?from=[2001:db8::7]:5000&to=203.0.113.10:80",
    "?a=%FF&&",
];

/// A request of the control API.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub body: Vec<u8>,
}

impl Request {
    /// The requests that `bytes` stand for.
    pub fn decode(bytes: &[u8]) -> impl Iterator<Item = Self> {
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).filter_map(|line| {
            if line[0].is_ascii_uppercase() { Self::written(line) } else { Self::chosen(&mut Choices(line)) }
        })
    }

    /// None if method or path cannot be: the server does not let such a request come this far.
    fn written(line: &[u8]) -> Option<Self> {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let method = Method::from_bytes(words.next()?).ok()?;
        let uri = Uri::try_from(words.next()?).ok()?;
        Some(Self { method, uri, body: words.next().unwrap_or_default().to_vec() })
    }

    fn chosen(choices: &mut Choices<'_>) -> Option<Self> {
        let kind = choices.byte() % 20;
        let (name, address) = (choices.of(&NAMES), choices.of(&ADDRESSES));
        let service = format!("/v1/services/{name}");
        let backend = format!("{service}/backends/{address}");
        let (method, path, body) = match kind {
            0..=2 => (Method::POST, "/v1/services".to_owned(), choices.object(SERVICE, &[MORE_OF_SERVICE, POLICY])),
            3 => (Method::PATCH, service, choices.object(&[], &[POLICY])),
            4 => (Method::DELETE, service, String::new()),
            5 => (Method::GET, service, String::new()),
            6..=7 => (Method::POST, service + "/backends", choices.object(BACKEND, &[MORE_OF_BACKEND])),
            8 => (Method::GET, service + "/backends", String::new()),
            9 => (Method::PATCH, backend, choices.object(&[], &[CHANGE_OF_BACKEND])),
            10 => (Method::DELETE, backend, String::new()),
            11..=12 => (Method::POST, backend + "/drain", choices.object(&[], &[DRAIN])),
            13..=14 => (Method::POST, service + "/deployments", choices.object(DEPLOYMENT, &[MORE_OF_DEPLOYMENT])),
            15 => (Method::GET, service + "/deployment", String::new()),
            16 => (Method::DELETE, service + "/deployment", String::new()),
            17 => (
                Method::GET,
                ["/v1/status", "/v1/backends", "/v1/flows", "/v1/explain"][usize::from(choices.byte()) % 4].to_owned()
                    + choices.of(&QUERIES),
                String::new(),
            ),
            18 => (Method::PUT, service, "{}".to_owned()),
            _ => (Method::GET, format!("/v1/{address}"), String::new()),
        };
        Some(Self { method, uri: path.parse().ok()?, body: body.into_bytes() })
    }
}

/// Bytes that choose; when they have run out, the first of everything is chosen.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[usize::from(self.byte()) % values.len()]
    }

    /// A JSON object with all of `needed` and some of `optional`, now and then with what is wrong.
    fn object(&mut self, needed: Fields, optional: &[Fields]) -> String {
        let mut fields: Vec<String> = needed.iter().map(|field| self.field(field)).collect();
        for _ in 0..self.byte() % 4 {
            let table = if self.byte() % 32 == 31 { FOREIGN } else { self.of(optional) };
            let field = self.of(table);
            fields.push(self.field(&field));
        }
        let mut body = format!("{{{}}}", fields.join(", "));
        if self.byte() % 32 == 31 {
            body.truncate(usize::from(self.byte()) % body.len());
        }
        body
    }

    fn field(&mut self, (name, values): &(&str, &[&str])) -> String {
        format!("\"{name}\": {}", self.of(values))
    }
}
