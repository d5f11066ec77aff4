//! One method for each request of the API.

use std::net::SocketAddr;

use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{Client, ClientError};
use crate::{
    control::views::{BackendQuery, BackendView, ExplainQuery, FlowQuery, ServiceView, StatusView, WhoQuery},
    model::{
        Deployment, NewBackend,
        change::{BackendChange, DrainOrder, NewDeployment, NewService, ServiceChange},
        explanation::Explanation,
        flow::{Flow, FlowPage},
    },
};

impl Client {
    pub async fn status(&self) -> Result<StatusView, ClientError> {
        self.get("/v1/status").await
    }

    pub async fn services(&self) -> Result<Vec<ServiceView>, ClientError> {
        self.get("/v1/services").await
    }

    pub async fn service(&self, name: &str) -> Result<ServiceView, ClientError> {
        self.get(&service_path(name)).await
    }

    pub async fn add_service(&self, new: &NewService) -> Result<ServiceView, ClientError> {
        self.send(Method::POST, "/v1/services", new).await
    }

    pub async fn set_service(&self, name: &str, change: &ServiceChange) -> Result<ServiceView, ClientError> {
        self.send(Method::PATCH, &service_path(name), change).await
    }

    pub async fn remove_service(&self, name: &str) -> Result<(), ClientError> {
        self.delete(&service_path(name)).await
    }

    pub async fn backends(&self, query: &BackendQuery) -> Result<Vec<BackendView>, ClientError> {
        self.get(&with_arguments("/v1/backends", query)?).await
    }

    pub async fn add_backend(&self, service: &str, backend: &NewBackend) -> Result<BackendView, ClientError> {
        self.send(Method::POST, &format!("{}/backends", service_path(service)), backend).await
    }

    pub async fn set_backend(
        &self,
        service: &str,
        address: SocketAddr,
        change: &BackendChange,
    ) -> Result<BackendView, ClientError> {
        self.send(Method::PATCH, &backend_path(service, address), change).await
    }

    pub async fn drain_backend(
        &self,
        service: &str,
        address: SocketAddr,
        order: &DrainOrder,
    ) -> Result<BackendView, ClientError> {
        self.send(Method::POST, &format!("{}/drain", backend_path(service, address)), order).await
    }

    pub async fn deploy(&self, service: &str, new: &NewDeployment) -> Result<Deployment, ClientError> {
        self.send(Method::POST, &format!("{}/deployments", service_path(service)), new).await
    }

    pub async fn cancel_deployment(&self, service: &str) -> Result<(), ClientError> {
        self.delete(&format!("{}/deployment", service_path(service))).await
    }

    pub async fn remove_backend(&self, service: &str, address: SocketAddr) -> Result<(), ClientError> {
        self.delete(&backend_path(service, address)).await
    }

    pub async fn explain(&self, query: &ExplainQuery) -> Result<Explanation, ClientError> {
        self.get(&with_arguments("/v1/explain", query)?).await
    }

    pub async fn flows(&self, query: &FlowQuery) -> Result<FlowPage, ClientError> {
        self.get(&with_arguments("/v1/flows", query)?).await
    }

    pub async fn who(&self, snat: SocketAddr, backend: SocketAddr) -> Result<Flow, ClientError> {
        self.get(&with_arguments("/v1/who", &WhoQuery { snat, backend })?).await
    }
}

fn service_path(name: &str) -> String {
    format!("/v1/services/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

fn backend_path(service: &str, address: SocketAddr) -> String {
    let address = address.to_string();
    format!("{}/backends/{}", service_path(service), utf8_percent_encode(&address, NON_ALPHANUMERIC))
}

pub(super) fn with_arguments(path: &str, arguments: &impl Serialize) -> Result<String, ClientError> {
    let arguments = serde_urlencoded::to_string(arguments).map_err(anyhow::Error::from)?;
    Ok(if arguments.is_empty() { path.to_owned() } else { format!("{path}?{arguments}") })
}
