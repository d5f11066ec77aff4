//! `gateway capture`.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::time;

use super::sightings::ClientAddress;
use crate::{
    control::{Client, views::SightingQuery},
    model::sighting::{LONGEST_FRAME, PacketSeen, Sighting},
};

mod pcapng;

use pcapng::{Capture as Writer, Side};

/// Between two writes to disk, at most.
const FLUSH: Duration = Duration::from_secs(1);

/// Write packets from both sides of the translation to a file
///
/// The file is pcapng, as wireshark and tshark read it: every packet as it came and as it leaves, each interface once for either
/// way, with the reason of the decision as a comment. The kernel's own capture does not see what XDP forwards. Ends at Ctrl-C;
/// while nobody captures, packets cost nothing more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    gateway capture -w all.pcapng --duration 10s\n  \
    gateway capture --client 198.51.100.7 --snaplen 128 -w headers.pcapng\n  \
    gateway capture --service mqtt -w - | tshark -r -")]
pub struct Capture {
    /// The file to write; `-` is the standard output
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// Only packets of this client and of its connections
    #[arg(long, value_name = "A[:P]")]
    client: Option<ClientAddress>,
    /// Only packets of connections to this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only packets that were decided upon for this reason, see `gateway status` (repeatable)
    #[arg(long = "reason", value_name = "REASON")]
    reasons: Vec<String>,
    /// Bytes of each packet
    #[arg(long, value_name = "BYTES", default_value_t = LONGEST_FRAME, value_parser = clap::value_parser!(u32).range(1..=i64::from(LONGEST_FRAME)))]
    snaplen: u32,
    /// End after so many packets, each counted once
    #[arg(short, long, value_name = "N")]
    count: Option<NonZeroU64>,
    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
}

impl Capture {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let query = SightingQuery {
            packets: true,
            client: self.client.map(|client| client.ip),
            port: self.client.and_then(|client| client.port),
            snap: self.snaplen,
            flows: false,
        };
        if self.write == Path::new("-") && io::stdout().is_terminal() {
            bail!("a capture is not for a terminal: name a file, or pipe it to `tshark -r -`");
        }
        let mut sightings = client.sightings(&query).await?;
        let mut writer = Writer::begin(self.open()?)?;
        eprintln!("capturing to {}, Ctrl-C ends it", self.write.display());
        let ended = async {
            time::sleep(self.duration.unwrap_or(Duration::MAX)).await;
            anyhow::Ok(())
        };
        let interrupted = async { tokio::signal::ctrl_c().await.context("wait for Ctrl-C") };
        let (mut packets, mut lost) = (0, 0);
        let mut last = HashMap::new();
        let written = async {
            let mut flush = time::interval(FLUSH);
            loop {
                let next = tokio::select! {
                    next = sightings.next() => next?,
                    _ = flush.tick() => {
                        writer.flush()?;
                        continue;
                    }
                };
                match next {
                    None => bail!("the gateway has stopped"),
                    Some((Sighting::PacketIn(packet), _)) if self.wants(&packet) => {
                        if self.count.is_some_and(|count| packets == count.get()) {
                            return Ok(());
                        }
                        packets += 1;
                        last.insert(packet.cpu, packet.time_ns);
                        writer.write(&packet, Side::In)?;
                    }
                    // Of a packet that was wanted when it came.
                    Some((Sighting::PacketOut(packet), _)) if last.get(&packet.cpu) == Some(&packet.time_ns) => {
                        writer.write(&packet, Side::Out)?;
                    }
                    Some((Sighting::Lost { sightings }, _)) => lost += sightings,
                    Some(_) => {}
                }
            }
        };
        let outcome = tokio::select! {
            outcome = written => outcome,
            outcome = ended => outcome,
            outcome = interrupted => outcome,
        };
        writer.flush()?;
        eprintln!("{packets} packets captured, {lost} sightings lost");
        outcome
    }

    fn open(&self) -> Result<Box<dyn Write>> {
        if self.write == Path::new("-") {
            return Ok(Box::new(BufWriter::new(io::stdout())));
        }
        let file = File::create(&self.write).with_context(|| format!("write {}", self.write.display()))?;
        Ok(Box::new(BufWriter::new(file)))
    }

    fn wants(&self, packet: &PacketSeen) -> bool {
        (self.service.is_none() || self.service == packet.flow.service)
            && (self.reasons.is_empty() || self.reasons.contains(&packet.reason))
    }
}
