//! The live view: looks at the gateway, takes keys, draws, until the user or a signal ends it.
//!
//! Whatever ends it, a panic included, the terminal is as it was before.

use std::{
    env,
    io::{self, IsTerminal},
    os::fd::OwnedFd,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{self, MissedTickBehavior},
};

use super::{
    count_cpu,
    draw::{self, Notice, Theme},
    keys::{self, Outcome},
    report::Report,
    sample::Sample,
    screen::Screen,
};
use crate::control::Client;

/// Gives the terminal back when it is dropped; a panic's message comes after that.
struct Guard(DefaultTerminal);

impl Drop for Guard {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What is shown, and what it is made of.
struct View<'a> {
    client: &'a Client,
    latest: Sample,
    report: Report,
    screen: Screen,
    notice: Notice,
    cpu: Option<OwnedFd>,
}

pub async fn run(client: &Client, first: Sample, interval: Duration, cpu: Option<OwnedFd>) -> Result<()> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!("this is no terminal; `gateway top --once` prints one picture");
    }
    let theme = Theme { has_colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminal = Guard(ratatui::try_init().context("take the terminal over")?);
    let mut keys = EventStream::new();
    let mut ticks = time::interval_at(time::Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);

    let report = Report::between(None, &first);
    let (screen, notice) = (Screen::default(), Notice::default());
    let mut view = View { client, latest: first, report, screen, notice, cpu };
    loop {
        terminal.0.draw(|frame| draw::draw(frame, &mut view.screen, &view.report, &view.notice, theme))?;
        let outcome = tokio::select! {
            _ = ticks.tick() => if view.screen.is_paused { Outcome::Stay } else { Outcome::Refresh },
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) => keys::press(&mut view.screen, key, &view.report),
                // Another size, for one, is drawn anew.
                Some(Ok(_)) => Outcome::Stay,
                Some(Err(error)) => return Err(error).context("read the keys"),
                None => Outcome::Quit,
            },
            _ = terminate.recv() => Outcome::Quit,
            _ = interrupt.recv() => Outcome::Quit,
            _ = hangup.recv() => Outcome::Quit,
        };
        match outcome {
            Outcome::Stay => {}
            Outcome::Refresh => view.look().await,
            Outcome::ToggleCpu => view.toggle_cpu(),
            Outcome::Quit => return Ok(()),
        }
    }
}

impl View<'_> {
    /// Takes the next look. A gateway that is away is waited for: it may be restarted.
    async fn look(&mut self) {
        match Sample::take(self.client).await {
            Ok(sample) => {
                self.report = Report::between(Some(&self.latest), &sample);
                (self.latest, self.notice) = (sample, Notice::default());
            }
            Err(error) => self.notice = Notice(Some(error.to_string())),
        }
    }

    fn toggle_cpu(&mut self) {
        if self.cpu.take().is_none() {
            match count_cpu() {
                Ok(counting) => self.cpu = Some(counting),
                Err(error) => self.notice = Notice(Some(format!("{error:#}"))),
            }
        }
    }
}
