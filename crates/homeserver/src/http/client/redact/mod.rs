//! Endpoints of the chapter; one file each.

pub(crate) mod redact_event;
