//! SYN cookies (RFC 4987 section 3.6): in a flood of SYNs the gateway answers a client itself, and opens a flow when the
//! client's acknowledgement shows that it is there.
//!
//! The initial sequence number of the answer is the cookie: all that is needed to believe the acknowledgement and to write
//! the SYN that the backend is then sent. Until the backend has answered, the flow is half-open and the client's segments
//! are dropped, for the client to send again; where the backend is silent, what the client sends again opens the flow anew.
//! The backend's SYN-ACK makes the flow an established one, whose sequence numbers are shifted ever after by the difference
//! of the backend's initial number and the cookie. It goes on to the client, which acknowledges a SYN-ACK that it has had
//! already (RFC 9293 section 3.10.7.4): that completes the backend's handshake. Where the client is gone by then, it resets
//! the connection instead, so none is left that nobody ends.
//!
//! A connection opened so has no TCP options but the maximum segment size: no window scaling, no selective
//! acknowledgements, no timestamps. That is why cookies are for floods, see [`super::pressure`].
//!
//! Cookie, from the highest bit: 2 bits of the period it was made in, 2 of the segment size, 28 of a keyed hash.

use super::{
    Reason, Verdict, answer, compose,
    fail_over::{self, Attempt},
    flow,
    frame::Frame,
    handshake,
    headers::{Bytes2, Bytes4, TcpHeader, Words},
    latency, open,
    parse::{Network, PROTOCOL_TCP, Segment},
    rewrite,
    tables::{FlowTable, Tables},
    tcp::Flags,
};
use crate::abi::{Client, Cookies, Direction, Family, Flow, Retry, Scratch, Seen, Tuple, ticks_from_millis};

/// A period, in which cookies are made alike, is 2^12 ticks: 69 s. A cookie is believed in its own and in the next one.
const PERIOD_SHIFT: u32 = 12;

/// Maximum segment sizes that a cookie can tell: the default of RFC 9293 section 3.7.1, and what IPv6's least MTU, and
/// Ethernet by IPv6 and by IPv4, leave.
const SEGMENT_SIZES: [u16; 4] = [536, 1220, 1440, 1460];

const HASH_BITS: u32 = 28;

/// Length of a TCP header with the option of the maximum segment size (RFC 9293 section 3.2).
const HEADER_LEN: usize = TcpHeader::LEN + 4;
const SEGMENT_SIZE_OPTION: [u8; 2] = [2, 4];

/// What a client may send before it hears of the backend: not scaled.
const WINDOW: u16 = u16::MAX;

/// Time that a backend has for its answer before the client's next segment opens the flow anew.
const REPETITION: u32 = ticks_from_millis(200);

/// Answers a client's SYN by a SYN-ACK of the gateway's own.
#[inline(never)]
pub fn answer<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment) -> Reason {
    let size = segment_size(frame, segment);
    let number = SEGMENT_SIZES.iter().skip(1).filter(|known| **known <= size).count() as u32;
    let period = tables.now() >> PERIOD_SHIFT;
    let cookie = make(tables, segment.tuple(), segment.seq, number, period);
    if !open::retire_finished(tables, segment.tuple()) {
        return Reason::OpenRace;
    }
    let own = match segment.ip.family {
        Family::V4 => SEGMENT_SIZES[3],
        Family::V6 => SEGMENT_SIZES[2],
    };
    let header = TcpHeader {
        offset: (HEADER_LEN as u8 / 4) << 4,
        flags: Flags::SYN.with(Flags::ACK),
        window: Bytes2(WINDOW.to_be_bytes()),
        ..answer::header(segment, cookie, segment.next_seq())
    };
    answer::send(frame, segment, &header, option(own), Reason::CookieSent)
}

/// Whether `segment`, of no flow, acknowledges a cookie; what it says of its client is left in the scratch room.
#[inline(never)]
pub fn is_acknowledged<T: Tables>(tables: &T, segment: &Segment) -> bool {
    let Some(scratch) = tables.scratch() else { return false };
    let (isn, cookie) = (segment.seq.wrapping_sub(1), segment.ack.wrapping_sub(1));
    let other = segment.flags.intersects(Flags::SYN.with(Flags::RST)) || !segment.flags.contains(Flags::ACK);
    if other || tables.settings().cookies == Cookies::Never {
        return false;
    }
    let present = tables.now() >> PERIOD_SHIFT;
    let age = present.wrapping_sub(cookie >> 30) & 3;
    if age > 1 || make(tables, segment.tuple(), isn, cookie >> HASH_BITS & 3, present.wrapping_sub(age)) != cookie {
        return false;
    }
    scratch.client = Client { known: 1, isn, cookie };
    true
}

/// Turns an acknowledgement that is believed into the SYN for the backend, and `ip` into the SYN's. Changes nothing where the
/// frame has no room for it.
#[inline(never)]
pub fn restore<F: Frame, T: Tables>(frame: &mut F, tables: &T, ip: &mut Network) -> Result<(), Reason> {
    let scratch = tables.scratch().ok_or(Reason::RewriteFailed)?;
    let Client { isn, cookie, .. } = scratch.client;
    write_syn(frame, ip, isn, cookie)?;
    scratch.rewritten = 1;
    Ok(())
}

/// Makes the prepared flow one of the client that the scratch room says has acknowledged a cookie.
#[inline(always)]
pub fn mark(scratch: &mut Scratch) {
    scratch.original.seen = Seen::COOKIE;
    scratch.reply.seen = Seen::COOKIE;
    scratch.reply.created = scratch.client.cookie;
}

/// Whether `segment`, of a half-open flow, opens it anew because its client has acknowledged a cookie: a SYN does, or what the
/// client sends while its backend is silent.
#[inline(always)]
pub fn starts_over<T: Tables>(tables: &T, segment: &Segment, entry: &Flow) -> bool {
    // What the client sends meanwhile is not recorded, so this is when the SYN left.
    let waiting = tables.now().wrapping_sub(entry.last_seen);
    let again = segment.flags.opens() || (waiting >= REPETITION && !segment.flags.contains(Flags::RST));
    entry.seen.contains(Seen::COOKIE) && entry.direction == Direction::Original && again
}

/// Whether `segment`, of a half-open flow, is the one by which its backend refuses a client that has acknowledged a cookie, or
/// says that the source port is occupied, and another one is left for it; that is named in the scratch room.
#[inline(never)]
pub fn fails_over<T: Tables>(tables: &T, segment: &Segment, entry: &Flow) -> bool {
    if !entry.seen.contains(Seen::COOKIE) || entry.direction == Direction::Original {
        return false;
    }
    let (backend, retry) = match fail_over::attempt(tables, segment, entry) {
        Attempt::Refused if fail_over::is_remembered(tables, segment, entry) => {
            (fail_over::another(tables, segment, entry), Retry::AnotherBackend)
        }
        Attempt::Occupied => (fail_over::again(tables, entry), Retry::AnotherPort),
        _ => return false,
    };
    let Some(scratch) = tables.scratch() else { return false };
    if backend != 0 {
        (scratch.backend, scratch.retry) = (backend, retry);
        // The SYN itself is remembered.
        scratch.client = Client { known: 1, cookie: entry.created, ..Client::default() };
    }
    backend != 0
}

/// Any other segment of such a flow.
#[inline(never)]
pub fn half_open<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    entry: &mut Flow,
) -> Result<Verdict, Reason> {
    let answers = entry.direction == Direction::Reply;
    let completes = answers && segment.flags.contains(Flags::SYN.with(Flags::ACK));
    let resets = segment.flags.contains(Flags::RST);
    if !completes && !resets {
        return Err(Reason::CookieWaiting);
    }
    if answers {
        fits(tables, segment, entry)?;
    }
    flow::find_hop(frame, tables, entry)?;
    flow::check_size_and_life(frame, segment, &entry.hop)?;
    if !resets {
        return complete(frame, tables, segment, entry);
    }
    let before = entry.seen;
    handshake::record(tables, segment, entry);
    handshake::account(tables, entry, before);
    if answers {
        // The backend's refusal is for the client a reset of an open connection, and so has the number that it expects.
        rewrite::sequence_number(frame, segment.ip, entry.created.wrapping_add(1))?;
    }
    flow::send(frame, segment, entry, Reason::Forwarded)
}

/// Whether the backend answers the SYN of the flow as it is.
#[inline(always)]
fn fits<T: Tables>(tables: &T, segment: &Segment, reply: &Flow) -> Result<(), Reason> {
    match tables.half_open().get(&reply.to.reversed()) {
        Some(original) if segment.ack == original.next_seq && original.to.is_reverse_of(segment.tuple()) => Ok(()),
        _ => Err(Reason::HandshakeMismatch),
    }
}

/// Establishes the flow by the backend's SYN-ACK, which the client gets as one of the cookie's: it acknowledges it once more,
/// and so to the backend, or resets it if it is gone.
#[inline(always)]
fn complete<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    reply: &mut Flow,
) -> Result<Verdict, Reason> {
    let Some(original) = tables.half_open().get(&reply.to.reversed()) else { return Err(Reason::HandshakeMismatch) };
    let cookie = reply.created;
    latency::measure(tables, reply);
    handshake::record(tables, segment, reply);
    reply.created = segment.seq.wrapping_sub(cookie);
    original.acked = cookie.wrapping_add(1);
    if let Err(reason) = handshake::establish(tables, original, reply) {
        reply.created = cookie;
        return Err(reason);
    }
    let Some(flow) = tables.flows().get(segment.tuple()) else { return Err(Reason::OpenRace) };
    rewrite::sequence_number(frame, segment.ip, cookie)?;
    flow::send(frame, segment, flow, Reason::CookieCompleted)
}

/// Gives a segment of an established flow the numbers that its receiver knows.
#[inline(never)]
pub fn translate<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, flow: &Flow) -> Result<(), Reason> {
    match flow.direction {
        Direction::Reply => rewrite::sequence_number(frame, segment.ip, segment.seq.wrapping_sub(flow.shift())),
        Direction::Original => {
            rewrite::acknowledgement(frame, segment.ip, segment.ack.wrapping_add(shift_of(tables, flow)))
        }
    }
}

/// How far what the receiver of a direction has sent is behind the numbers that the other end knows it by: 0 for the
/// backend.
#[inline(always)]
pub fn shift_of<T: Tables>(tables: &T, flow: &Flow) -> u32 {
    tables.flows().get(&flow.to.reversed()).map_or(0, |twin| twin.shift())
}

/// Writes the SYN of the client whose acknowledgement is in the frame.
#[inline(always)]
fn write_syn<F: Frame>(frame: &mut F, ip: &mut Network, isn: u32, cookie: u32) -> Result<(), Reason> {
    let window = frame.header::<TcpHeader>(ip.l4)?.window;
    let l4 = compose::network(frame, ip, (&ip.tuple.src, &ip.tuple.dst), PROTOCOL_TCP, HEADER_LEN)?;
    *frame.header(l4)? = TcpHeader {
        src_port: Bytes2(ip.tuple.src_port),
        dst_port: Bytes2(ip.tuple.dst_port),
        seq: Bytes4(isn.to_be_bytes()),
        ack: Bytes4([0; 4]),
        offset: (HEADER_LEN as u8 / 4) << 4,
        flags: Flags::SYN,
        window,
        checksum: Bytes2([0; 2]),
        urgent: Bytes2([0; 2]),
    };
    let size = SEGMENT_SIZES[(cookie >> HASH_BITS & 3) as usize];
    *frame.header(l4 + TcpHeader::LEN)? = Words([option(size)]);
    let words = frame.header::<Words<{ HEADER_LEN / 4 }>>(l4)?.0;
    let checksum = compose::pseudo_header(ip, PROTOCOL_TCP, HEADER_LEN).insert_words(&words).checksum();
    frame.header::<TcpHeader>(l4)?.checksum = Bytes2(checksum);
    ip.hop_limit = compose::HOP_LIMIT;
    ip.packet_len = (l4 - ip.l3 + HEADER_LEN) as u32;
    ip.l4 = l4;
    Ok(())
}

/// The maximum segment size that a SYN tells, where its option comes first, as all common systems have it; otherwise the
/// default.
#[inline(always)]
fn segment_size<F: Frame>(frame: &mut F, segment: &Segment) -> u16 {
    let first = segment.ip.l4 + TcpHeader::LEN;
    let has_options = segment.headers > segment.ip.header_len() + TcpHeader::LEN as u32;
    match frame.header::<Bytes4>(first) {
        Ok(Bytes4([kind, len, high, low])) if has_options && [*kind, *len] == SEGMENT_SIZE_OPTION => {
            u16::from_be_bytes([*high, *low])
        }
        _ => SEGMENT_SIZES[0],
    }
}

/// The option of the maximum segment size as a word in memory.
#[inline(always)]
fn option(size: u16) -> u32 {
    let ([kind, len], [high, low]) = (SEGMENT_SIZE_OPTION, size.to_be_bytes());
    u32::from_ne_bytes([kind, len, high, low])
}

#[inline(always)]
fn make<T: Tables>(tables: &T, tuple: &Tuple, isn: u32, size: u32, period: u32) -> u32 {
    let hash = tables.hash_cookie(tuple, isn, period << 2 | size);
    (period & 3) << 30 | size << HASH_BITS | hash & ((1 << HASH_BITS) - 1)
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012) of 44 bytes: the tuple, the client's initial number and `salt`.
#[inline(always)]
pub fn hash(tuple: &Tuple, isn: u32, salt: u32, keys: &[u32; 4]) -> u32 {
    let word = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (tuple.src.words(), tuple.dst.words());
    let blocks = [word(s0, s1), word(s2, s3), word(d0, d1), word(d2, d3), word(tuple.ports(), isn)];
    let (k0, k1) = (word(keys[0], keys[1]), word(keys[2], keys[3]));
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    for block in blocks {
        absorb(&mut state, block);
    }
    // The last block has the length, 44, in its highest byte.
    absorb(&mut state, word(salt, 44 << 24));
    state[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut state);
    }
    let [v0, v1, v2, v3] = state;
    (v0 ^ v1 ^ v2 ^ v3) as u32
}

#[inline(always)]
fn absorb(state: &mut [u64; 4], block: u64) {
    state[3] ^= block;
    round(state);
    round(state);
    state[0] ^= block;
}

#[inline(always)]
fn round([v0, v1, v2, v3]: &mut [u64; 4]) {
    *v0 = v0.wrapping_add(*v1);
    *v2 = v2.wrapping_add(*v3);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v1);
    *v0 = v0.wrapping_add(*v3);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    #[expect(deprecated, reason = "the one SipHash-2-4 with keys in the standard library")]
    fn hash_is_the_standard_librarys() {
        let tuple = Tuple::from_sockets("198.51.100.1:50000".parse().unwrap(), "203.0.113.10:443".parse().unwrap());
        let keys = [1, 2, 3, u32::MAX];
        let mut reference = std::hash::SipHasher::new_with_keys(1 | 2 << 32, 3 | u64::from(u32::MAX) << 32);
        let words = tuple.src.words().into_iter().chain(tuple.dst.words()).chain([tuple.ports(), 77, 9]);
        reference.write(&words.flat_map(u32::to_ne_bytes).collect::<Vec<_>>());
        assert_eq!(hash(&tuple, 77, 9, &keys), reference.finish() as u32);
    }
}
