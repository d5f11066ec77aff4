//! What has happened lately, for whoever wants to know.
//!
//! Events are numbered, kept in a ring, and logged, each once. Readers take them from the ring at their own pace:
//! whoever falls behind by more than the ring holds is told how many events that has cost, and holds nobody up.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::sync::watch;

use super::event_log;
use crate::model::event::{Event, Happening};

/// Events that are kept.
const KEPT: usize = 1000;

/// The latest events of this daemon.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<Ring>,
    outlook: watch::Sender<Outlook>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    /// Number of the latest event.
    latest: u64,
}

/// What a reader can wait for.
#[derive(Clone, Copy, Debug, Default)]
struct Outlook {
    latest: u64,
    is_closed: bool,
}

/// Reads events in their order, from some number on.
#[derive(Debug)]
pub struct Reader {
    /// Number of the last event that was read.
    read: u64,
    /// Whether it counts as a loss that older events are not kept.
    counts_losses: bool,
    outlook: watch::Receiver<Outlook>,
}

impl Default for Events {
    fn default() -> Self {
        Self { ring: Mutex::default(), outlook: watch::Sender::new(Outlook::default()) }
    }
}

impl Events {
    /// Tells everybody, in this order.
    pub fn publish(&self, happenings: impl IntoIterator<Item = Happening>) {
        let mut ring = self.ring();
        let before = ring.latest;
        for what in happenings {
            event_log::log(&what);
            ring.latest += 1;
            let event = Event { number: ring.latest, at: SystemTime::now(), what };
            if ring.events.len() == KEPT {
                ring.events.pop_front();
            }
            ring.events.push_back(event);
        }
        if ring.latest > before {
            self.outlook.send_modify(|outlook| outlook.latest = ring.latest);
        }
    }

    /// There will be no more events: who waits for one is told.
    pub fn close(&self) {
        self.outlook.send_modify(|outlook| outlook.is_closed = true);
    }

    /// Begins after the event numbered `since`, or with the oldest one that is known. A number that no event has yet
    /// is an earlier daemon's, and means the oldest one too.
    pub fn reader(&self, since: Option<u64>) -> Reader {
        let since = since.filter(|since| *since <= self.ring().latest);
        Reader { read: since.unwrap_or(0), counts_losses: since.is_some(), outlook: self.outlook.subscribe() }
    }

    /// What has come since the last call. Events that are not kept any more are one [`Happening::Lost`].
    pub fn read(&self, reader: &mut Reader) -> Vec<Event> {
        let ring = self.ring();
        let unread = usize::try_from(ring.latest - reader.read).unwrap_or(usize::MAX);
        let kept = unread.min(ring.events.len());
        let mut events = Vec::with_capacity(kept + 1);
        if let (true, lost @ 1..) = (reader.counts_losses, (unread - kept) as u64) {
            let number = reader.read + lost;
            events.push(Event { number, at: SystemTime::now(), what: Happening::Lost { events: lost } });
        }
        events.extend(ring.events.range(ring.events.len() - kept..).cloned());
        (reader.read, reader.counts_losses) = (ring.latest, true);
        events
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Waits until there is something to read; false if there never will be.
    pub async fn wait(&mut self) -> bool {
        let read = self.read;
        let is_news = |outlook: &Outlook| outlook.latest > read || outlook.is_closed;
        self.outlook.wait_for(is_news).await.is_ok_and(|outlook| outlook.latest > read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: u64) -> Happening {
        Happening::ServiceRemoved { service: number.to_string() }
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.number).collect()
    }

    #[test]
    fn reader_gets_each_event_once_and_in_order() {
        let events = Events::default();
        events.publish((1..=3).map(named));
        let mut reader = events.reader(None);
        assert_eq!(numbers(&events.read(&mut reader)), [1, 2, 3]);
        assert!(events.read(&mut reader).is_empty());
        events.publish([named(4)]);
        assert_eq!(numbers(&events.read(&mut reader)), [4]);
        assert_eq!(numbers(&events.read(&mut events.reader(Some(3)))), [4]);
        assert_eq!(numbers(&events.read(&mut events.reader(Some(0)))), [1, 2, 3, 4]);
        assert_eq!(events.read(&mut events.reader(Some(99))).len(), 4, "an earlier daemon's number");
    }

    #[test]
    fn slow_reader_is_told_what_it_has_lost() {
        let events = Events::default();
        events.publish((1..=5).map(named));
        let mut slow = events.reader(Some(2));
        events.publish((6..=KEPT as u64 + 10).map(named));
        let read = events.read(&mut slow);
        // Of 3 to 1010 the last thousand are kept.
        assert_eq!(read[0].what, Happening::Lost { events: 8 });
        assert_eq!((read[0].number, read[1].number, read.len()), (10, 11, KEPT + 1));
        let fresh = events.read(&mut events.reader(None));
        assert_eq!((fresh[0].number, fresh.len()), (11, KEPT), "who asks for what is kept has lost nothing");
    }

    #[tokio::test]
    async fn waiting_ends_with_an_event_or_with_the_gateway() {
        let events = Events::default();
        events.publish([named(1)]);
        let mut reader = events.reader(None);
        assert!(reader.wait().await);
        events.read(&mut reader);
        let (waited, ()) = tokio::join!(reader.wait(), async { events.publish([named(2)]) });
        assert!(waited);
        events.close();
        assert!(reader.wait().await, "what came before the end is still to be read");
        events.read(&mut reader);
        assert!(!reader.wait().await);
    }
}
