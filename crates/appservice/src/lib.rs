//! Write Matrix application services.
