//! Recording what passes a device, for judgement after the fact.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{PacketSocket, Segment, checksums};
use crate::{Namespace, link};

const READ_TIMEOUT: Duration = Duration::from_millis(50);

/// A recording that goes on.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<Vec<Vec<u8>>>>,
}

impl Capture {
    /// Records the frames of `device` in both directions, each as it was on the wire: received segments are not
    /// merged while and after it runs.
    #[track_caller]
    pub fn start(namespace: &Namespace, device: &str) -> Self {
        link::never_merge_received_segments(namespace, device);
        let mut socket = PacketSocket::open(namespace, device, READ_TIMEOUT);
        let stop = Arc::new(AtomicBool::new(false));
        let reader = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || record(&mut socket, &stop))
        };
        Self { stop, reader: Some(reader) }
    }

    /// Ends the recording once the device is quiet.
    #[track_caller]
    pub fn finish(mut self) -> Captured {
        self.stop.store(true, Ordering::Relaxed);
        let reader = self.reader.take().expect("a capture is finished once");
        Captured { frames: reader.join().expect("no frame is dropped") }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn record(socket: &mut PacketSocket, stop: &AtomicBool) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        match socket.receive() {
            Some(frame) => frames.push(frame.to_vec()),
            None if stop.load(Ordering::Relaxed) => break,
            None => (),
        }
    }
    assert_eq!(socket.dropped(), 0, "the capture missed frames");
    frames
}

/// A finished recording.
#[derive(Debug)]
pub struct Captured {
    pub frames: Vec<Vec<u8>>,
}

impl Captured {
    /// The TCP segments, in order.
    pub fn segments(&self) -> impl Iterator<Item = Segment> {
        self.frames.iter().filter_map(|frame| Segment::from_frame(frame))
    }

    /// Segments with data that was captured before.
    pub fn retransmissions(&self) -> usize {
        let mut seen = HashSet::new();
        self.segments()
            .filter(|segment| !segment.payload.is_empty())
            .filter(|segment| !seen.insert((segment.source(), segment.destination(), segment.tcp.sequence_number)))
            .count()
    }

    /// Asserts that there are segments and that no checksum in any frame is wrong.
    #[track_caller]
    pub fn assert_checksums(&self) {
        assert!(self.segments().next().is_some(), "no TCP segment was captured");
        for (number, frame) in self.frames.iter().enumerate() {
            if let Err(problem) = checksums::verify(frame) {
                panic!("frame {number} of {}: {problem}: {frame:02x?}", self.frames.len());
            }
        }
    }
}
