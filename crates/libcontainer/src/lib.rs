//! Creates, starts, kills and deletes OCI containers.
//!
//! ```text
//! config.json --load, validate--> Config --compile--> Plan --launch--> init executes the Plan
//! ```
//!
//! A config is compiled into a [`plan::Plan`], pure data, which a tiny static helper then executes. Errors name the
//! config field that failed, because every operation of a plan knows where it came from.

pub mod cgroup;
pub mod compile;
pub mod config;
pub mod container;
mod error;
pub mod host;
pub mod launch;
pub mod plan;
pub mod state;

pub use error::{Error, ErrorKind, Result, errno_text};
