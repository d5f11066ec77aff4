//! A gateway with the control API and a store, but without a kernel side.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, LazyLock},
};

use axum::{Router, body::Body, http};
use gateway::{
    config::Config,
    control::{self, views::ServiceView},
    lifecycle::{Desired, Engine, HostAddresses, Site},
    store::Store,
};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};
use tower::ServiceExt as _;

use super::{
    judge::{self, Answer},
    requests::Request,
    tables::Tables,
};

/// A front server with an address of each family, one service, and few ports to choose from.
const CONFIGURATION: &str = r#"
[public]
address = ["203.0.113.10", "2001:db8::10"]
ports = "20000-20001"
[snat]
addresses = ["10.0.0.1", "fd00::1"]
ports = "40000-65535"
[[service]]
name = "file"
listen = [":80"]
[[service.backend]]
address = "10.0.1.1:80"
[[service.backend]]
address = "10.0.1.2:80"
"#;

/// A folder in memory, where there is one: nothing here is to survive the machine.
const MEMORY: &str = "/dev/shm";

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));

pub struct World {
    folder: TempDir,
    tables: Tables,
    router: Router,
    /// The services there are, by the answers so far.
    names: BTreeSet<String>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir()).expect("a folder for the store");
        let (tables, router) = start(folder.path());
        Self { folder, tables, router, names: BTreeSet::from(["file".to_owned()]) }
    }

    /// Sends a request, judges the answer and remembers what it promises.
    pub fn send(&mut self, request: &Request) {
        let answer = self.ask(request);
        judge::answer(request, &answer);
        let path = request.uri.path();
        if answer.status == http::StatusCode::CREATED && path == "/v1/services" {
            let added: ServiceView = answer.read(request);
            assert!(self.names.insert(added.name), "{request:?} added what was there: {answer:?}");
        }
        let removed = path.strip_prefix("/v1/services/").filter(|name| !name.contains('/'));
        if let (http::StatusCode::NO_CONTENT, Some(name)) = (answer.status, removed) {
            assert!(self.names.remove(name), "{request:?} removed what was not there");
        }
    }

    /// Judges the state that the requests have led to, and the same after a restart.
    pub fn judge(mut self) {
        let before = self.views();
        let names: BTreeSet<String> = before.iter().map(|view| view.name.clone()).collect();
        assert_eq!(names, self.names, "the services differ from those that were added and not removed");
        judge::tables(&before, &self.tables.services());
        drop(self.router);
        (self.tables, self.router) = start(self.folder.path());
        let after = self.views();
        judge::tables(&after, &self.tables.services());
        judge::restart(before, after);
    }

    /// Every service, by the listing and by its own path.
    fn views(&self) -> Vec<ServiceView> {
        let views: Vec<ServiceView> = self.get("/v1/services");
        for view in &views {
            let path = format!("/v1/services/{}", view.name);
            assert_eq!(*view, self.get(&path), "{path} and the listing differ");
            assert_eq!(view.backends, self.get::<Vec<_>>(&format!("{path}/backends")), "{path} lists other backends");
        }
        views
    }

    fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let uri = path.parse().expect("a path");
        let request = Request { method: http::Method::GET, uri, body: Vec::new() };
        let answer = self.ask(&request);
        assert_eq!(answer.status, http::StatusCode::OK, "{path}: {answer:?}");
        answer.read(&request)
    }

    fn ask(&self, Request { method, uri, body }: &Request) -> Answer {
        let request = http::Request::builder().method(method).uri(uri).body(Body::from(body.clone()));
        let request = request.expect("its parts are valid");
        RUNTIME.block_on(async {
            let Ok(response) = self.router.clone().oneshot(request).await;
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("a body in memory").to_bytes();
            Answer { status: head.status, body: body.to_vec() }
        })
    }
}

/// A gateway over the store in `folder`.
fn start(folder: &Path) -> (Tables, Router) {
    static CONFIG: LazyLock<Config> =
        LazyLock::new(|| Config::parse(CONFIGURATION, "gateway.toml").expect("a valid configuration"));
    let site = Site::new(&CONFIG, HostAddresses::default()).expect("source ports");
    let store = Store::open(folder).expect("a store");
    let records = store.load().expect("the store can be read");
    let desired = Desired::merged(site, CONFIG.services.clone(), records).expect("what was in force can be again");
    let tables = Tables::default();
    let engine = Engine::start(desired, store, tables.clone()).expect("what was in force can be again");
    (tables, control::router(Arc::new(engine)))
}
