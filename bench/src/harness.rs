//! The real packet programs under `BPF_PROG_TEST_RUN`, over as many flows as wanted.
//!
//! A driver program makes each run's packet anew, of a flow drawn at random, and goes on into the program under test.
//! So one system call runs millions of different packets, and misses of the cache are as real as on the wire. What the
//! driver costs is measured with an empty program and taken off.

mod batch;
pub mod flow_table;
mod frame;
mod katran;
mod network;
mod packets;
#[path = "../../bench-ebpf/src/plan.rs"]
pub mod plan;
mod programs;
mod tables;
mod world;

use std::path::Path;

use anyhow::{Result, ensure};
use gateway_common::nat::Reason;

pub use self::{
    katran::Katran,
    network::in_lab,
    packets::Packets,
    programs::{Hook, PLAIN, Program},
    world::{SERVICE_PORT, World},
};
use self::{
    plan::{Direction, FRESH, Kind, Plan, Shape},
    programs::Programs,
};

/// Programs and tables, made for one [`World`]. To be used within [`in_lab`].
pub struct Harness {
    programs: Programs,
    world: World,
    /// Established flows.
    flows: u32,
    /// Flows of their own that there have been.
    fresh: u32,
    seed: u64,
}

impl Harness {
    pub fn new(world: World) -> Result<Self> {
        let mut programs = Programs::load(world.capacity)?;
        tables::prepare(programs.gateway_mut(), &world)?;
        Ok(Self { programs, world, flows: 0, fresh: 0, seed: 0 })
    }

    /// Takes Katran's balancer in, an object of the user's own making.
    pub fn load_katran(&mut self, object: &Path) -> Result<()> {
        self.programs.katran = Some(Katran::load(object)?);
        // As full as a busy one's table is.
        self.run_unchecked(Hook::Xdp, Program::Katran, &Packets::SYN, Katran::FLOWS / 4 * 5)?;
        Ok(())
    }

    pub fn has_katran(&self) -> bool {
        self.programs.katran.is_some()
    }

    /// Sees to it that there are this many established flows; there is no way back to fewer.
    pub fn fill(&mut self, flows: u32) -> Result<()> {
        ensure!(flows >= self.flows && flows <= FRESH, "flows are only added, from {} to {flows}", self.flows);
        flow_table::add(self.programs.gateway_mut(), &self.world, self.flows..flows, flows)?;
        self.flows = flows;
        if self.programs.katran.is_some() {
            // It learns flows from packets; after so many draws it has missed one in a thousand.
            let packets = Packets::established(Kind::Tcp4, Direction::Original);
            self.run_unchecked(Hook::Xdp, Program::Katran, &packets, flows * 7)?;
        }
        Ok(())
    }

    /// Adds flows that no packet of a run is of: their numbers, where there are no others.
    pub fn occupy(&mut self, numbers: &[u32]) -> Result<()> {
        flow_table::add(self.programs.gateway_mut(), &self.world, numbers.iter().copied(), numbers.len() as u32)
    }

    /// For whoever puts more into the maps of the gateway.
    pub fn gateway_mut(&mut self) -> &mut aya::Ebpf {
        self.programs.gateway_mut()
    }

    /// Nanoseconds for a packet through driver and program.
    ///
    /// # Errors
    ///
    /// If the gateway has counted a packet as anything else than expected: then something else was measured.
    pub fn run(&mut self, hook: Hook, program: Program, packets: &Packets, repeat: u32) -> Result<f64> {
        let misses = self.programs.katran_misses()?;
        let (time, counts) = self.run_counting(hook, program, packets, repeat)?;
        match program {
            Program::Gateway => packets.check(repeat, |reason| counts[reason as usize])?,
            Program::Katran => {
                let missed = self.programs.katran_misses()? - misses;
                let sound = if packets.fresh { missed == u64::from(repeat) } else { missed <= u64::from(repeat) / 100 };
                ensure!(sound, "Katran did not know the flows of {missed} of {repeat} packets");
            }
            _ => {}
        }
        Ok(time)
    }

    /// Nanoseconds for a packet through driver and program, and how many packets the gateway has counted for which
    /// reason.
    pub fn run_counting(
        &mut self,
        hook: Hook,
        program: Program,
        packets: &Packets,
        repeat: u32,
    ) -> Result<(f64, [u64; Reason::COUNT])> {
        let before = self.programs.reasons(hook)?;
        let time = self.run_unchecked(hook, program, packets, repeat)?;
        let mut counts = self.programs.reasons(hook)?;
        counts.iter_mut().zip(before).for_each(|(count, before)| *count -= before);
        Ok((time, counts))
    }

    /// The time of the program alone: what the driver takes, measured right after, is taken off.
    pub fn run_net(&mut self, hook: Hook, program: Program, packets: &Packets, repeat: u32) -> Result<f64> {
        let with = self.run(hook, program, packets, repeat)?;
        let without = self.run(hook, Program::Empty, packets, repeat)?;
        // What it adds to a packet the driver takes away again, which is not its fault.
        let restoring = match program {
            Program::Katran => (self.run(hook, Program::Grow, packets, repeat)? - without) / 2.0,
            _ => 0.0,
        };
        Ok(with - without - restoring)
    }

    fn run_unchecked(&mut self, hook: Hook, program: Program, packets: &Packets, repeat: u32) -> Result<f64> {
        // On TC a tag stands beside the packet.
        let tag = if hook == Hook::Xdp { self.world.vlan } else { 0 };
        let frame = frame::template(packets, tag);
        let mut plan = Plan { l3: if tag == 0 { 14 } else { 18 }, len: frame.len() as u32, ..self.plan(packets) };
        if program == Program::Katran {
            // Answers do not come back through it.
            plan.direction = Direction::Original;
        }
        if packets.fresh {
            self.fresh = self.fresh.wrapping_add(repeat);
        }
        self.programs.run(hook, program, &plan, &frame, repeat)
    }

    fn plan(&mut self, packets: &Packets) -> Plan {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let shape = match packets.elsewhere {
            true => Shape { services: 1, backends: 1, first_port: 9 },
            false => self.world.shape(),
        };
        Plan {
            state: self.seed,
            flows: if packets.fresh { 0 } else { self.flows.max(1) },
            next: self.fresh,
            kind: packets.kind,
            direction: packets.direction,
            shape,
            l3: 14,
            vlan: self.world.vlan.into(),
            len: 0,
        }
    }
}
