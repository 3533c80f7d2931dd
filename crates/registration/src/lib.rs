//! Registrations of application services: read, checked, written.
