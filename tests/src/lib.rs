//! The laboratory of the integration tests: hosts are network namespaces, packets go through the real kernel,
//! traffic comes from real sockets and real programs.
//!
//! Everything a [`Lab`] makes carries its [`LabId`], goes away when the lab is dropped (also while a test
//! panics), and is swept by the next test run when the process was killed before it could. Failures panic: the
//! lab is only used in tests.

pub mod browser;
pub mod delay_line;
pub mod disk;
pub mod docker;
pub mod eventually;
pub mod gateway;
pub mod host;
pub mod interrupt;
pub mod kernel_nat;
pub mod lab_id;
pub mod leftovers;
pub mod link;
pub mod namespace;
pub mod packets;
pub mod peers;
pub mod process;
mod process_namespace;
pub mod scenario;
pub mod systemd;
pub mod terminal;
pub mod topology;
pub mod traffic;

pub use self::gateway::{Gateway, GatewayConfig, Mode, ServiceConfig};
pub use browser::Browser;
pub use delay_line::FarClient;
pub use disk::Disk;
pub use docker::Docker;
pub use eventually::eventually;
pub use host::{Family, Front, Host};
pub use kernel_nat::forward_in_kernel;
pub use lab_id::LabId;
pub use namespace::Namespace;
pub use process::{Output, Process};
pub use systemd::Systemd;
pub use terminal::Terminal;
pub use topology::{BackendSide, ClientSide, Lab, Topology};
