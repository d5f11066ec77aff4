//! Which backend a new flow gets.

use super::Tables;
use crate::abi::{Address, Algorithm, Backend, Scratch, Service, Tuple};

/// Picks a backend, by its index, for a SYN with `tuple`. None: the service has no usable one.
#[inline(always)]
pub fn select<'a, T: Tables>(tables: &'a T, service: &Service, tuple: &Tuple) -> Option<(u32, &'a Backend)> {
    if service.slots == 0 {
        return None;
    }
    let seed = tables.settings().seed;
    match service.algorithm {
        Algorithm::Maglev => at(tables, service, hash_tuple(tuple, seed)),
        Algorithm::Source => at(tables, service, hash_address(&tuple.src, seed)),
        Algorithm::LeastConnections => {
            // Two random places of the Maglev table are two backends drawn by weight.
            let (first, second) = (at(tables, service, tables.random())?, at(tables, service, tables.random())?);
            Some(if load(tables, second, first) < load(tables, first, second) { second } else { first })
        }
    }
}

/// Places of a service's table that are drawn to find another backend.
const DRAWS: u32 = 32;

/// Draws a backend, by weight, that is neither `present` nor among those that the scratch room says are tried; where there
/// is none and `repeats` allows it, one of those. 0: none was found.
#[inline(always)]
pub fn another<T: Tables>(tables: &T, service: &Service, present: u32, repeats: bool) -> u32 {
    if service.slots == 0 {
        return 0;
    }
    let Some(Scratch { tried, .. }) = tables.scratch() else { return 0 };
    for draw in 0..DRAWS {
        if let Some((index, _)) = at(tables, service, tables.random())
            && index != present
            && (!tried.contains(&index) || (repeats && draw >= DRAWS / 2))
        {
            return index;
        }
    }
    0
}

/// The backend in the place of `service`'s table that `hash` falls on, if it is still the service's.
#[inline(always)]
fn at<'a, T: Tables>(tables: &'a T, service: &Service, hash: u32) -> Option<(u32, &'a Backend)> {
    // A multiplication maps 32 bits evenly to 0..slots (Lemire, "Fast random integer generation in an interval").
    let place = ((u64::from(hash) * u64::from(service.slots)) >> 32) as u32;
    let index = tables.slot(service.first_slot.wrapping_add(place))?.0;
    let backend = tables.backend(index)?;
    (backend.in_use != 0 && backend.service == service.id).then_some((index, backend))
}

/// Open flows of a backend per weight, scaled by the weight of the one it is compared with.
#[inline(always)]
fn load<T: Tables>(tables: &T, (index, _): (u32, &Backend), (_, other): (u32, &Backend)) -> i64 {
    tables.open_flows(index).wrapping_mul(i64::from(other.weight))
}

/// Hash of the whole tuple.
#[inline(always)]
pub fn hash_tuple(tuple: &Tuple, seed: u32) -> u32 {
    let ports = u64::from(tuple.ports());
    finish(absorb(absorb(u64::from(seed) | ports << 32, &tuple.src), &tuple.dst))
}

/// Hash of an address alone.
#[inline(always)]
pub fn hash_address(address: &Address, seed: u32) -> u32 {
    finish(absorb(u64::from(seed), address))
}

#[inline(always)]
fn absorb(state: u64, address: &Address) -> u64 {
    let [a, b, c, d] = address.words().map(u64::from);
    mix(mix(state ^ a ^ (b << 32)) ^ c ^ (d << 32))
}

/// One round of MurmurHash3's 64-bit finalizer: every input bit reaches every output bit.
#[inline(always)]
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[inline(always)]
fn finish(state: u64) -> u32 {
    (state >> 32) as u32
}
