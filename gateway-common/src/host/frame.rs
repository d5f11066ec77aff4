//! A frame in memory, and the routes it finds.
#![expect(unsafe_code, reason = "a packet's bytes as headers, at the alignment that a kernel gives them")]

use std::{collections::BTreeMap, marker::PhantomData, slice};

use crate::{
    abi::{Address, Hop, Tuple},
    nat::{
        Delta, Frame, Reason,
        headers::{Bytes2, Ethernet, Header},
    },
};

/// The highest offset that the kernel's frames give access to.
const MAX_OFFSET: usize = 255;

/// Where packets go, by destination address.
#[derive(Clone, Debug)]
pub struct Routes {
    /// The answer for destinations that are not listed.
    pub default: Result<Hop, Reason>,
    pub by_destination: BTreeMap<Address, Result<Hop, Reason>>,
}

impl Routes {
    pub fn new(default: Hop) -> Self {
        Self { default: Ok(default), by_destination: BTreeMap::new() }
    }

    /// Routes packets for `destination` as `route` says.
    pub fn set(&mut self, destination: impl Into<Address>, route: Result<Hop, Reason>) {
        self.by_destination.insert(destination.into(), route);
    }

    fn find(&self, tuple: &Tuple) -> Result<Hop, Reason> {
        *self.by_destination.get(&tuple.dst).unwrap_or(&self.default)
    }
}

/// Bytes that start two before a multiple of four, as a [`Frame`] does.
struct AlignedBytes {
    words: Vec<u32>,
    len: usize,
}

impl AlignedBytes {
    const START: usize = 2;

    fn new(bytes: &[u8]) -> Self {
        let mut aligned =
            Self { words: vec![0; (Self::START + bytes.len()).div_ceil(size_of::<u32>())], len: bytes.len() };
        aligned.get_mut().copy_from_slice(bytes);
        aligned
    }

    fn get(&self) -> &[u8] {
        // SAFETY: the words have room for `START` and `len` bytes, and any bits of a word are bytes.
        unsafe { slice::from_raw_parts(self.words.as_ptr().cast::<u8>().add(Self::START), self.len) }
    }

    fn get_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and any bytes are a word.
        unsafe { slice::from_raw_parts_mut(self.words.as_mut_ptr().cast::<u8>().add(Self::START), self.len) }
    }
}

/// Which hop a hook can send to.
pub trait Local {
    const REACHES: bool;
}

/// As in XDP: only devices.
pub struct Wire;

/// As in TC: the kernel's stack as well, and so local containers.
pub struct Stack;

impl Local for Wire {
    const REACHES: bool = false;
}

impl Local for Stack {
    const REACHES: bool = true;
}

/// A packet in memory, in the hook that `L` stands for.
pub struct HostFrame<'a, L> {
    bytes: AlignedBytes,
    /// The size of a segment's payload, where the frame is a super-frame.
    pub segment_size: Option<u32>,
    routes: &'a Routes,
    /// Route lookups so far.
    pub lookups: u32,
    hook: PhantomData<L>,
}

impl<'a, L: Local> HostFrame<'a, L> {
    pub fn new(bytes: &[u8], routes: &'a Routes) -> Self {
        let bytes = AlignedBytes::new(bytes);
        Self { bytes, segment_size: None, routes, lookups: 0, hook: PhantomData }
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get()
    }
}

impl<L: Local> Frame for HostFrame<'_, L> {
    const REACHES_LOCAL: bool = L::REACHES;

    fn header<T: Header>(&mut self, offset: usize) -> Result<&mut T, Reason> {
        if offset > MAX_OFFSET {
            return Err(Reason::Malformed);
        }
        let bytes = self.bytes.get_mut().get_mut(offset..offset + size_of::<T>()).ok_or(Reason::Malformed)?;
        let header = bytes.as_mut_ptr().cast::<T>();
        assert!(header.is_aligned(), "the core asks for a header at offset {offset}, where none can be");
        // SAFETY: within the frame and aligned by the tests above; a `Header` has no invalid value, and the borrow
        // of `self` keeps a second reference away.
        Ok(unsafe { &mut *header })
    }

    fn wire_len(&self, packet_len: u32, headers: u32) -> u32 {
        self.segment_size.map_or(packet_len, |size| headers + size)
    }

    fn route(&mut self, tuple: &Tuple, hop: &mut Hop) -> Result<(), Reason> {
        self.lookups += 1;
        *hop = self.routes.find(tuple)?;
        Ok(())
    }

    fn update_ip_checksum(&mut self, offset: usize, delta: Delta) -> Result<(), Reason> {
        let checksum = self.header::<Bytes2>(offset)?;
        checksum.0 = delta.apply(checksum.0);
        Ok(())
    }

    fn update_l4_checksum(&mut self, offset: usize, pseudo: Delta, data: Delta) -> Result<(), Reason> {
        self.update_ip_checksum(offset, pseudo.and(data))
    }

    fn set_link_layer(&mut self, l2_len: usize, hop: &Hop, ether_type: Bytes2) -> Result<(), Reason> {
        let mut frame = [hop.dst_mac.0, hop.src_mac.0].concat();
        if hop.egress.vlan() != 0 {
            frame.extend(Ethernet::VLAN.0);
            frame.extend(hop.egress.vlan().to_be_bytes());
        }
        frame.extend(ether_type.0);
        frame.extend(&self.bytes()[l2_len..]);
        self.bytes = AlignedBytes::new(&frame);
        Ok(())
    }

    fn holds(&self, len: usize) -> bool {
        self.bytes().len() >= len
    }

    fn renew(&mut self, len: usize) -> Result<(), Reason> {
        let mut frame = self.bytes().to_vec();
        frame.resize(len, 0);
        self.bytes = AlignedBytes::new(&frame);
        Ok(())
    }
}
