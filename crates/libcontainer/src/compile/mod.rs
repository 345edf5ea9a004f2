//! Config + HostFacts → Plan.

pub mod mount_options;
