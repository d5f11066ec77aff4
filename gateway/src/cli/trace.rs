//! `gateway trace`.

use std::{
    io::Write,
    num::NonZeroU64,
    time::{Duration, SystemTime},
};

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use gateway_common::nat::Reason;

use super::sightings::ClientAddress;
use crate::{
    control::{Client, views::SightingQuery},
    model::{
        sighting::{PacketSeen, Sighting},
        status::Action,
    },
};

mod summary;

/// Bytes of a frame that hold all headers.
const HEADERS: u32 = 256;

/// Follow the packets of a client through the datapath, and say why each goes where it goes
///
/// Shows every packet of the client and of its connections as it came (>) and as it leaves (<), with the reason of the decision.
/// Goes on until Ctrl-C. While nobody traces, packets cost nothing more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    gateway trace 198.51.100.7\n  \
    gateway trace '[2001:db8::7]:51234' --count 20\n  \
    gateway trace 198.51.100.7 --json | jq 'select(.action == \"drop\")'")]
pub struct Trace {
    /// The client's address, with or without a port
    #[arg(value_name = "CLIENT[:PORT]")]
    client: ClientAddress,
    /// End after so many packets
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

impl Trace {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let ClientAddress { ip, port } = self.client;
        let query = SightingQuery { packets: true, client: Some(ip), port, snap: HEADERS, flows: false };
        let mut sightings = client.sightings(&query).await?;
        eprintln!("tracing {}, Ctrl-C ends it", self.client);
        let mut stdout = anstream::stdout();
        let mut packets = 0;
        while let Some((sighting, json)) = sightings.next().await? {
            if let Sighting::PacketIn(_) = sighting {
                // What leaves comes right behind.
                if self.count.is_some_and(|count| packets == count.get()) {
                    break;
                }
                packets += 1;
            }
            let text = if self.json { json } else { text(&sighting) };
            writeln!(stdout, "{text}")?;
            stdout.flush()?;
            if self.count.is_some_and(|count| packets == count.get()) && is_last(&sighting) {
                break;
            }
        }
        Ok(())
    }
}

/// Whether no other sighting of the same packet follows.
fn is_last(sighting: &Sighting) -> bool {
    match sighting {
        Sighting::PacketIn(packet) => !matches!(packet.action, Action::Forward | Action::Answer),
        _ => true,
    }
}

fn text(sighting: &Sighting) -> String {
    const WARNING: Style = AnsiColor::Yellow.on_default();

    match sighting {
        Sighting::PacketIn(packet) => came(packet),
        Sighting::PacketOut(packet) => format!("{:15} < {:<10} {}", "", packet.interface, summary::of(packet)),
        Sighting::Lost { sightings } => {
            format!("{WARNING}{sightings} sightings were lost: they came too fast{WARNING:#}")
        }
        Sighting::FlowOpened(_) | Sighting::FlowClosed(_) => String::new(),
    }
}

/// The packet as it came, and what was decided.
fn came(packet: &PacketSeen) -> String {
    const DIM: Style = Style::new().dimmed();

    let style = match packet.action {
        Action::Forward => AnsiColor::Green.on_default(),
        Action::Pass => Style::new(),
        Action::Answer => AnsiColor::Yellow.on_default(),
        Action::Drop => AnsiColor::Red.on_default(),
    };
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(packet.time_ns);
    let at = humantime::format_rfc3339_micros(at).to_string();
    let at = at.get(11..26).unwrap_or(&at);
    let meaning =
        Reason::ALL.iter().find(|reason| reason.name() == packet.reason).map_or("", |reason| reason.meaning());
    let hook = packet.hook.name();
    let mut lines = format!("{DIM}{at}{DIM:#} > {:<10} {}\n", packet.interface, summary::of(packet));
    lines += &format!("{:17} {hook:<10} {style}{}, {}{style:#}: {meaning}", "", packet.action.name(), packet.reason);
    if let Some(flow) = summary::of_flow(&packet.flow) {
        lines += &format!("\n{:28} {flow}", "");
    }
    lines
}
