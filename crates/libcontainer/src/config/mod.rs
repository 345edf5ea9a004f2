//! config.json: its types, reading it, and what must hold of it before anything is done.

pub mod types;

pub use types::Config;
