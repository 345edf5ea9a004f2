//! To come.
mod hooks;
mod process;
mod spawn;
mod status;
