//! Which lanes hold what is said by whom: their names, and how much is in them.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// What the names of these lanes begin with.
const HELD: &str = "held/";

/// What is held of one speaker in one room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lane {
    rows: usize,
    /// Nothing happens to it until its wait ends.
    rests: bool,
}

/// What is held in all rooms, as the database has it.
#[derive(Debug, Default)]
pub(crate) struct HeldLanes(Mutex<BTreeMap<String, Lane>>);

/// The lane of what somebody says in a room, both as the texts of their ids.
pub(crate) fn lane_of(room: &str, user: &str) -> String {
    format!("{}{user}", lanes_of(room))
}

/// What the names of a room's lanes begin with. A room's text may have any character, so its length stands before it.
fn lanes_of(room: &str) -> String {
    format!("{HELD}{}/{room}/", room.len())
}

/// Whether it is such a lane.
pub(crate) fn is_held(lane: &str) -> bool {
    lane.starts_with(HELD)
}

/// The room and the user whose lane it is, as the texts of their ids.
pub(crate) fn read(lane: &str) -> Option<(&str, &str)> {
    let (length, rest) = lane.strip_prefix(HELD)?.split_once('/')?;
    let (room, user) = rest.split_at_checked(length.parse().ok()?)?;
    Some((room, user.strip_prefix('/')?))
}

impl HeldLanes {
    /// So many rows are held in a lane from before the start.
    pub(crate) fn begin(&self, lane: &str, rows: usize) {
        if !is_held(lane) {
            return;
        }
        let rests = false;
        self.0.lock().insert(lane.to_owned(), Lane { rows, rests });
    }

    /// A row was put into a lane.
    pub(super) fn add(&self, lane: &str) {
        self.0.lock().entry(lane.to_owned()).or_default().rows += 1;
    }

    /// A row of a lane is done, or given up.
    pub(super) fn remove(&self, lane: &str) {
        let mut lanes = self.0.lock();
        let Some(held) = lanes.get_mut(lane) else {
            return;
        };
        held.rows = held.rows.saturating_sub(1);
        held.rests = false;
        if held.rows == 0 {
            lanes.remove(lane);
        }
    }

    /// Whether a lane waits for being let in, or is worked on.
    pub(super) fn rest(&self, lane: &str, rests: bool) {
        if let Some(held) = self.0.lock().get_mut(lane) {
            held.rests = rests;
        }
    }

    pub(super) fn has(&self, lane: &str) -> bool {
        self.0.lock().contains_key(lane)
    }

    /// Whether nothing is held anywhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// The lanes that wait for being let in.
    pub(crate) fn resting(&self) -> usize {
        self.0.lock().values().filter(|lane| lane.rests).count()
    }

    /// The lanes of a room.
    pub(crate) fn of_room(&self, room: &str) -> Vec<String> {
        let prefix = lanes_of(room);
        let lanes = self.0.lock();
        let of_room = lanes.range(prefix.clone()..);
        let of_room = of_room.take_while(|(lane, _)| lane.starts_with(&prefix));
        of_room.map(|(lane, _)| lane.clone()).collect()
    }

    /// How many speakers are held in a room, and how many rows of theirs; and how many rows in all.
    pub(super) fn sizes(&self, room: &str) -> (usize, usize, usize) {
        let prefix = lanes_of(room);
        let lanes = self.0.lock();
        let of_room = lanes.iter().filter(|(lane, _)| lane.starts_with(&prefix));
        let (speakers, rows) = of_room.fold((0, 0), |(speakers, rows), (_, lane)| {
            (speakers + 1, rows + lane.rows)
        });
        (speakers, rows, lanes.values().map(|lane| lane.rows).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_led_back_to_whose_they_are() {
        for (room, user) in [
            ("hall", "ann"),
            ("net/#a/b", "net/x/y"),
            ("", ""),
            ("ä/", "/ö"),
        ] {
            let lane = lane_of(room, user);
            assert_eq!(read(&lane), Some((room, user)), "{lane}");
            assert!(is_held(&lane));
        }
        for other in [
            "room/hall",
            "held/",
            "held/9/hall/ann",
            "held/1/ä/x",
            "held/4/hall",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_held_is_counted_by_room() {
        let held = HeldLanes::default();
        held.begin(&lane_of("a", "ann"), 2);
        held.add(&lane_of("a", "bob"));
        held.add(&lane_of("a/b", "ann"));
        assert_eq!(held.sizes("a"), (2, 3, 4));
        assert_eq!(held.of_room("a").len(), 2);
        held.rest(&lane_of("a", "ann"), true);
        assert_eq!(held.resting(), 1);
        for _ in 0..2 {
            held.remove(&lane_of("a", "ann"));
        }
        assert_eq!((held.sizes("a"), held.resting()), ((1, 1, 2), 0));
        assert!(!held.has(&lane_of("a", "ann")));
    }
}
