//! Why a packet went where it went.
//!
//! A reason is a counter, a counter is a metric: the discriminant is the index in the counter array, the name
//! is the metric's label.

/// What the hook does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave it, unchanged, to the kernel.
    Pass,
    Drop,
    /// Send the rewritten packet out of the verdict's device.
    Forward,
    /// Send what it was turned into back out of the device it came from.
    Answer,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal => $action:ident,)+) => {
        /// One outcome for a packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Label of the counter.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            pub const fn action(self) -> Action {
                match self { $(Self::$variant => Action::$action,)+ }
            }
        }
    };
}

reasons! {
    /// Neither IPv4 nor IPv6 (ARP and the like).
    NotIp = "not_ip" => Pass,
    /// Neither TCP nor an ICMP error.
    NotTcp = "not_tcp" => Pass,
    /// TCP for no service and of no flow: the host's own traffic.
    NoService = "no_service" => Pass,
    /// An ICMP error about no tracked flow.
    IcmpUnrelated = "icmp_unrelated" => Pass,
    /// A fragment that is not the first one of a segment for a service or of a flow.
    Fragment = "fragment" => Pass,
    /// IPv4 options that ask for a route of their own; the kernel refuses them unless it is told otherwise.
    SourceRoute = "source_route" => Pass,
    /// An IPv6 extension header before TCP.
    ExtensionHeader = "extension_header" => Pass,
    /// Headers that contradict each other or the frame's length.
    Malformed = "malformed" => Pass,
    /// XDP leaves it to the TC program of the same interface, which reaches local containers.
    HandedToTc = "handed_to_tc" => Pass,

    /// Translated, client to backend or back.
    Forwarded = "forwarded" => Forward,
    /// A SYN that opened a flow.
    Opened = "opened" => Forward,
    /// A SYN given to another backend: the one before refused it or did not answer.
    FailedOver = "failed_over" => Forward,
    /// A SYN sent from another source port: at the backend the one before still belongs to a connection that has ended.
    PortChanged = "port_changed" => Forward,
    /// A SYN given to another backend: no source port was to be had towards the one before.
    OpenedElsewhere = "opened_elsewhere" => Forward,
    /// A client's acknowledgement of a SYN cookie, turned into the SYN for a backend.
    OpenedByCookie = "opened_by_cookie" => Forward,
    /// A backend's SYN-ACK for a client that has acknowledged a SYN cookie, for it to acknowledge once more.
    CookieCompleted = "cookie_completed" => Forward,
    /// An ICMP error about a tracked flow, translated in both headers.
    IcmpForwarded = "icmp_forwarded" => Forward,

    /// A SYN in a flood, answered by a SYN cookie.
    CookieSent = "cookie_sent" => Answer,
    /// A SYN for a service without a usable backend, answered by a reset.
    NoBackendReset = "no_backend_reset" => Answer,
    /// A SYN while the flow table is at its capacity, answered by a reset.
    TableFullReset = "table_full_reset" => Answer,
    /// A segment for a service that belongs to no flow, answered by a reset.
    UnknownFlowReset = "unknown_flow_reset" => Answer,
    /// A SYN beyond a service's limit of open connections, answered by a reset.
    LimitConnectionsReset = "limit_connections_reset" => Answer,
    /// A SYN beyond a source's limit of open connections, answered by a reset.
    LimitConnectionsPerSourceReset = "limit_connections_per_source_reset" => Answer,
    /// A SYN beyond a service's limit of new connections, answered by a reset.
    LimitRateReset = "limit_rate_reset" => Answer,
    /// A SYN beyond a source's limit of new connections, answered by a reset.
    LimitRatePerSourceReset = "limit_rate_per_source_reset" => Answer,
    /// A late segment of a flow whose client has another by now, answered by a reset.
    FlowGoneReset = "flow_gone_reset" => Answer,
    /// A segment of a flow that was cut, answered by a reset.
    FlowCutReset = "flow_cut_reset" => Answer,
    /// TTL or hop limit at its end, answered by ICMP time exceeded.
    TimeExceeded = "time_exceeded" => Answer,
    /// Larger than the next hop's MTU, answered by ICMP fragmentation needed or packet too big.
    PacketTooBig = "packet_too_big" => Answer,

    /// A SYN for a service without a usable backend.
    NoBackend = "no_backend" => Drop,
    /// A segment for a service that belongs to no flow.
    UnknownFlow = "unknown_flow" => Drop,
    /// A segment for a service, of no flow, from an address that nobody can have: loopback, multicast, broadcast, the
    /// front server's own; or one sent to all stations of the link.
    Martian = "martian" => Drop,
    /// The first fragment of a segment for a service or of a flow; TCP senders do path MTU discovery instead.
    FragmentOfFlow = "fragment_of_flow" => Drop,
    /// An ICMP error about a flow that quotes a segment which is not under way: most likely a forgery.
    IcmpOutOfWindow = "icmp_out_of_window" => Drop,
    /// An ICMP error about a flow that asks for packets smaller than every link can carry.
    IcmpTinyMtu = "icmp_tiny_mtu" => Drop,
    /// A late reset, or an ICMP error, of a flow whose client has another by now.
    FlowGone = "flow_gone" => Drop,
    /// A packet about a flow that was cut without resets, or a reset of one that was cut with them.
    FlowCut = "flow_cut" => Drop,
    /// A backend's reset in answer to a SYN that is not remembered: the client's repetition goes to another backend.
    RefusalWithheld = "refusal_withheld" => Drop,
    /// A SYN beyond a service's limit of open connections.
    LimitConnections = "limit_connections" => Drop,
    /// A SYN beyond a source's limit of open connections.
    LimitConnectionsPerSource = "limit_connections_per_source" => Drop,
    /// A SYN beyond a service's limit of new connections.
    LimitRate = "limit_rate" => Drop,
    /// A SYN beyond a source's limit of new connections.
    LimitRatePerSource = "limit_rate_per_source" => Drop,
    /// The flow table is at its capacity.
    TableFull = "table_full" => Drop,
    /// No source port is free towards the backend, nor towards others that were tried.
    PortsExhausted = "ports_exhausted" => Drop,
    /// A SYN beyond a service's share of the source ports towards the backend, and towards others that were tried.
    PortShareUsed = "port_share_used" => Drop,
    /// Two CPUs opened the same flow; the client sends its SYN again.
    OpenRace = "open_race" => Drop,
    /// A segment after the acknowledgement of a SYN cookie, before the backend has answered: the client sends it again.
    CookieWaiting = "cookie_waiting" => Drop,
    /// An acknowledgement that does not fit the backend's SYN-ACK, or a SYN-ACK that does not fit the SYN.
    HandshakeMismatch = "handshake_mismatch" => Drop,
    /// An ICMP error with its TTL or hop limit at its end: no error is sent about an error.
    Expired = "expired" => Drop,
    /// No route to the next hop, or one that says unreachable.
    NoRoute = "no_route" => Drop,
    /// The kernel does not forward between these interfaces: a forwarding sysctl is off, or the address is the host's own.
    NotForwarded = "not_forwarded" => Drop,
    /// A route that the lookup helper cannot follow (encapsulation and the like).
    RouteUnsupported = "route_unsupported" => Drop,
    /// The rewritten or answering frame could not be built.
    RewriteFailed = "rewrite_failed" => Drop,
}

impl Reason {
    pub const COUNT: usize = Self::ALL.len();
}

/// What was decided for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub reason: Reason,
    /// The device to forward out of; meaningless for other actions.
    pub ifindex: u32,
}

impl From<Reason> for Verdict {
    #[inline(always)]
    fn from(reason: Reason) -> Self {
        Self { reason, ifindex: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discriminant_is_the_position_in_the_list() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }

    #[test]
    fn names_are_unique_labels() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::COUNT);
    }
}
