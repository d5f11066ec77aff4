//! A server that ends as a deployment expects of it: `server PORT NAME`.
//!
//! It says its name to every connection, then answers each request, which is [`SHORT_EXCHANGE`] bytes, with the same
//! bytes. On SIGTERM
//!
//! 1. it goes on accepting until no connection has come for [`QUIET`], because closing a listener resets whoever waits in
//!    its queue, and clients may be in the middle of the handshake;
//! 2. it sends FIN to each connection that is idle, and to the others as soon as they have their answer. What comes
//!    after its FIN it does not look at, so that a client may ask the same again elsewhere;
//! 3. it reads on until the client's FIN, because closing with unread bytes would reset;
//! 4. it ends with the last connection and prints what it has done.

use std::{
    net::{Ipv6Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use gateway_tests::traffic::{client::SHORT_EXCHANGE, instance::Ledger};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time,
};

/// Longer than a handshake takes of which one segment is lost: a SYN-ACK without answer is sent again after a second
/// (RFC 6298), by the listener. A client that has its SYN-ACK and whose listener is gone waits in vain.
const QUIET: Duration = Duration::from_secs(2);
const BACKLOG: i32 = 4096;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, name] = &arguments[..] else { panic!("usage: server PORT NAME") };
    let listener = listen(port.parse().expect("a port")).unwrap_or_else(|e| panic!("listen on port {port}: {e}"));
    let ledger = serve(listener, Arc::from(format!("{name}\n"))).await;
    println!("{}", ledger.to_json());
    if ledger.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Listens on every address, for IPv4 and IPv6.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port).into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until SIGTERM, and then to the end of every connection.
async fn serve(listener: TcpListener, greeting: Arc<str>) -> Ledger {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be waited for");
    println!("listening");
    let (end, ending) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut accept = |accepted: io::Result<(TcpStream, SocketAddr)>| {
        let (stream, _) = accepted.expect("file descriptors are left");
        connections.spawn(converse(stream, greeting.clone(), ending.clone()));
    };
    loop {
        tokio::select! {
            accepted = listener.accept() => accept(accepted),
            _ = terminate.recv() => break,
        }
    }
    end.send_replace(true);
    while let Ok(accepted) = time::timeout(QUIET, listener.accept()).await {
        accept(accepted);
    }
    drop(listener);
    connections.join_all().await.into_iter().collect()
}

/// One connection to its end; the requests that were answered.
async fn converse(mut stream: TcpStream, greeting: Arc<str>, mut ending: watch::Receiver<bool>) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    stream.write_all(greeting.as_bytes()).await?;
    let mut request = [0; SHORT_EXCHANGE];
    let mut answered = 0;
    loop {
        let read = tokio::select! {
            biased;
            read = stream.read(&mut request) => read?,
            // The first request of a connection is on its way: without its answer nobody would have come.
            _ = ending.wait_for(|ending| *ending), if answered > 0 => break,
        };
        if read == 0 {
            return Ok(answered);
        }
        stream.read_exact(&mut request[read..]).await?;
        stream.write_all(&request).await?;
        answered += 1;
    }
    stream.shutdown().await?;
    io::copy(&mut stream, &mut io::sink()).await?;
    Ok(answered)
}
