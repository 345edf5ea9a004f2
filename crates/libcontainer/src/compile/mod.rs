//! Config + HostFacts → Plan.

pub mod explain;
pub mod mount_options;
