//! How long backends take to answer a SYN, as the gateway sees it.

use super::tables::Tables;
use crate::abi::{FIRST_HANDSHAKE_BUCKET, Flow, HANDSHAKE_BUCKETS};

/// Starts the clock of an attempt that is being opened with the direction `reply`. Its acknowledgement number is the place:
/// there is none before the backend's first segment.
#[inline(always)]
pub fn start<T: Tables>(tables: &T, reply: &mut Flow) {
    reply.acked = tables.micros().max(1);
}

/// Counts the answer to the SYN of `reply`, from which nothing has come before. One whose entry was forgotten meanwhile has no
/// clock.
#[inline(never)]
pub fn measure<T: Tables>(tables: &T, reply: &Flow) {
    if reply.acked == 0 {
        return;
    }
    let elapsed = tables.micros().wrapping_sub(reply.acked);
    if let Some(counters) = tables.counters(reply.backend) {
        counters.handshake_us += u64::from(elapsed);
        if let Some(count) = counters.handshakes.get_mut(bucket(elapsed)) {
            *count = count.wrapping_add(1);
        }
    }
}

/// Index of the first bucket whose bound is not below `micros`.
#[inline(always)]
fn bucket(micros: u32) -> usize {
    let mut index = 0;
    while index < HANDSHAKE_BUCKETS - 1 && micros > 1 << (FIRST_HANDSHAKE_BUCKET + index as u32) {
        index += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_in_the_first_bucket_that_holds_it() {
        assert_eq!([0, 32, 33, 64, 65].map(bucket), [0, 0, 1, 1, 2]);
        assert_eq!([1 << 20, (1 << 20) + 1, u32::MAX].map(bucket), [15, 16, 16]);
    }
}
