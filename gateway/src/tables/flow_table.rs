//! The flow tables in the kernel, from this side: an array of buckets, or a hash map.

mod buckets;
mod hash;

use anyhow::{Context, Result, bail};
use aya::maps::{Map, MapData, MapType};
use buckets::BucketTable;
use gateway_common::abi::{Answer, Flow, Tuple};
use hash::HashTable;

/// The maps by their names in the object.
pub const FLOWS: &str = "FLOWS";
pub const HALF_OPEN: &str = "HALF_OPEN";

/// A table of flow directions, which packets change at the same time.
pub trait FlowTable: Send + Sync {
    /// Visits every entry, of both directions. Those that come or go meanwhile may be missed or seen.
    fn visit(&self, visit: &mut dyn FnMut(&Flow)) -> Result<()>;

    fn get(&self, tuple: &Tuple) -> Option<Flow>;

    /// Adds an entry. An error if its tuple is there already, or there is no room.
    fn insert(&mut self, flow: &Flow) -> Result<()>;

    /// Removes the entry of `tuple` if it still is as wanted. False: there is none like that.
    fn remove(&mut self, tuple: &Tuple, wanted: &dyn Fn(&Flow) -> bool) -> Result<bool>;

    /// Marks entries as cut, see [`gateway_common::nat::cut::mark`], if their tuples are not other flows' by now. No packet that is
    /// under way undoes it.
    fn cut(&mut self, entries: &[Flow], answer: Answer, now: u32) -> Result<()>;

    /// Makes every cached next hop stale that is not of this generation, before its own generation comes again.
    fn forget_hops(&mut self, current: u16) -> Result<()>;

    /// Makes the room of removed entries available. To be called now and then, by one process only.
    fn recycle(&mut self) -> Result<()>;

    /// How many entries it is made for.
    fn capacity(&self) -> u32;

    /// How many entries it has memory for: more than that there never are.
    fn places(&self) -> u32;
}

/// Opens a flow table by the kind of its map. `open` opens another handle of a map by its name.
pub fn open(name: &str, open: &dyn Fn(&str) -> Result<MapData>) -> Result<Box<dyn FlowTable>> {
    let data = open(name)?;
    let kind = data.info().and_then(|info| info.map_type()).with_context(|| format!("ask for the kind of {name}"))?;
    Ok(match kind {
        MapType::Array if name == HALF_OPEN => Box::new(BucketTable::<true>::new(&data, &open("SETTINGS")?)?),
        MapType::Array => Box::new(BucketTable::<false>::new(&data, &open("SETTINGS")?)?),
        MapType::Hash => Box::new(HashTable::new(Map::HashMap(data), open(name)?)?),
        MapType::LruHash => Box::new(HashTable::new(Map::LruHashMap(data), open(name)?)?),
        other => bail!("{name} is a map of type {other:?}, which holds no flows"),
    })
}
