//! Which devices a container may open and make: `linux.resources.devices`.
//!
//! The config's list is a program for the v1 devices controller: each entry is written to `devices.allow` or
//! `devices.deny`, in order, and later ones change what earlier ones said. [`Filter`] is the state that such writes
//! end in, so that v1 (lines to write) and v2 (an eBPF program) come from one place and mean the same.

mod filter;
mod program;
mod rule;

pub use filter::{Filter, V1File, V1Write};
pub use rule::{Access, Kind, Rule, default_rules};
