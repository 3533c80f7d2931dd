//! `bridgehead-irc import`: other bridges leave, and this one goes on in their rooms.

mod heisenbridge;
mod mai;
mod old_tables;
mod postgres;
