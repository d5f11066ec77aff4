//! Whether what came out of the core is what ought to have come out, by `etherparse`'s reading. Of a frame that was
//! damaged before it came in nothing is asked.

use crate::{
    host::{Message, Packet},
    nat::{Flags, Reason},
};

/// A translated packet has right checksums where it came with right ones, its content, and a hop less. A segment has these
/// sequence and acknowledgement numbers.
pub fn translation(before: &[u8], after: &[u8], numbers: (u32, u32)) -> Result<(), String> {
    if let Ok(mut before) = Packet::read(before) {
        (before.tcp.sequence_number, before.tcp.acknowledgment_number) = numbers;
        let mut after = Packet::read(after)?;
        if after.envelope.hop_limit + 1 != before.envelope.hop_limit {
            return Err("did not take one hop".to_owned());
        }
        let (ports, options) = ((before.tcp.source_port, before.tcp.destination_port), before.envelope.ip_options);
        (after.tcp.source_port, after.tcp.destination_port) = ports;
        if (after.tcp, after.payload, after.envelope.ip_options) != (before.tcp, before.payload, options) {
            return Err("changed more than addresses, ports and numbers".to_owned());
        }
    } else if let Ok(before) = Message::read(before) {
        let after = Message::read(after)?;
        if Packet::read_quote(&before.quote).is_ok() {
            Packet::read_quote(&after.quote)?;
        }
    }
    Ok(())
}

/// What a refusal was turned into is the client's SYN, whole, with right checksums, to the next backend; `syn` is what the
/// client sent, where that is known.
pub fn given_to_another(syn: Option<&Packet>, after: &Packet) -> Result<(), String> {
    if after.envelope.hop_limit != 63 || !after.envelope.ip_options.is_empty() {
        return Err(format!("is not a SYN in a new packet: {:?}", after.envelope));
    }
    let Some(syn) = syn else { return Ok(()) };
    let mut tcp = syn.tcp.clone();
    (tcp.source_port, tcp.destination_port) = (after.tcp.source_port, after.tcp.destination_port);
    if after.tcp == tcp && after.payload.is_empty() { Ok(()) } else { Err(format!("is not the SYN {syn:?}")) }
}

/// What an acknowledgement of a cookie was turned into is the client's SYN.
pub fn opened_by_cookie(before: &[u8], after: &[u8]) -> Result<(), String> {
    let Ok(before) = Packet::read(before) else { return Ok(()) };
    let mut after = Packet::read(after)?;
    given_to_another(None, &after)?;
    let mut syn = Packet::new(after.source(), after.destination())
        .flags(Flags::SYN)
        .seq(before.tcp.sequence_number.wrapping_sub(1))
        .options(after.tcp.options.as_slice());
    syn.tcp.window_size = before.tcp.window_size;
    (syn.tcp.checksum, after.tcp.checksum) = (0, 0);
    if after.tcp == syn.tcp && after.payload.is_empty() { Ok(()) } else { Err("is not the client's SYN".to_owned()) }
}

/// An answer has right checksums and goes back where the packet came from.
pub fn answer(reason: Reason, before: &[u8], after: &[u8]) -> Result<(), String> {
    let Ok(before) = Packet::read(before) else { return Ok(()) };
    let answer = match Packet::read(after) {
        Ok(reset) if reset.tcp.rst => reset.envelope,
        Ok(syn_ack) if reason == Reason::CookieSent && syn_ack.tcp.syn && syn_ack.tcp.ack => syn_ack.envelope,
        Ok(_) => return Err("is an answer of another kind".to_owned()),
        Err(_) => Message::read(after)?.envelope,
    };
    let (to, from) = (before.envelope.source, before.envelope.destination);
    if (answer.destination, answer.source) == (to, from) { Ok(()) } else { Err("answers somebody else".to_owned()) }
}
