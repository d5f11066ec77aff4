//! What goes on: a bar on a terminal, a line for each step elsewhere.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub struct Progress {
    bar: ProgressBar,
    has_terminal: bool,
}

impl Progress {
    pub fn new(duration: Duration) -> Self {
        let bar = ProgressBar::with_draw_target(Some(duration.as_secs().max(1)), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {wide_bar} {msg}") {
            bar.set_style(style);
        }
        Self { bar, has_terminal: io::stderr().is_terminal() }
    }

    /// Tells what happens at a site from now on.
    pub fn step(&self, site: &str, what: &str) {
        let elapsed = self.bar.elapsed().as_secs();
        self.bar.set_position(elapsed.min(self.bar.length().unwrap_or(elapsed)));
        self.bar.set_message(format!("{site}: {what}"));
        if !self.has_terminal {
            println!("{elapsed:>5} s  {site}: {what}");
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
