//! The program, from outside.

mod demo;
