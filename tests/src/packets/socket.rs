//! A packet socket (AF_PACKET): whole frames in and out of one device.
#![expect(unsafe_code, reason = "packet sockets and their auxiliary data")]

use std::{
    io::{self, IoSlice, Read, Write},
    mem,
    os::fd::AsRawFd,
    ptr,
    time::Duration,
};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::Namespace;

const RECEIVE_BUFFER: libc::c_int = 64 << 20;
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
        let socket = Self::open_for(namespace, device, libc::ETH_P_ALL as u16);
        socket.socket.set_read_timeout(Some(timeout)).expect("a socket takes a timeout");
        socket
    }

    /// Opens `device` of `namespace` for the frames that come in by it.
    #[track_caller]
    pub fn open_incoming(namespace: &Namespace, device: &str, timeout: Duration) -> Self {
        let socket = Self::open(namespace, device, timeout);
        set_option(&socket.socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)
            .unwrap_or_else(|e| panic!("ignore what {device} of {} sends: {e}", namespace.name()));
        socket
    }

    /// Opens `device` of `namespace` to send alone: no frame that passes costs time here.
    #[track_caller]
    pub fn open_to_send(namespace: &Namespace, device: &str) -> Self {
        const NO_PROTOCOL: u16 = 0;
        Self::open_for(namespace, device, NO_PROTOCOL)
    }

    #[track_caller]
    fn open_for(namespace: &Namespace, device: &str, protocol: u16) -> Self {
        let socket = namespace
            .run(|| open(device, protocol))
            .unwrap_or_else(|e| panic!("open a packet socket on {device} of {}: {e}", namespace.name()));
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

    /// Sends frames by as few system calls as can be, and gives the number of those that the device has taken: one whose
    /// queue is full loses them.
    #[track_caller]
    pub fn send_all(&self, frames: &[Vec<u8>]) -> u64 {
        let parts: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
        let mut messages: Vec<libc::mmsghdr> = parts.iter().map(message).collect();
        let (mut next, mut taken) = (0, 0);
        while next < messages.len() {
            let left = &mut messages[next..];
            // SAFETY: each message points to one of `parts`, which point to frames; all outlive the call. Where the kernel
            // writes lengths, `messages` is mutable.
            let sent =
                unsafe { libc::sendmmsg(self.socket.as_raw_fd(), left.as_mut_ptr(), left.len() as libc::c_uint, 0) };
            match usize::try_from(sent) {
                Ok(sent) => {
                    next += sent;
                    taken += sent as u64;
                }
                Err(_) => match io::Error::last_os_error() {
                    error if error.raw_os_error() == Some(libc::ENOBUFS) => next += 1,
                    error => panic!("send {} frames: {error}", left.len()),
                },
            }
        }
        taken
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

/// A message of one part, for the socket's own device.
fn message(part: &IoSlice<'_>) -> libc::mmsghdr {
    // SAFETY: integers and pointers, for all of which zero is "none".
    let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
    // An `IoSlice` is an `iovec` (its documentation guarantees it); sending does not write to it.
    message.msg_hdr.msg_iov = ptr::from_ref(part).cast_mut().cast();
    message.msg_hdr.msg_iovlen = 1;
    message
}

fn open(device: &str, protocol: u16) -> io::Result<Socket> {
    let index = if_nametoindex(device)?;
    // Protocol 0: nothing arrives before the socket is bound to its device.
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER)?;
    // SAFETY: `sockaddr_ll` is smaller than the storage, is valid when all zero, and its size is reported.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::AF_PACKET as u16;
            (*address).sll_protocol = protocol.to_be();
            (*address).sll_ifindex = index.cast_signed();
            *length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    socket.bind(&address)?;
    Ok(socket)
}

fn set_option(socket: &Socket, level: libc::c_int, option: libc::c_int, value: &libc::c_int) -> io::Result<()> {
    // SAFETY: the options of the callers take an int, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_ref(value).cast(),
            mem::size_of_val(value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
