//! The generic netlink family `netdev`: what drivers say of their XDP (linux/netdev.h, Documentation/netlink/specs/netdev.yaml).

use anyhow::{Context, Result};
use futures_util::StreamExt;
use genetlink::GenetlinkHandle;
use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, Nla, NlasIterator,
    ParseableParametrized, parse_u64,
};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};

/// `NETDEV_CMD_DEV_GET`, and its attributes.
const DEV_GET: u8 = 1;
const IFINDEX: u16 = 1;
const XDP_FEATURES: u16 = 3;

/// What a driver offers to XDP programs: `enum netdev_xdp_act`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures(u64);

impl XdpFeatures {
    const BASIC: u64 = 1 << 0;
    const NDO_XMIT: u64 = 1 << 2;
    const RX_SG: u64 = 1 << 5;
    const NDO_XMIT_SG: u64 = 1 << 6;

    /// Native programs run, and can pass, drop and reflect.
    pub fn native(self) -> bool {
        self.has(Self::BASIC)
    }

    /// Takes frames that programs on other devices redirect to it. Many drivers do so only while a program is attached.
    pub fn redirect_target(self) -> bool {
        self.has(Self::NDO_XMIT)
    }

    /// Shows programs frames of several buffers.
    pub fn receives_fragments(self) -> bool {
        self.has(Self::RX_SG)
    }

    /// Sends redirected frames of several buffers.
    pub fn sends_fragments(self) -> bool {
        self.has(Self::NDO_XMIT_SG)
    }

    fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }
}

#[cfg(test)]
impl XdpFeatures {
    pub const NONE: Self = Self(0);
    pub const WITHOUT_FRAGMENTS: Self = Self(Self::BASIC | Self::NDO_XMIT);
    pub const ALL: Self = Self(Self::BASIC | Self::NDO_XMIT | Self::RX_SG | Self::NDO_XMIT_SG);
    pub const NO_TARGET: Self = Self(Self::BASIC | Self::RX_SG);
}

/// The connection to the family.
pub struct Netdev(GenetlinkHandle);

impl Netdev {
    pub fn connect() -> Result<Self> {
        let (connection, handle, _) = genetlink::new_connection().context("open a netlink socket")?;
        tokio::spawn(connection);
        Ok(Self(handle))
    }

    /// Of the device with this index; none where the kernel does not say (before Linux 6.3).
    pub async fn xdp_features(&mut self, index: u32) -> Option<XdpFeatures> {
        let question = About(vec![DefaultNla::new(IFINDEX, index.to_ne_bytes().to_vec())]);
        let mut message = NetlinkMessage::from(GenlMessage::from_payload(question));
        message.header.flags = NLM_F_REQUEST;
        let mut answers = std::pin::pin!(self.0.request(message).await.ok()?);
        let NetlinkPayload::InnerMessage(answer) = answers.next().await?.ok()?.payload else { return None };
        let features = answer.payload.0.iter().find(|attribute| attribute.kind() == XDP_FEATURES)?;
        let mut bytes = vec![0; features.value_len()];
        features.emit_value(&mut bytes);
        parse_u64(&bytes).ok().map(XdpFeatures)
    }
}

/// A message about a device: its attributes.
#[derive(Clone, Debug)]
struct About(Vec<DefaultNla>);

impl GenlFamily for About {
    fn family_name() -> &'static str {
        "netdev"
    }

    fn command(&self) -> u8 {
        DEV_GET
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for About {
    fn buffer_len(&self) -> usize {
        self.0.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.0.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for About {
    fn parse_with_param(bytes: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        let attribute = |nla: Result<netlink_packet_core::NlaBuffer<_>, _>| {
            let nla = nla?;
            Ok(DefaultNla::new(nla.kind(), nla.value().to_vec()))
        };
        NlasIterator::new(bytes).map(attribute).collect::<Result<_, DecodeError>>().map(Self)
    }
}
