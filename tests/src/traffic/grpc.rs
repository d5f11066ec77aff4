//! A gRPC server that says how it is.

use std::{net::Ipv6Addr, sync::mpsc, thread::JoinHandle};

use tokio::{net::TcpListener, runtime, sync::mpsc as channel};
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::{ServingStatus, server::health_reporter};

use crate::Namespace;

/// Serves `grpc.health.v1.Health` alone.
#[derive(Debug)]
pub struct GrpcServer {
    statuses: Option<channel::UnboundedSender<(String, ServingStatus)>>,
    thread: Option<JoinHandle<()>>,
}

impl GrpcServer {
    /// Serves on `port` of every address, for IPv4 and IPv6; the server as a whole is serving.
    #[track_caller]
    pub fn start(namespace: &Namespace, port: u16) -> Self {
        let (statuses, mut changes) = channel::unbounded_channel::<(String, ServingStatus)>();
        let (ready, listening) = mpsc::channel();
        let serve = async move {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await.expect("the port is free");
            ready.send(()).expect("the starter waits");
            let (reporter, service) = health_reporter();
            let server = Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener));
            let report = async {
                while let Some((service, status)) = changes.recv().await {
                    reporter.set_service_status(service, status).await;
                }
            };
            // Ends at once: connections that are still open are closed with the runtime.
            tokio::select! {
                served = server => served.expect("a listening server goes on"),
                () = report => (),
            }
        };
        let thread = namespace.spawn(move || {
            runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts").block_on(serve);
        });
        listening.recv().expect("the server starts");
        Self { statuses: Some(statuses), thread: Some(thread) }
    }

    /// What the server says of a service from here on; of the server as a whole by the name "".
    pub fn set(&self, service: &str, is_serving: bool) {
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        let statuses = self.statuses.as_ref().expect("there until the end");
        statuses.send((service.to_owned(), status)).expect("the server runs");
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        drop(self.statuses.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
