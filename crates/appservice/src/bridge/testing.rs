//! A network for unit tests of what needs one as a type.

use super::{Network, Outgoing, Receipt, Remote, RoomInfo, SendError, UserInfo};
use crate::HandlerError;

/// A network that has nobody and nothing.
pub(crate) struct Nowhere;

impl Network for Nowhere {
    type Room = String;
    type User = String;
    const NAME: &'static str = "nowhere";

    async fn run(&self, _: Remote<Self>) -> Result<(), HandlerError> {
        std::future::pending().await
    }

    async fn send(&self, _: Outgoing<Self>) -> Result<Receipt, SendError> {
        Err(SendError::reject("there is nobody"))
    }

    async fn describe_user(&self, _: &String) -> Result<Option<UserInfo>, HandlerError> {
        Ok(None)
    }

    async fn describe_room(&self, _: &String) -> Result<Option<RoomInfo<Self>>, HandlerError> {
        Ok(None)
    }
}
