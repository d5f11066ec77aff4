//! Whether a service takes on another connection.
//!
//! A connection is counted from its SYN to the end of the flow, so that no burst of SYNs passes a limit. The source's
//! account comes first: what it refuses costs the service nothing, and so no other source. New connections are counted
//! against time by the generic cell rate algorithm: a second's worth may come at once.

use super::{
    Reason, answer,
    frame::Frame,
    parse::Segment,
    tables::{FlowTable, Tables},
    tcp,
};
use crate::abi::{Direction, FRACTION_BITS, Flow, Limit, Scratch, Seen, Source, Tuple, Usage};

/// An account that is used up.
#[derive(Clone, Copy)]
enum UsedUp {
    Connections,
    Rate,
}

/// Counts the connection that a SYN asks for, or answers that there is no room for it. One whose attempt is under way,
/// with whatever backend, is counted already.
#[inline(always)]
pub fn admit<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment) -> Result<(), Reason> {
    match tables.scratch() {
        Some(scratch) if scratch.limited != 0 && !is_counted(tables, segment.tuple()) => {
            admit_new(frame, tables, segment, scratch)
        }
        _ => Ok(()),
    }
}

#[inline(never)]
fn admit_new<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    scratch: &mut Scratch,
) -> Result<(), Reason> {
    // Limits that are being set up do not hold yet.
    let Some(limits) = tables.limits(scratch.limited) else { return Ok(()) };
    let Some(total) = tables.total_usage(scratch.limited) else { return Ok(()) };
    let source = Source::new(scratch.limited, &segment.tuple().src);
    let (how, reset, drop) = (limits.answer, Reason::LimitRatePerSourceReset, Reason::LimitRatePerSource);
    if limits.by_source != 0 {
        tables.open_account(&source);
        let usage = tables.source_usage(&source);
        match usage.map_or(Ok(()), |usage| take(tables, usage, &limits.per_source)) {
            Ok(()) => {}
            Err(UsedUp::Rate) => return Err(answer::refuse(frame, segment, how, reset, drop)),
            Err(UsedUp::Connections) => {
                let (reset, drop) = (Reason::LimitConnectionsPerSourceReset, Reason::LimitConnectionsPerSource);
                return Err(answer::refuse(frame, segment, how, reset, drop));
            }
        }
    }
    let Err(used_up) = take(tables, total, &limits.total) else {
        scratch.admitted = 1;
        return Ok(());
    };
    if let Some(usage) = tables.source_usage(&source) {
        give_back(tables, usage, limits.per_source.interval);
    }
    let (reset, drop) = match used_up {
        UsedUp::Connections => (Reason::LimitConnectionsReset, Reason::LimitConnections),
        UsedUp::Rate => (Reason::LimitRateReset, Reason::LimitRate),
    };
    Err(answer::refuse(frame, segment, how, reset, drop))
}

/// Whether the service may use another source port towards the backend that `scratch` names, for the SYN with `tuple`. Flows in
/// their handshake are not counted yet.
#[inline(always)]
pub fn has_port_share<T: Tables>(tables: &T, scratch: &Scratch, tuple: &Tuple) -> bool {
    if scratch.limited == 0 {
        return true;
    }
    let share = tables.limits(scratch.limited).map_or(0, |limits| limits.port_share);
    if share == 0 {
        return true;
    }
    let settings = tables.settings();
    let addresses = if tuple.dst.is_v4_mapped() { settings.snat_v4 } else { settings.snat_v6 };
    let ports = u64::from(settings.ports) * u64::from(addresses) * u64::from(share) / 100;
    tables.open_flows(scratch.backend) < ports.cast_signed()
}

/// Takes the SYN with `tuple`, which opens nothing here after all, out of the accounts: all that it was admitted for, or,
/// where the attempt that it repeats is over by now, that connection.
#[inline(never)]
pub fn withdraw<T: Tables>(tables: &T, tuple: &Tuple) {
    let Some(scratch) = tables.scratch() else { return };
    let Some(limits) = tables.limits(scratch.limited) else { return };
    if scratch.admitted == 0 && is_counted(tables, tuple) {
        return;
    }
    let refund = |limit: &Limit| if scratch.admitted == 0 { 0 } else { limit.interval };
    if let Some(total) = tables.total_usage(scratch.limited) {
        give_back(tables, total, refund(&limits.total));
    }
    if let Some(usage) = tables.source_usage(&Source::new(scratch.limited, &tuple.src)) {
        give_back(tables, usage, refund(&limits.per_source));
    }
}

/// Counts a flow that ends (-1), or that goes on after all (1).
#[inline(never)]
pub fn count<T: Tables>(tables: &T, flow: &Flow, twin: &Flow, change: i64) {
    let Some(backend) = tables.backend(flow.backend) else { return };
    let Some(limits) = tables.limits(backend.service) else { return };
    let client = if flow.direction == Direction::Reply { &flow.to.dst } else { &twin.to.dst };
    if let Some(total) = tables.total_usage(backend.service) {
        tables.add(&mut total.open, change);
    }
    let source = Source::new(backend.service, client);
    if change > 0 && limits.by_source != 0 {
        tables.open_account(&source);
    }
    if let Some(usage) = tables.source_usage(&source) {
        tables.add(&mut usage.open, change);
    }
}

/// Whether the attempt that the SYN with `tuple` repeats is under way.
#[inline(never)]
fn is_counted<T: Tables>(tables: &T, tuple: &Tuple) -> bool {
    let half_open = tables.half_open();
    half_open.get(tuple).is_some_and(|entry| {
        let reply = half_open.get(&entry.to.reversed()).map_or(Seen::NOTHING, |twin| twin.seen);
        !tcp::state(entry.seen, reply).is_finished()
    })
}

/// Takes one connection out of an account. What two CPUs take at the same time both may be refused, never too much.
#[inline(never)]
fn take<T: Tables>(tables: &T, usage: &mut Usage, limit: &Limit) -> Result<(), UsedUp> {
    tables.add(&mut usage.open, 1);
    if usage.open > limit.connections {
        tables.add(&mut usage.open, -1);
        return Err(UsedUp::Connections);
    }
    if limit.interval == 0 {
        return Ok(());
    }
    let now = i64::from(tables.now()) << FRACTION_BITS;
    let ahead = usage.due.wrapping_sub(now);
    // Nobody is ahead by more than a second's worth: that is the clock's wrap.
    if ahead < 0 || ahead > 2 * limit.tolerance.wrapping_add(limit.interval) {
        usage.due = now;
    }
    tables.add(&mut usage.due, limit.interval);
    if usage.due.wrapping_sub(now) > limit.tolerance.wrapping_add(limit.interval) {
        give_back(tables, usage, limit.interval);
        return Err(UsedUp::Rate);
    }
    Ok(())
}

#[inline(always)]
fn give_back<T: Tables>(tables: &T, usage: &mut Usage, interval: i64) {
    tables.add(&mut usage.open, -1);
    tables.add(&mut usage.due, interval.wrapping_neg());
}
