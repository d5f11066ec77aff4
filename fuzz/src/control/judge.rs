//! What has to hold of every answer, and of the state after all of them.

use std::{collections::HashSet, sync::Arc};

use axum::http::{Method, StatusCode};
use gateway::{
    control::{ApiError, views::ServiceView},
    lifecycle::ResolvedService,
    model::{BackendState, HealthStatus},
};
use serde_json::Value;

use super::requests::Request;

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as what the request asks for.
    #[track_caller]
    pub fn read<T: serde::de::DeserializeOwned>(&self, request: &Request) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{request:?} has {} for an answer: {error}: {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }
}

/// Judges one answer.
pub fn answer(request: &Request, answer: &Answer) {
    let status = answer.status;
    let text = String::from_utf8_lossy(&answer.body);
    assert!(status.is_success() || status.is_client_error(), "{request:?} has {status} for an answer: {text}");
    if status.is_client_error() {
        // HEAD has the answer's status without its body.
        if request.method != Method::HEAD {
            let error: ApiError = answer.read(request);
            assert!(!error.error.is_empty(), "{request:?} is refused without a reason");
        }
        return;
    }
    let takes_json = matches!(request.method, Method::POST | Method::PATCH);
    let is_json = serde_json::from_slice::<Value>(&request.body).is_ok();
    assert!(!takes_json || is_json, "{request:?} is not JSON and was accepted: {text}");
    match status {
        StatusCode::NO_CONTENT => assert!(answer.body.is_empty(), "{request:?}: {text}"),
        _ if request.method == Method::HEAD => {}
        _ => drop::<Value>(answer.read(request)),
    }
}

/// Judges the services against each other and against the packet tables.
pub fn tables(views: &[ServiceView], resolved: &[Arc<ResolvedService>]) {
    let mut claimed = HashSet::new();
    assert_eq!(views.len(), resolved.len(), "the packet tables hold other services");
    for (view, resolved) in views.iter().zip(resolved) {
        let service = &resolved.service;
        assert_eq!((&view.name, &view.addresses), (&service.name, &resolved.listen));
        assert_eq!((&view.policy, &view.health, &view.limits), (&service.policy, &service.health, &service.limits));
        assert_eq!(view.backends.len(), service.backends.len(), "{} has other backends", view.name);
        for (shown, held) in view.backends.iter().zip(&service.backends) {
            assert_eq!((shown.address, shown.weight), (held.address, held.weight), "{} has others", view.name);
            let has_yet_to_answer = shown.health.as_ref().is_some_and(|health| health.status == HealthStatus::Starting);
            let state = if has_yet_to_answer && held.state == BackendState::Active {
                BackendState::Starting
            } else {
                held.state
            };
            assert_eq!(shown.state, state, "{shown:?}");
        }
        for address in &view.addresses {
            assert!(claimed.insert(*address), "{} claims {address} a second time", view.name);
        }
        for backend in &view.backends {
            assert_eq!(backend.service, view.name);
            let drains = backend.state == BackendState::Draining;
            assert_eq!(drains, backend.drain.is_some(), "{backend:?}");
        }
    }
}

/// Judges the services before a restart against those after it, which knows nothing of the health before it.
pub fn restart(mut before: Vec<ServiceView>, mut after: Vec<ServiceView>) {
    for backend in before.iter_mut().chain(&mut after).flat_map(|view| &mut view.backends) {
        backend.health = None;
        // Also what an active backend is called that has yet to answer; `tables` has judged its state.
        if backend.state == BackendState::Starting {
            backend.state = BackendState::Active;
        }
    }
    assert_eq!(before, after, "a restart changed the services");
}
