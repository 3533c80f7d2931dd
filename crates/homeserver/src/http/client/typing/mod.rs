//! Endpoints of the chapter; one file each.

pub(crate) mod create_typing_event;
