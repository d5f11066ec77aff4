//! `gateway service`: the services.

use anyhow::Result;
use clap::{Subcommand, builder::NonEmptyStringValueParser};

use crate::control::Client;

mod add;
mod list;
mod remove;
mod set;
mod show;
mod url;

/// Add, list, show, change and remove services
#[derive(Debug, Subcommand)]
pub enum Service {
    Add(add::Add),
    List(list::List),
    Show(show::Show),
    Set(set::Set),
    Remove(remove::Remove),
    Url(url::Url),
}

impl Service {
    pub async fn execute(self, client: &Client) -> Result<()> {
        match self {
            Self::Add(verb) => verb.execute(client).await,
            Self::List(verb) => verb.execute(client).await,
            Self::Show(verb) => verb.execute(client).await,
            Self::Set(verb) => verb.execute(client).await,
            Self::Remove(verb) => verb.execute(client).await,
            Self::Url(verb) => verb.execute(client).await,
        }
    }
}

/// A service's name as an argument.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// The service
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
}
