//! Write Matrix application services.

pub mod format;
