//! Who may know of whom: users who share rooms, and the user directory.

use ruma::UserId;

use crate::app::App;

/// Whether both users are joined to some room.
pub(crate) async fn share_a_room(
    app: &App,
    one: &UserId,
    other: &UserId,
) -> bridgehead_store::Result<bool> {
    Ok(!mutual_rooms(app, one, other).await?.is_empty())
}

/// Rooms that both users are joined to, in order.
pub(crate) async fn mutual_rooms(
    app: &App,
    one: &UserId,
    other: &UserId,
) -> bridgehead_store::Result<Vec<String>> {
    let (one, other) = (one.to_string(), other.to_string());
    app.store.read(move |s| s.mutual_rooms(&one, &other)).await
}
