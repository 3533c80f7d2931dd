//! Bridges: a small chat network of our own on one side, the real homeserver on the other.

mod again;
mod around;
mod away;
mod both_ways;
mod commands;
mod connection;
mod direct;
mod doubles;
mod echoes;
mod figures;
pub(crate) mod gate;
mod held;
mod history;
mod later;
mod linking;
mod links;
mod media;
mod moderation;
mod nameless;
mod notices;
mod others;
mod parts;
mod plain;
mod policies;
mod portals;
mod powers;
mod provisioned;
mod put_out;
mod redacted;
mod relay;
mod status;
mod taken_apart;
mod upgrade;
pub(crate) mod village;

use bridgehead_appservice::{
    Event, Service,
    bridge::{Bridge, Level, Permissions, Portal, Portals},
    id::{RoomAlias, RoomId, UserId},
};
use bridgehead_testkit::lab::{Lab, LabService, LabUser};

use self::{gate::Gate, village::Village};

/// A bridge to the village.
pub(crate) fn bridge(village: &Village) -> Bridge<Gate> {
    bridge_named("village", village)
}

/// The same with names of its own, for homeservers that have several.
pub(crate) fn bridge_named(name: &str, village: &Village) -> Bridge<Gate> {
    let gate = Gate {
        village: village.clone(),
    };
    Bridge::new(gate)
        .users(&format!("_{name}_{{name}}"))
        .aliases(&format!("#{name}_{{place}}"))
        .prefix("!village")
}

/// A service that is a bridge to the village, with admins.
pub(crate) fn service(bridge: Bridge<Gate>) -> Service {
    service_named("village", bridge)
}

/// The same with this name.
pub(crate) fn service_named(name: &str, bridge: Bridge<Gate>) -> Service {
    Service::new(name)
        .bot(&format!("{name}bot"))
        .bridge(bridge)
        .permissions(Permissions::new().allow("@root:localhost", Level::Admin))
}

/// A bridge that runs, and what it is between.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) village: Village,
    pub(crate) service: LabService,
    pub(crate) alice: LabUser,
}

impl Stage {
    /// With the usual bridge.
    pub(crate) async fn new(lab: &Lab, places: &[&str]) -> Self {
        let village = Village::new(places);
        let service = service(bridge(&village));
        Self::with(lab, &village, service).await
    }

    pub(crate) async fn with(lab: &Lab, village: &Village, service: Service) -> Self {
        let service = lab.mount(service).await.expect("no mistakes");
        let alice = lab.user("alice").await.expect("a new user");
        let stage = Self {
            lab: lab.clone(),
            village: village.clone(),
            service,
            alice,
        };
        stage.settle().await;
        stage
    }

    /// Waits until all is where it belongs: the bridge has read the village's book, and there is nothing left to do.
    pub(crate) async fn settle(&self) {
        loop {
            self.lab.settle().await;
            if self.village.is_read() {
                return;
            }
            self.lab.pass(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Alice joins the portal of a place by its alias.
    pub(crate) async fn enter(&self, place: &str) -> RoomId {
        let alias = format!("#{}_{place}:localhost", self.service.id());
        let room = self.alice.join(&alias).await.expect("made on demand");
        self.settle().await;
        room
    }

    pub(crate) fn portals(&self) -> Portals<Gate> {
        let portals = self.service.running().portals::<Gate>();
        portals.expect("the service is a bridge to the village")
    }

    pub(crate) async fn portal(&self, place: &str) -> Option<Portal<Gate>> {
        let portal = self.portals().of(&place.to_owned()).await;
        portal.expect("read")
    }

    /// What is said in a room, as `localpart: text`.
    pub(crate) async fn said(&self, room: &RoomId) -> Vec<String> {
        let events = self.alice.timeline(room).await.expect("in the room");
        let messages = events.iter().filter(|event| event.kind == "m.room.message");
        let said = messages.filter_map(|event| {
            Some(format!(
                "{}: {}",
                event.sender.localpart(),
                event.text("body")?
            ))
        });
        said.collect()
    }

    /// The events of a type in a room.
    pub(crate) async fn events(&self, room: &RoomId, kind: &str) -> Vec<Event> {
        let mut events = self.alice.timeline(room).await.expect("in the room");
        events.retain(|event| event.kind == kind);
        events
    }

    /// Crashes the service and starts it again.
    pub(crate) async fn restart(&self) {
        self.lab.restart(&self.service).await.expect("it starts");
        self.settle().await;
    }
}

/// The ghost of somebody of the village.
pub(crate) fn ghost(name: &str) -> UserId {
    UserId::new(&format!("_village_{name}"), "localhost").expect("an id")
}

pub(crate) fn bot() -> UserId {
    UserId::new("villagebot", "localhost").expect("an id")
}

pub(crate) fn alias(place: &str) -> RoomAlias {
    RoomAlias::new(&format!("village_{place}"), "localhost").expect("an alias")
}
