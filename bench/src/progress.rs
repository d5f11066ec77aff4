//! What goes on: one line that changes on a terminal, a line for each step elsewhere.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Tells the watcher; by default there is none.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    line: Option<ProgressBar>,
    has_terminal: bool,
}

impl Progress {
    /// To stderr.
    pub fn new() -> Self {
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}") {
            line.set_style(style);
        }
        line.enable_steady_tick(Duration::from_millis(250));
        Self { line: Some(line), has_terminal: io::stderr().is_terminal() }
    }

    /// What is done next.
    pub fn step(&self, what: &str) {
        match &self.line {
            Some(line) if self.has_terminal => line.set_message(what.to_owned()),
            Some(line) => eprintln!("{:>4} s  {what}", line.elapsed().as_secs()),
            None => {}
        }
    }

    /// What has happened and stays on the screen.
    pub fn say(&self, what: &str) {
        if let Some(line) = &self.line {
            line.suspend(|| eprintln!("{what}"));
        }
    }

    /// Nothing more comes.
    pub fn finish(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}
