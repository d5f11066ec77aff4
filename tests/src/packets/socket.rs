//! A packet socket (AF_PACKET): whole frames in and out of one device.

use std::{
    io::{self, Read, Write},
    mem,
    os::fd::AsRawFd,
    time::Duration,
};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::Namespace;

static RECEIVE_BUFFER: libc::c_int = 64 << 20;
/// Ethernet header and the largest packet a device hands over.
const FRAME: usize = 14 + 65_535;

/// Sends and receives the frames of one device, in both directions.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    buffer: Vec<u8>,
}

impl PacketSocket {
    /// Opens `device` of `namespace`. A read without a frame ends after `timeout`.
    #[track_caller]
    pub fn open(namespace: &Namespace, device: &str, timeout: Duration) -> Self {
        let socket = namespace
            .run(|| open(device))
            .unwrap_or_else(|e| panic!("open a packet socket on {device} of {}: {e}", namespace.name()));
        socket.set_read_timeout(Some(timeout)).expect("a socket takes a timeout");
        Self { socket, buffer: vec![0; FRAME] }
    }

    /// The next frame, or nothing within the timeout.
    pub fn receive(&mut self) -> Option<&[u8]> {
        match self.socket.read(&mut self.buffer) {
            Ok(length) => Some(&self.buffer[..length]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
            // The device is gone with its namespace.
            Err(e) if e.raw_os_error() == Some(libc::ENETDOWN) => None,
            Err(e) => panic!("read frames: {e}"),
        }
    }

    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        let sent = (&self.socket).write(frame).unwrap_or_else(|e| panic!("send {} bytes: {e}", frame.len()));
        assert_eq!(sent, frame.len(), "a frame is sent whole");
    }

    /// Frames that were lost because nobody read them in time, since the last call.
    pub fn dropped(&self) -> u32 {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = mem::size_of_val(&statistics) as libc::socklen_t;
        // SAFETY: `statistics` is the structure that PACKET_STATISTICS of a version 1 socket writes, and
        // `length` is its size.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0, "packet sockets have statistics: {}", io::Error::last_os_error());
        statistics.tp_drops
    }
}

fn open(device: &str) -> io::Result<Socket> {
    let every_protocol = (libc::ETH_P_ALL as u16).to_be();
    let index = if_nametoindex(device)?;
    // Protocol 0: nothing arrives before the socket is bound to its device.
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    // SAFETY: the option takes an int, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const RECEIVE_BUFFER).cast(),
            mem::size_of_val(&RECEIVE_BUFFER) as libc::socklen_t,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `sockaddr_ll` is smaller than the storage, is valid when all zero, and its size is reported.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::AF_PACKET as u16;
            (*address).sll_protocol = every_protocol;
            (*address).sll_ifindex = index.cast_signed();
            *length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    socket.bind(&address)?;
    Ok(socket)
}
