//! The bridge between real parts.
