//! To come.
mod process;
