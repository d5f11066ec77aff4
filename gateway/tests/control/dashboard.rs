//! The dashboard's answers, without a browser.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use gateway::{
    dashboard::{self, Dashboard},
    lifecycle::{Desired, Engine},
    store::Store,
};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::support::{MemoryTables, service, site};

const ADDRESS: &str = "127.0.0.1:9470";

fn engine() -> Arc<Engine<MemoryTables>> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let desired = Desired::merged(site(), vec![service("file", ":80")], store.load().unwrap()).unwrap();
    Arc::new(Engine::start(desired, store, MemoryTables::default()).unwrap())
}

async fn ask(method: Method, path: &str, host: &str) -> (StatusCode, HeaderMap, String) {
    let router = dashboard::router(engine(), ADDRESS.parse().unwrap());
    let request = Request::builder().method(method).uri(path).header(header::HOST, host).body(Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn json(path: &str) -> Value {
    let (status, _, body) = ask(Method::GET, path, ADDRESS).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn readings_are_those_of_the_control_api() {
    let services = json("/api/services").await;
    assert_eq!(services[0]["name"], "file");
    assert_eq!(services[0]["backends"][0]["counters"]["connections"], 1);
    let status = json("/api/status").await;
    assert_eq!(status["flows"]["capacity"], 100);
    assert!(json("/api/events").await.is_array());
}

#[tokio::test]
async fn every_file_that_the_page_names_is_there() {
    let (_, _, page) = ask(Method::GET, "/", ADDRESS).await;
    assert!(page.contains("style.css") && page.contains("main.js"));
    let mut pending = vec!["style.css".to_owned(), "main.js".to_owned()];
    let mut seen: Vec<String> = Vec::new();
    while let Some(file) = pending.pop() {
        let (status, headers, text) = ask(Method::GET, &format!("/{file}"), ADDRESS).await;
        assert_eq!(status, StatusCode::OK, "{file}");
        let kind = headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(
            kind.starts_with(if file.ends_with(".css") { "text/css" } else { "text/javascript" }),
            "{file}: {kind}"
        );
        let imports = text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next());
        pending.extend(imports.map(str::to_owned).filter(|import| !seen.contains(import)));
        seen.push(file);
    }
    assert!(seen.contains(&"events.js".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn nothing_but_reading_exists() {
    for path in ["/", "/main.js", "/api/status", "/api/services", "/api/services/file", "/api/events", "/v1/services"] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            let (status, headers, _) = ask(method.clone(), path, ADDRESS).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        }
    }
    let (status, _, body) = ask(Method::HEAD, "/api/services", ADDRESS).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
    for path in ["/v1/services", "/api/services/file", "/api/flows", "/../etc/passwd"] {
        assert_eq!(ask(Method::GET, path, ADDRESS).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn every_answer_binds_the_browser() {
    let cases = [("/", ADDRESS), ("/api/status", ADDRESS), ("/nothing", ADDRESS), ("/", "attacker.example")];
    for (path, host) in cases {
        let (_, headers, _) = ask(Method::GET, path, host).await;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}

#[tokio::test]
async fn other_names_are_not_answered() {
    for host in ["attacker.example", "attacker.example:9470", "203.0.113.10:9470", "localhost.attacker.example", ""] {
        let (status, _, body) = ask(Method::GET, "/api/services", host).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host:?}");
        assert!(!body.contains("file"), "{host:?}: {body}");
    }
    for host in ["localhost:9470", "127.0.0.1:9470", "[::1]:9470"] {
        assert_eq!(ask(Method::GET, "/api/services", host).await.0, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn taken_address_is_told_with_its_key() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = format!("{:#}", Dashboard::bind(taken.local_addr().unwrap()).await.unwrap_err());
    assert!(error.contains("which is [dashboard] listen") && error.contains("in use"), "{error}");
}
