//! What became of each connection, and what explains it where it failed.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use gateway_tests::traffic::Failure;

/// A connection that did not do what it should.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Of a service's short or long connections.
    pub load: &'static str,
    /// Who had answered, if anyone had.
    pub server: Option<String>,
    pub failure: Failure,
    pub began: Instant,
    pub ended: Instant,
}

/// Something that breaks the connections of one server: a crash, a cut.
#[derive(Clone, Debug)]
struct Blow {
    server: String,
    from: Instant,
    until: Instant,
}

/// Everything that is to be judged in the end. Shared by clients and by what happens to the site.
#[derive(Debug)]
pub struct Journal {
    start: Instant,
    pub connections: AtomicUsize,
    pub exchanges: AtomicUsize,
    failed: Mutex<Vec<Failed>>,
    blows: Mutex<Vec<Blow>>,
}

impl Journal {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            connections: AtomicUsize::default(),
            exchanges: AtomicUsize::default(),
            failed: Mutex::default(),
            blows: Mutex::default(),
        }
    }

    pub fn note_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub fn note_exchange(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
    }

    pub fn note_failure(&self, failed: Failed) {
        self.failed.lock().unwrap().push(failed);
    }

    /// Does what breaks the connections of `server`, and only those.
    pub fn strike<T>(&self, server: &str, blow: impl FnOnce() -> T) -> T {
        let from = Instant::now();
        let result = blow();
        self.blows.lock().unwrap().push(Blow { server: server.to_owned(), from, until: Instant::now() });
        result
    }

    /// Failures that a blow to the connection's own server explains, counted; a connection whose server is not known is
    /// one of whoever was struck while it was being made.
    pub fn explained(&self) -> BTreeMap<Failure, usize> {
        let mut counts = BTreeMap::new();
        for failed in self.failed.lock().unwrap().iter().filter(|failed| self.explains(failed)) {
            *counts.entry(failed.failure).or_default() += 1;
        }
        counts
    }

    /// The failures that nothing explains, in words.
    pub fn unexplained(&self) -> Vec<String> {
        let failed = self.failed.lock().unwrap();
        failed.iter().filter(|failed| !self.explains(failed)).map(|failed| self.describe(failed)).collect()
    }

    fn explains(&self, failed: &Failed) -> bool {
        self.blows.lock().unwrap().iter().any(|blow| {
            let overlaps = failed.began <= blow.until && blow.from <= failed.ended;
            overlaps && failed.server.as_ref().is_none_or(|server| *server == blow.server)
        })
    }

    fn describe(&self, failed: &Failed) -> String {
        let Failed { load, server, failure, began, ended } = failed;
        let server = server.as_deref().unwrap_or("a server that had not answered");
        format!("{load} connection to {server}, {} to {}: {failure}", self.at(*began), self.at(*ended))
    }

    /// A moment, as progress and findings tell it.
    pub fn at(&self, moment: Instant) -> impl fmt::Display + use<> {
        format!("{:.1} s", moment.duration_since(self.start).as_secs_f64())
    }
}
