//! Endpoints of the chapter; one file each.

pub(crate) mod send_message_event;
