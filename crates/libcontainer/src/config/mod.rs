//! config.json: its types, reading it, and what must hold of it before anything is done.

mod load;
pub mod types;

pub use load::{Bundle, parse};
pub use types::Config;
