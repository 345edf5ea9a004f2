//! config.json: its types, reading it, and what must hold of it before anything is done.

mod load;
#[cfg(feature = "oci-spec")]
mod oci;
mod refuse;
pub mod sysctl;
pub mod types;
mod validate;

pub use load::{Bundle, parse};
pub use refuse::unsupported;
pub use types::Config;
pub use validate::validate;
