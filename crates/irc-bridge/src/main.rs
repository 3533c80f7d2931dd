//! The program `bridgehead-irc`.

fn main() {}
