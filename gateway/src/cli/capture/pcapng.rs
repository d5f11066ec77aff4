//! Packets as a pcapng file (draft-ietf-opsawg-pcapng).

use std::{borrow::Cow, collections::HashMap, io::Write, time::Duration};

use anyhow::{Context, Result};
use pcap_file::{
    DataLink,
    pcapng::{
        PcapNgBlock, PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
        },
    },
};

use crate::model::sighting::PacketSeen;

/// Times are in units of 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Which way a packet passes an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    In,
    Out,
}

/// A file that is being written.
pub struct Capture<W: Write> {
    writer: PcapNgWriter<W>,
    interfaces: HashMap<(String, Side), u32>,
}

impl<W: Write> Capture<W> {
    pub fn begin(to: W) -> Result<Self> {
        let writer = PcapNgWriter::new(to).context("begin the capture")?;
        Ok(Self { writer, interfaces: HashMap::new() })
    }

    pub fn write(&mut self, packet: &PacketSeen, side: Side) -> Result<()> {
        let interface_id = self.interface(packet, side)?;
        let comment = format!("{} {}: {}", packet.hook.name(), packet.action.name(), packet.reason);
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(packet.time_ns),
            original_len: packet.length,
            data: Cow::Borrowed(&packet.frame),
            options: vec![EnhancedPacketOption::Comment(comment.into())],
        };
        self.writer.write_block(&block.into_block()).context("write a packet")?;
        Ok(())
    }

    pub fn flush(&mut self) -> Result<()> {
        self.writer.get_mut().flush().context("write the capture")
    }

    /// The number of an interface, which is described before its first packet.
    fn interface(&mut self, packet: &PacketSeen, side: Side) -> Result<u32> {
        if let Some(number) = self.interfaces.get(&(packet.interface.clone(), side)) {
            return Ok(*number);
        }
        let (way, description) = match side {
            Side::In => ("in", "packets as they came"),
            Side::Out => ("out", "packets as they leave"),
        };
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(format!("{}-{way}", packet.interface).into()),
                InterfaceDescriptionOption::IfDescription(description.into()),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        self.writer.write_block(&block.into_block()).context("write an interface")?;
        let number = self.interfaces.len() as u32;
        self.interfaces.insert((packet.interface.clone(), side), number);
        Ok(number)
    }
}
