//! Builds init.
fn main() {}
