//! Endpoints of the chapter; one file each.

pub(crate) mod answer_transaction;
pub(crate) mod get_next_transaction;
pub(crate) mod get_status;
pub(crate) mod open_websocket;
mod own;
pub(crate) mod replay;
pub(crate) mod request_ping;
pub(crate) mod set_room_visibility;
pub(crate) mod set_state;
