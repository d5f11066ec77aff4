//! What a core, a network card and ten front servers would carry: the model of `docs/capacity.md`, computed from the
//! figures of a run.
//!
//! Assumptions are constants here and said in the result; what was not measured is left out, not guessed.

use std::fmt::Write;

use crate::{
    figure::Findings,
    names::{axis, live, micro, scale},
    number,
};

/// Receive and transmit by a network card's driver, ns a packet.
const DRIVER: f64 = 100.0;
/// How busy a core may be.
const BUSY: f64 = 0.7;
/// Sixteen cores against sixteen times one.
const SCALING: f64 = 0.85;
const QUEUES: f64 = 16.0;
/// Bits a second, each way.
const WIRE: f64 = 25e9;
/// Preamble and gap of a frame, bytes.
const GAP: f64 = 20.0;
/// Bytes of frames.
const SIZES: [f64; 3] = [64.0, 700.0, 1_500.0];
/// Of ten servers nine are up, and one has a tenth more than its share.
const TEN: f64 = 9.0 / 1.1;
/// Ports of one source address.
const PORTS: f64 = 25_536.0;
/// Seconds for which a finished flow keeps its ports.
const REST: f64 = 65.0;
const MILLION: u64 = 1_000_000;

/// The tables as Markdown.
pub fn render(findings: &Findings) -> String {
    let mut text = String::new();
    write_all(&mut text, findings).expect("writing to a string does not fail");
    text
}

fn write_all(text: &mut String, findings: &Findings) -> std::fmt::Result {
    let inputs = Inputs { findings };
    writeln!(text, "| measured | |\n|---|---|")?;
    for (name, value, unit) in inputs.all() {
        let value = value.map_or_else(|| "not measured".to_owned(), |value| number::quantity(value) + " " + unit);
        writeln!(text, "| {name} | {value} |")?;
    }
    write_packets(text, &inputs)?;
    write_others(text, &inputs)
}

/// A core, a card and ten servers, by flows and by the size of frames.
fn write_packets(text: &mut String, inputs: &Inputs) -> std::fmt::Result {
    writeln!(
        text,
        "\nPackets, in millions a second; in brackets the Gbit/s that they carry, both directions of the connections \
         together. {DRIVER} ns of the driver, {BUSY} of a core, {SCALING} of sixteen.\n"
    )?;
    let sizes = SIZES.map(|size| format!("16 queues, {size} bytes")).join(" | ");
    let tens = format!("ten servers, {} bytes", SIZES[1]);
    writeln!(text, "| flows | a core | {sizes} | {tens} |\n|---|---|---|---|---|---|")?;
    for flows in [1, 30_000, MILLION] {
        let Some(core) = inputs.packet(flows).map(packets_of_core) else { continue };
        let card = |size| packets_of_card(core, size);
        let carried =
            |packets: f64, size| format!("{} ({})", millions(packets), number::quantity(packets * size * 8.0 / 1e9));
        let cards = SIZES.map(|size| carried(card(size), size)).join(" | ");
        let ten = carried(card(SIZES[1]) * TEN, SIZES[1]);
        writeln!(text, "| {} | {} | {cards} | {ten} |", number::count(flows), millions(core))?;
    }
    Ok(())
}

fn write_others(text: &mut String, inputs: &Inputs) -> std::fmt::Result {
    writeln!(text, "\n| else | a core | 16 cores | ten servers |\n|---|---|---|---|")?;
    if let Some(connection) = inputs.connection() {
        let core = BUSY / (connection * 1e-6);
        let server = core * QUEUES * SCALING;
        let row = [core, server, server * TEN].map(number::quantity).join(" | ");
        writeln!(text, "| connections a second, opened and closed | {row} |")?;
    }
    if let Some(bytes) = inputs.memory() {
        let flows = millions(16.0 * 1024.0_f64.powi(3) / bytes);
        writeln!(text, "| flows in 16 GiB of memory | | {flows} million | |")?;
    }
    if let Some(sweep) = inputs.sweep() {
        let ten = sweep * 10.0;
        let (ten, later) = (number::quantity(ten), number::quantity((ten * 20.0).max(5.0)));
        writeln!(text, "| sweep of 10 million flows | {ten} s, every {later} s | | |")?;
    }
    let lasting = |seconds: f64| number::quantity(0.5 * PORTS / (seconds + REST));
    writeln!(
        text,
        "| new connections a second to one backend from one source address, half of its ports taken | | {} that last a \
         second, {} that last a minute | |",
        lasting(1.0),
        lasting(60.0)
    )
}

/// Packets a second of one core, `ns` being the program's time.
fn packets_of_core(ns: f64) -> f64 {
    BUSY * 1e9 / (ns + DRIVER)
}

/// Packets a second of a card with as many cores as queues, which its wire may be too slow for.
fn packets_of_card(core: f64, size: f64) -> f64 {
    (core * QUEUES * SCALING).min(WIRE / ((size + GAP) * 8.0))
}

fn millions(count: f64) -> String {
    number::quantity(count / 1e6)
}

struct Inputs<'a> {
    findings: &'a Findings,
}

impl Inputs<'_> {
    fn median(&self, case: &str, subject: &str, at: Option<(&str, u64)>) -> Option<f64> {
        self.findings.find(case, subject, at).map(crate::figure::Figure::median)
    }

    /// Program time of an established packet, ns.
    fn packet(&self, flows: u64) -> Option<f64> {
        self.median(micro::BOTH, micro::GATEWAY_XDP, Some((axis::FLOWS, flows)))
    }

    /// Processor time of a connection, µs.
    fn connection(&self) -> Option<f64> {
        self.median(live::TWO_ARM.connection_cpu, live::GATEWAY_XDP, None)
    }

    /// Bytes of a flow.
    fn memory(&self) -> Option<f64> {
        self.median(scale::MEMORY_PER_FLOW, scale::DAEMON, Some((axis::FLOWS, MILLION)))
    }

    /// Seconds for a million flows.
    fn sweep(&self) -> Option<f64> {
        self.median(scale::SWEEP, scale::SWEEPER, Some((axis::FLOWS, MILLION)))
    }

    fn all(&self) -> [(&'static str, Option<f64>, &'static str); 10] {
        let live = |subject, flows| self.median(live::PACKETS, subject, Some((axis::FLOWS, flows)));
        let new = self.median(micro::NEW, micro::GATEWAY_XDP, Some((axis::FLOWS, 1)));
        [
            ("*e*(1)", self.packet(1), "ns"),
            ("*e*(30,000)", self.packet(30_000), "ns"),
            ("*e*(1,000,000)", self.packet(MILLION), "ns"),
            ("*n*", new, "ns"),
            ("*r*", live(live::REDIRECT_XDP, 1), "ns"),
            ("*g*(1)", live(live::GATEWAY_XDP, 1), "ns"),
            ("*g*(1,000,000)", live(live::GATEWAY_XDP, MILLION), "ns"),
            ("*c*", self.connection(), "µs"),
            ("*m*", self.memory(), "bytes"),
            ("*s*", self.sweep(), "s"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;

    #[test]
    fn large_frames_are_limited_by_the_wire_and_small_ones_by_the_cores() {
        let core = packets_of_core(600.0);
        assert_eq!(core, 1e6);
        assert_eq!(packets_of_card(core, 64.0), 13.6e6);
        assert_eq!(packets_of_card(core, 1_542.0), 25e9 / (1_562.0 * 8.0));
    }

    #[test]
    fn what_was_not_measured_is_not_derived() {
        let mut findings = Findings::default();
        let text = render(&findings);
        assert!(text.contains("| *c* | not measured |") && !text.contains("connections a second, opened"), "{text}");
        findings.push(Figure::new(live::TWO_ARM.connection_cpu, live::GATEWAY_XDP, "µs", vec![35.0]));
        assert!(render(&findings).contains("| connections a second, opened and closed | 20,000 | 272,000 |"));
    }
}
