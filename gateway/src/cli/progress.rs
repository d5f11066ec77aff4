//! Long work on the terminal: what has happened as lines, what goes on as one line that changes.

use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::print;

/// The progress of one command. Where stderr is no terminal, only what has happened is printed.
pub struct Progress {
    line: ProgressBar,
    is_silent: bool,
}

impl Progress {
    pub fn new() -> Self {
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        line.set_style(ProgressStyle::default_spinner());
        line.enable_steady_tick(Duration::from_millis(120));
        Self { line, is_silent: false }
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Self { line: ProgressBar::hidden(), is_silent: true }
    }

    /// What goes on.
    pub fn show(&self, message: &str) {
        self.line.set_message(message.to_owned());
    }

    /// What has happened.
    pub fn say(&self, message: &str) -> Result<()> {
        if self.is_silent { Ok(()) } else { self.line.suspend(|| print(message)) }
    }

    /// What it came to.
    pub fn finish(self, message: &str) -> Result<()> {
        self.line.finish_and_clear();
        self.say(message)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}
