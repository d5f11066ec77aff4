//! The packet path outlives the daemon: connections go on and new ones open while it is stopped, crashed, upgraded or
//! started anew; only `gateway detach` takes it off, and then nothing of it is left.

mod datapath;
mod detach;
mod disk;
mod modes;
mod pins;
mod removals;
mod restarts;
mod starts;
mod upgrades;
