//! Everything in the gateway's maps but flows: settings, services, backends, source addresses.

use anyhow::{Context, Result};
use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, Map, MapData},
};
use gateway_common::abi::{
    Address, Algorithm, Answer, Backend, Cookies, Egress, Link, Service, ServiceKey, Settings, Slot,
};

use super::{
    SERVICE_PORT, World, batch,
    frame::v4,
    network::{BACK, FRONT},
    plan::{BACKEND_PORT, BACKENDS, SERVICE, SNAT},
};

/// Of the settings and of all hops.
pub const GENERATION: u16 = 1;
/// Source addresses of new flows, apart from those of the established ones: 192.168.128.0, and a number.
const FRESH_SNAT: u32 = SNAT + (128 << 8);
const FIRST_SOURCE_PORT: u16 = 32_768;
/// Entries written by one system call.
const BATCH: usize = 1 << 16;

/// The index of a backend by its number; index 0 is none.
pub const fn backend_index(number: u32) -> u32 {
    number + 1
}

/// Fills the maps of programs that were just loaded.
pub fn prepare(gateway: &mut Ebpf, world: &World) -> Result<()> {
    let settings = Settings {
        generation: GENERATION,
        snat_v4: world.snat,
        snat_v6: 0,
        first_port: FIRST_SOURCE_PORT,
        ports: FIRST_SOURCE_PORT,
        capacity: world.capacity.flows,
        half_open: world.capacity.half_open,
        // Nobody completes the handshakes that are measured.
        cookies: Cookies::Never,
        seed: 0x5eed_5eed,
        redirect_back: 0,
        buckets: buckets(gateway, "FLOWS")?,
        half_open_buckets: buckets(gateway, "HALF_OPEN")?,
        hash_keys: std::array::from_fn(|index| 0x9e37_79b9_u32.wrapping_mul(index as u32 + 1)),
        ..Settings::default()
    };
    array(gateway, "SETTINGS")?.set(0, settings, 0).context("write the settings")?;
    let mut addresses = array::<Address>(gateway, "SNAT")?;
    for number in 0..world.snat {
        addresses.set(number, Address::from(v4(FRESH_SNAT + number)), 0).context("write the source addresses")?;
    }
    let mut links = HashMap::<_, u32, Link>::try_from(map_mut(gateway, "LINKS")?)?;
    for device in [FRONT, BACK] {
        let egress = Egress::native(world.vlan);
        links.insert(device, Link { device, egress, reserved: 0 }, 0).context("write the links")?;
    }
    write_backends(gateway, world)?;
    write_services(gateway, world)
}

/// The size of a flow table, where that is an array of buckets.
fn buckets(gateway: &Ebpf, name: &str) -> Result<u32> {
    match gateway.map(name).with_context(|| format!("the object has no {name}"))? {
        Map::Array(table) => Ok(table.info().with_context(|| format!("ask for the size of {name}"))?.max_entries()),
        _ => Ok(0),
    }
}

fn write_backends(gateway: &mut Ebpf, world: &World) -> Result<()> {
    let numbers = 0..world.services * world.backends;
    let backends: Vec<Backend> = numbers
        .clone()
        .map(|number| Backend {
            address: v4(BACKENDS + number).into(),
            port: BACKEND_PORT.to_be_bytes(),
            weight: 1,
            service: number / world.backends + 1,
            in_use: 1,
            reserved: [0; 7],
        })
        .collect();
    let indices: Vec<u32> = numbers.map(backend_index).collect();
    write(gateway, "BACKENDS", &indices, &backends)
}

/// Every service has a table of its own, as large as the daemon makes it where room is short, its backends in turns.
fn write_services(gateway: &mut Ebpf, world: &World) -> Result<()> {
    let places = if world.backends == 1 { 1 } else { world.backends * 10 + 1 };
    let slots: Vec<Slot> = (0..world.services)
        .flat_map(|service| {
            (0..places).map(move |place| Slot(backend_index(service * world.backends + place % world.backends)))
        })
        .collect();
    let indices: Vec<u32> = (0..world.services * places).collect();
    write(gateway, "SLOTS", &indices, &slots)?;
    let mut services = HashMap::<_, ServiceKey, Service>::try_from(map_mut(gateway, "SERVICES")?)?;
    for number in 0..world.services {
        let port = (SERVICE_PORT + number) as u16;
        let service = Service {
            id: number + 1,
            first_slot: number * places,
            slots: places,
            algorithm: Algorithm::Maglev,
            no_backend: Answer::Reset,
            // An answer would turn the driver's packet into another one.
            unknown_flow: Answer::Drop,
            limited: 0,
        };
        let key = ServiceKey::new(v4(SERVICE).into(), port.to_be_bytes());
        services.insert(key, service, 0).context("write the services")?;
    }
    Ok(())
}

fn write<V: Pod>(gateway: &Ebpf, name: &str, indices: &[u32], values: &[V]) -> Result<()> {
    let Some(Map::Array(map)) = gateway.map(name) else { anyhow::bail!("{name} is no array") };
    for (indices, values) in indices.chunks(BATCH).zip(values.chunks(BATCH)) {
        batch::update(map, indices, values).with_context(|| format!("write {name}"))?;
    }
    Ok(())
}

fn array<'a, V: Pod>(gateway: &'a mut Ebpf, name: &str) -> Result<Array<&'a mut MapData, V>> {
    Array::try_from(map_mut(gateway, name)?).with_context(|| format!("open {name}"))
}

fn map_mut<'a>(gateway: &'a mut Ebpf, name: &str) -> Result<&'a mut Map> {
    gateway.map_mut(name).with_context(|| format!("the object has no {name}"))
}
