//! `--bpffs`, of the verbs that find the datapath by its pins.

use std::path::PathBuf;

use crate::datapath;

#[derive(Clone, Debug, clap::Args)]
pub struct Pins {
    /// Where the datapath is pinned: a folder of its own on a bpffs
    #[arg(long = "bpffs", value_name = "DIR", env = "GATEWAY_BPFFS", default_value_os_t = datapath::default_pins().to_owned())]
    pub folder: PathBuf,
}
