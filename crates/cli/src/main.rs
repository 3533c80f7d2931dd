//! The `bridgehead` executable.
fn main() {}
