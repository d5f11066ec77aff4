//! Taking over the control socket's path.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
};

use gateway::control::{Client, ControlSocket};

#[tokio::test]
async fn socket_is_for_owner_and_group_and_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/on/the/way/gateway.sock");
    let socket = ControlSocket::bind(&path).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn socket_of_a_gateway_that_is_gone_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a plain listener leaves its path behind");
    ControlSocket::bind(&path).await.unwrap();
}

#[tokio::test]
async fn socket_of_a_running_gateway_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let _running = ControlSocket::bind(&path).await.unwrap();
    let error = format!("{:#}", ControlSocket::bind(&path).await.unwrap_err());
    assert!(error.contains("another gateway is running"), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn file_in_the_sockets_place_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    fs::write(&path, "precious").unwrap();
    let error = format!("{:#}", ControlSocket::bind(&path).await.unwrap_err());
    assert!(error.contains("something else than a socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn client_without_a_daemon_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let error = Client::new(&path).status().await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("start one with `gateway run`"), "{error}");
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(Client::new(&path).status().await.unwrap_err().exit_code(), 3);
}
