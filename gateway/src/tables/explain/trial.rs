//! One segment through the core, without consequences.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use gateway_common::{
    abi::{Direction, Flow as Entry, Settings, Tuple},
    host::{Local, Packet, Routes, Stack, Wire},
    nat::{Action, Network, Reason, process},
};

use super::{
    Hook,
    frame::Incoming,
    view::{Maps, View},
    way::Way,
};

/// What the core decided, and the tables as it has left them.
pub struct Trial<'a> {
    pub view: View<'a>,
    pub reason: Reason,
    /// The program that decided.
    pub hook: Hook,
    /// The frame as the core has left it.
    frame: Vec<u8>,
}

/// Where a segment comes in.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub maps: &'a Maps,
    pub way: &'a Way,
    pub settings: Settings,
    /// XDP runs there, before TC.
    pub by_xdp: bool,
}

impl<'a> Scene<'a> {
    /// The client's SYN; the repetition of the one that its tuple is in the handshake of.
    pub fn syn(&self, tuple: &Tuple) -> Packet {
        let under_way = self.maps.half_open.get(tuple).filter(|entry| entry.direction == Direction::Original);
        // With another number it would be another attempt.
        let number = under_way.map_or_else(|| fastrand::u32(..), |entry| entry.next_seq.wrapping_sub(1));
        Packet::syn(tuple.source(), tuple.destination(), number)
    }

    /// Lets XDP decide if it runs where the segment comes in, and TC if XDP leaves it to that.
    pub fn decide(&self, segment: &Packet) -> Result<Trial<'a>> {
        if self.by_xdp {
            let trial = self.decide_in::<Wire>(segment, Hook::Xdp)?;
            if trial.reason.action() != Action::Pass {
                return Ok(trial);
            }
        }
        self.decide_in::<Stack>(segment, Hook::Tc)
    }

    fn decide_in<L: Local>(&self, segment: &Packet, hook: Hook) -> Result<Trial<'a>> {
        let view = View::new(self.maps, self.settings)?;
        let nowhere = Routes { default: Err(Reason::NoRoute), by_destination: BTreeMap::new() };
        let mut frame = Incoming::<L>::new(&segment.build(), &nowhere, self.way, self.maps, self.settings.generation);
        let mut headers = Network::EMPTY;
        let verdict = process(&mut frame, &view, &mut headers);
        view.check()?;
        self.way.check()?;
        Ok(Trial { reason: verdict.reason, hook, frame: frame.bytes().to_vec(), view })
    }
}

impl Trial<'_> {
    /// The client's acknowledgement of the SYN-ACK that answers `syn`.
    pub fn acknowledgement(&self, syn: &Packet) -> Result<Packet> {
        let answer = Packet::read(&self.frame).map_err(anyhow::Error::msg).context("read the SYN-ACK")?;
        let ack = Packet::new(syn.source(), syn.destination());
        Ok(ack.seq(syn.tcp.sequence_number.wrapping_add(1)).ack(answer.tcp.sequence_number.wrapping_add(1)))
    }

    /// Whether the segment reaches a backend.
    pub fn is_forwarded(&self) -> bool {
        self.reason.action() == Action::Forward
    }

    /// The client's direction of the flow that the segment belongs to, or would have opened.
    pub fn original(&self, tuple: &Tuple) -> Option<Entry> {
        self.view.original(tuple).filter(|entry| entry.direction == Direction::Original && self.is_forwarded())
    }
}
