//! Endpoints of the chapter; one file each.

pub(crate) mod send_event_to_device;
