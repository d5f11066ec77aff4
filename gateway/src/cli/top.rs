//! `gateway top`.
//!
//! Two looks at the gateway make a [`Report`]; what the user wants to see of it is a
//! [`Screen`]; drawing and keys are functions of these.

use std::{env, os::fd::OwnedFd, time::Duration};

use anyhow::{Context, Result};
use ratatui::{Terminal, backend::TestBackend};
use terminal_size::{Width, terminal_size};

use self::{
    draw::{Notice, Theme},
    report::Report,
    sample::Sample,
    screen::Screen,
};
use super::output;
use crate::{control::Client, datapath};

mod activity;
mod draw;
mod keys;
mod live;
mod report;
mod sample;
mod screen;
mod units;

/// Show services and backends with their rates, live
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    gateway top\n  \
    gateway top --once --cpu --interval 5s\n\n\
    F1 or h lists the keys.")]
pub struct Top {
    /// How long rates are taken over
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print one picture after one interval and end
    #[arg(long, visible_alias = "batch")]
    once: bool,
    /// Have the kernel count what a packet costs while this runs; needs root, and costs a little itself
    #[arg(long)]
    cpu: bool,
}

impl Top {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let first = Sample::take(client).await?;
        let cpu = self.cpu.then(count_cpu).transpose()?;
        if self.once {
            once(client, first, self.interval, cpu).await
        } else {
            live::run(client, first, self.interval, cpu).await
        }
    }
}

/// The kernel counts the processor time of packet programs for as long as this is held.
fn count_cpu() -> Result<OwnedFd> {
    datapath::count_run_time().context("have the kernel count what a packet costs; run as root")
}

/// Prints a picture as large as it needs to be.
async fn once(client: &Client, first: Sample, interval: Duration, cpu: Option<OwnedFd>) -> Result<()> {
    tokio::time::sleep(interval).await;
    let report = Report::between(Some(&first), &Sample::take(client).await?);
    drop(cpu);
    let unfolded = report.services.iter().map(|service| service.name.clone()).collect();
    let mut screen = Screen { is_batch: true, unfolded, ..Screen::default() };
    let notice = Notice::default();
    let height = draw::frame_lines(&report, &notice) + screen.lines(&report).len();
    let (width, height) = (width(), u16::try_from(height).unwrap_or(u16::MAX));
    let theme = Theme { has_colour: false };
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| draw::draw(frame, &mut screen, &report, &notice, theme))?;
    output::print(&text(terminal.backend()))
}

/// The characters of a screen, without the space at the ends of lines.
fn text(screen: &TestBackend) -> String {
    let buffer = screen.buffer();
    let lines = buffer.content.chunks(usize::from(buffer.area.width).max(1));
    let line = |cells: &[ratatui::buffer::Cell]| cells.iter().map(|cell| cell.symbol()).collect::<String>();
    lines.map(|cells| line(cells).trim_end().to_owned() + "\n").collect()
}

/// Of the terminal, of `COLUMNS`, or 80.
fn width() -> u16 {
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.or_else(|| terminal_size().map(|(Width(width), _)| width)).unwrap_or(80).max(80)
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let shortest = Duration::from_millis(100);
    if interval < shortest { Err("100ms is the shortest interval".to_owned()) } else { Ok(interval) }
}

#[cfg(test)]
mod tests;
