//! `gateway events`.

use std::{future, io::Write};

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;

use crate::{
    control::{
        Client,
        views::{EventQuery, SightingQuery},
    },
    model::{
        event::{Event, Happening},
        flow::FlowState,
        sighting::Sighting,
    },
};

/// Show what happens: services, backends, health, deployments, limits
///
/// Begins with what has happened lately, and goes on until the gateway stops or Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    gateway events --service mqtt\n  \
    gateway events --flows\n  \
    gateway events --kind deployment --kind backend-down\n  \
    gateway events --no-follow --json | jq 'select(.kind == \"limit-hit\")'")]
pub struct Events {
    /// Only events after the one with this number
    #[arg(long, value_name = "N")]
    since: Option<u64>,
    /// Show what has happened and end
    #[arg(long)]
    no_follow: bool,
    /// Only events of this service
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    service: Option<String>,
    /// Only events of this kind, such as `backend-down`, or of all that begin so, such as `backend` (repeatable)
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
    kinds: Vec<String>,
    /// Also connections that open and close: all of them, or under load one in sixteen
    #[arg(long, conflicts_with = "no_follow")]
    flows: bool,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

impl Events {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let query = EventQuery { since: self.since, follow: !self.no_follow };
        let mut events = client.events(&query).await?;
        let mut flows = match self.flows {
            true => Some(client.sightings(&SightingQuery { flows: true, ..SightingQuery::default() }).await?),
            false => None,
        };
        let mut stdout = anstream::stdout();
        loop {
            let next_flow = async {
                match &mut flows {
                    Some(flows) => flows.next().await,
                    None => future::pending().await,
                }
            };
            let line = tokio::select! {
                event = events.next() => match event? {
                    None => return Ok(()),
                    Some((event, json)) if self.is_wanted(&event.what) => if self.json { json } else { text(&event) },
                    Some(_) => continue,
                },
                flow = next_flow => match flow? {
                    None => return Ok(()),
                    Some((sighting, json)) if self.shows(&sighting) => if self.json { json } else { flow_text(&sighting) },
                    Some(_) => continue,
                },
            };
            writeln!(stdout, "{line}")?;
            stdout.flush()?;
        }
    }

    /// Of flows, those of the wanted service.
    fn shows(&self, sighting: &Sighting) -> bool {
        match sighting {
            Sighting::FlowOpened(flow) | Sighting::FlowClosed(flow) => {
                self.service.is_none() || self.service == flow.service
            }
            Sighting::Lost { .. } => true,
            Sighting::PacketIn(_) | Sighting::PacketOut(_) => false,
        }
    }

    /// Whoever filters is told of what is lost all the same.
    fn is_wanted(&self, what: &Happening) -> bool {
        let is_of_service = self.service.is_none() || self.service.as_deref() == what.service();
        let is_of_kind = self.kinds.is_empty() || self.kinds.iter().any(|kind| begins_with(what.kind(), kind));
        matches!(what, Happening::Lost { .. }) || is_of_service && is_of_kind
    }
}

const DIM: Style = Style::new().dimmed();

fn text(Event { at, what, .. }: &Event) -> String {
    const WARNING: Style = AnsiColor::Yellow.on_default();

    let at = humantime::format_rfc3339_seconds(*at);
    let style = if what.level() == log::Level::Warn { WARNING } else { Style::new() };
    format!("{DIM}{at}{DIM:#}  {style}{:<22}{style:#}  {what}", what.kind())
}

fn flow_text(sighting: &Sighting) -> String {
    let (kind, flow) = match sighting {
        Sighting::FlowOpened(flow) => ("flow-opened", flow),
        Sighting::FlowClosed(flow) => ("flow-closed", flow),
        Sighting::Lost { sightings } => return format!("{:22}{:<22}{sightings} flows", "", "lost"),
        Sighting::PacketIn(_) | Sighting::PacketOut(_) => return String::new(),
    };
    let at = humantime::format_rfc3339_seconds(flow.at);
    let (service, client) = (flow.service.as_deref().unwrap_or("-"), flow.client);
    let backend = flow.backend.map_or_else(String::new, |backend| format!(" by {backend}"));
    let state = flow.state.map_or("", FlowState::name);
    let (there, back) = (flow.original.bytes, flow.reply.bytes);
    format!("{DIM}{at}{DIM:#}  {kind:<22}  {service}: {client}{backend}, {state}, {there} B there and {back} B back")
}

/// Whether `kind` is `prefix`, or `prefix` and more words.
fn begins_with(kind: &str, prefix: &str) -> bool {
    kind.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn kind(text: &str) -> Result<String, String> {
    if Happening::KINDS.iter().any(|kind| begins_with(kind, text)) {
        return Ok(text.to_owned());
    }
    Err(format!("there is no such kind of event; there are {}", Happening::KINDS.join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        events: Events,
    }

    fn parse(line: &str) -> Option<Events> {
        let words = std::iter::once("events").chain(line.split_whitespace());
        Line::try_parse_from(words).ok().map(|line| line.events)
    }

    #[test]
    fn filters_take_services_kinds_and_families_of_kinds() {
        let up = || ("web".to_owned(), "10.0.1.2:80".parse().unwrap());
        let ((service, backend), state) = (up(), crate::model::BackendState::Active);
        let up = Happening::BackendUp { service, backend, state };
        let is_wanted = |line: &str, what: &Happening| parse(line).unwrap().is_wanted(what);
        assert!(is_wanted("", &up) && is_wanted("--service web --kind backend", &up));
        assert!(is_wanted("--kind limit --kind backend-up", &up));
        assert!(!is_wanted("--service we", &up) && !is_wanted("--kind backend-down", &up));
        assert!(!is_wanted("--service web", &Happening::DaemonStopping));
        assert!(is_wanted("--service we --kind limit", &Happening::Lost { events: 3 }));
        assert!(parse("--kind back").is_none() && parse("--service=").is_none());
    }

    #[test]
    fn every_kind_fits_its_column() {
        assert!(Happening::KINDS.iter().all(|kind| kind.len() <= 22), "{:?}", Happening::KINDS);
    }
}
