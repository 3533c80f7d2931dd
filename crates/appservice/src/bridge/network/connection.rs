//! Whether the network, or a part of it, can be reached: for what waits for it, and for those who look at figures.

use super::{Network, Remote};
use crate::Error;

/// Rooms on a page of [`Remote::rooms`].
const PAGE: usize = 500;

impl<N: Network> Remote<N> {
    /// The connection stands: what waits for the network ([`SendError::Away`](super::SendError::Away)) is tried at once,
    /// waits between attempts at what it has said end, and the next failure of [`Network::run`] is the first again.
    pub fn connected(&self) {
        if let Ok(live) = self.live.get() {
            live.connected();
        }
    }

    /// The connection to a part of the network stands, such as one of several servers, or one person's own: as
    /// [`connected`](Self::connected), for these rooms alone. Of [`Network::run`] it says nothing.
    ///
    /// `is_there` must not wait: it is asked for each room in which something waits.
    pub fn connected_in(&self, is_there: impl Fn(&N::Room) -> bool) {
        if let Ok(live) = self.live.get() {
            live.connected_in(is_there);
        }
    }

    /// Whether a part of the network is connected, such as one of several servers: the figure `appservice_remote_up` of
    /// `NAME/part`. Each name is a figure of its own, so there are to be few.
    pub fn part_is_up(&self, part: &str, is_up: bool) {
        if let Ok(live) = self.live.get() {
            live.show_connection(&format!("{}/{part}", N::NAME), is_up);
        }
    }

    /// All rooms of the network that are linked: those to join when the connection stands.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn rooms(&self) -> Result<Vec<N::Room>, Error> {
        let live = self.live.get()?;
        let links = live.links()?;
        let mut rooms: Vec<N::Room> = Vec::new();
        loop {
            let page = links.list(rooms.last(), PAGE).await?;
            let is_last = page.len() < PAGE;
            rooms.extend(page.into_iter().map(|link| link.remote));
            if is_last {
                return Ok(rooms);
            }
        }
    }
}
