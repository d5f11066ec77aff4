//! The clsact queueing discipline, which carries the TC filters of kernels without TCX.

use anyhow::Result;
use futures_util::TryStreamExt;
use netlink_packet_route::tc::{TcAttribute, TcHandle};
use nix::net::if_::if_nametoindex;
use rtnetlink::Error;

use super::netlink::connect;

/// Removes the clsact qdisc of an interface, unless there are filters in it: they are somebody else's then. An interface
/// that is gone has none.
pub async fn remove_clsact(interface: &str) -> Result<()> {
    let Ok(index) = if_nametoindex(interface) else { return Ok(()) };
    let index = index.cast_signed();
    let handle = connect()?;
    let mut filters = handle.traffic_filter(index);
    let (ingress, egress) = (filters.get().ingress().execute(), filters.get().egress().execute());
    for listed in [ingress.try_collect::<Vec<_>>().await, egress.try_collect().await] {
        if !listed?.is_empty() {
            return Ok(());
        }
    }
    let mut removal = handle.qdisc().del(index);
    let message = removal.message_mut();
    (message.header.parent, message.header.handle) = (TcHandle::CLSACT, TcHandle { major: u16::MAX, minor: 0 });
    message.attributes.push(TcAttribute::Kind("clsact".to_owned()));
    match removal.execute().await {
        // It went meanwhile, or its interface did.
        Err(Error::NetlinkError(error)) if [libc::ENOENT, libc::EINVAL, libc::ENODEV].contains(&-error.raw_code()) => {
            Ok(())
        }
        result => Ok(result?),
    }
}
