//! The program, from outside.

mod demo;
mod doctor;
mod import;
mod load;
mod operator;
mod program;
mod reference;
mod reload;
mod watching;
