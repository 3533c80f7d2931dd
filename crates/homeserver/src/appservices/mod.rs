//! Application services: who they are (registrations), what they own (namespaces) and how they are served.

pub mod namespaces;
pub mod registration;
