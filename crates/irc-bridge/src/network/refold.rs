//! Names that were written down before the network had said how it folds case: by an import, or by an earlier network at
//! the same place. Their portals go on under the names that the network means.

use bridgehead_appservice::Error;
use bridgehead_irc_protocol::CaseMapping;

use super::{Hub, deeds::Deed};
use crate::ids::{Place, Target};

impl Hub {
    /// The network has said how it folds case.
    pub(super) async fn refold(&mut self) {
        let mapping = self.directory.read().case_mapping();
        let places = match self.remote.rooms().await {
            Ok(places) => places,
            Err(error) => {
                tracing::error!(network = self.name, %error, "names are not brought in line");
                return;
            }
        };
        for place in &places {
            if place.network != self.name {
                continue;
            }
            let canonical = canonical(place, mapping);
            if canonical == *place {
                continue;
            }
            let (from, to) = (place.target_name(), canonical.target_name());
            match self.rename(place, &canonical).await {
                Ok(true) => self.goes_on_as(place, &canonical),
                Ok(false) => tracing::warn!(
                    network = self.name,
                    from,
                    to,
                    "both have rooms, and are one for the network: unlink one of them"
                ),
                Err(error) => {
                    tracing::error!(network = self.name, from, to, %error, "a name is not brought in line");
                }
            }
        }
        let keys = std::mem::take(&mut self.keys).into_iter();
        self.keys = keys
            .map(|(channel, key)| (mapping.fold(&channel), key))
            .collect();
        for channel in self.keys.keys() {
            self.directory.write().set_keyed(channel, true);
        }
    }

    async fn rename(&self, place: &Place, canonical: &Place) -> Result<bool, Error> {
        match self.remote.portal(place).await? {
            Some(portal) => self.remote.portals()?.rename(&portal, canonical).await,
            // It was taken apart, or renamed, meanwhile.
            None => Ok(true),
        }
    }

    fn goes_on_as(&mut self, place: &Place, canonical: &Place) {
        let (from, to) = (place.target_name(), canonical.target_name());
        if let Target::Private { person, .. } = &place.target {
            self.talks.ended(person, from);
            self.talks.begun(person, to);
            self.write_talks_down();
            self.monitor.ended(from);
            self.monitor.has_talked(to);
            return;
        }
        self.access.note_unbridged(from);
        self.access.note_bridged(to);
        for client in self.clients.values_mut() {
            if client.wanted.remove(from) {
                client.wanted.insert(to.to_owned());
            }
        }
        if let Some(until) = self.late.remove(from) {
            self.late.insert(to.to_owned(), until);
        }
        if let Some(at_ms) = self.history.move_heard(from, to) {
            self.deed(Deed::Unheard(from.to_owned()));
            self.deed(Deed::Heard(to.to_owned(), at_ms));
        }
    }
}

/// What the network means.
fn canonical(place: &Place, mapping: CaseMapping) -> Place {
    let target = match &place.target {
        Target::Channel(channel) => Target::Channel(mapping.fold(channel)),
        Target::Private { nick, person } => Target::Private {
            nick: mapping.fold(nick),
            person: person.clone(),
        },
    };
    Place {
        network: place.network.clone(),
        target,
    }
}
