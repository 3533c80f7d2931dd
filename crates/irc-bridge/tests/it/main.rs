//! The bridge between real parts.

mod peers;
