//! The registrations that are in force, ready to be asked: who owns a token, a user, an alias.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use bridgehead_store::AppserviceNid;
use ruma::{OwnedUserId, RoomAliasId, ServerName, UserId};
use smallvec::SmallVec;

use super::{
    delivery::DeliveryHandle,
    namespaces::{AsIndex, Namespaces},
    registration::Registration,
};
use crate::clock::Clock;

/// Numbers of services, few as a rule.
pub(crate) type Nids = SmallVec<[AppserviceNid; 4]>;

/// One application service in force.
pub(crate) struct Appservice {
    /// Its registration.
    pub(crate) registration: Arc<Registration>,
    /// Its number in the database.
    pub(crate) nid: AppserviceNid,
    /// Its place in the compiled namespaces.
    pub(crate) index: AsIndex,
    /// Its own user, `@sender_localpart:server`.
    pub(crate) sender: OwnedUserId,
    /// Its delivery task.
    pub(crate) delivery: Arc<DeliveryHandle>,
}

impl Appservice {
    /// The service has just shown that it is alive: an authenticated request, a ping.
    pub(crate) fn sign_of_life(&self) {
        self.delivery.sign_of_life();
    }

    /// Whether the service asked for typing, receipts and presence.
    pub(crate) fn takes_ephemeral(&self) -> bool {
        let features = &self.registration.features;
        features.receive_ephemeral || features.push_ephemeral_unstable
    }

    /// Whether `ip_range_whitelist` lets this address use the token.
    pub(crate) fn allows_address(&self, peer: IpAddr) -> bool {
        let ranges = &self.registration.ip_range_whitelist;
        ranges.is_empty() || ranges.iter().any(|range| range_contains(range, peer))
    }
}

/// Tokens on their way out.
struct OldTokens {
    clock: Arc<dyn Clock>,
    by_hash: HashMap<[u8; 32], (Arc<Appservice>, i64)>,
}

impl OldTokens {
    fn get(&self, token_hash: &[u8; 32]) -> Option<Arc<Appservice>> {
        let (service, until_ms) = self.by_hash.get(token_hash)?;
        (self.clock.now_ms() < *until_ms).then(|| service.clone())
    }
}

/// All services in force; replaced as a whole when registrations change.
pub(crate) struct Registry {
    /// Grows with each replacement; cached interest of an older generation is stale.
    pub(crate) generation: u64,
    services: Vec<Arc<Appservice>>,
    by_token: HashMap<[u8; 32], Arc<Appservice>>,
    by_nid: HashMap<AppserviceNid, Arc<Appservice>>,
    old_tokens: Option<OldTokens>,
    namespaces: Namespaces,
}

impl Registry {
    /// `services` in the order of their `index`.
    pub(crate) fn new(
        generation: u64,
        server_name: &ServerName,
        services: Vec<Arc<Appservice>>,
    ) -> Result<Self, super::namespaces::CompileError> {
        let registrations: Vec<_> = services
            .iter()
            .map(|service| service.registration.clone())
            .collect();
        let namespaces = Namespaces::compile(server_name, &registrations)?;
        Ok(Self::assemble(generation, services, namespaces))
    }

    /// The same with their namespaces compiled before, in the same order.
    pub(crate) fn assemble(
        generation: u64,
        services: Vec<Arc<Appservice>>,
        namespaces: Namespaces,
    ) -> Self {
        let by_token = services
            .iter()
            .map(|s| (s.registration.as_token_hash, s.clone()))
            .collect();
        let by_nid = services.iter().map(|s| (s.nid, s.clone())).collect();
        Self {
            generation,
            services,
            by_token,
            by_nid,
            old_tokens: None,
            namespaces,
        }
    }

    /// Tokens that are good for a while beside the new ones: SHA-256, the service's id, and until
    /// when by this clock.
    pub(crate) fn with_old_tokens(
        mut self,
        clock: Arc<dyn Clock>,
        tokens: Vec<([u8; 32], String, i64)>,
    ) -> Self {
        let by_hash = tokens
            .into_iter()
            .filter_map(|(hash, id, until_ms)| {
                let mut services = self.services.iter();
                let service = services.find(|service| service.registration.id == id)?;
                Some((hash, (service.clone(), until_ms)))
            })
            .collect();
        self.old_tokens = Some(OldTokens { clock, by_hash });
        self
    }

    /// All services.
    pub(crate) fn services(&self) -> &[Arc<Appservice>] {
        &self.services
    }

    /// The service with this `as_token`, by its SHA-256; also one that was rotated out and is good
    /// for a while.
    pub(crate) fn by_token(&self, token_hash: &[u8; 32]) -> Option<Arc<Appservice>> {
        let current = self.by_token.get(token_hash).cloned();
        current.or_else(|| self.old_tokens.as_ref()?.get(token_hash))
    }

    /// The service with this number, if it is in force.
    pub(crate) fn by_nid(&self, nid: AppserviceNid) -> Option<Arc<Appservice>> {
        self.by_nid.get(&nid).cloned()
    }

    /// Whether the service may act as the user: its own user, or one of its namespaces (exclusive
    /// or not).
    pub(crate) fn owns_user(&self, service: &Appservice, user_id: &UserId) -> bool {
        service.sender == user_id
            || self
                .place_of(service)
                .is_some_and(|place| self.namespaces.owns_user(place, user_id.as_str()))
    }

    /// Whether the alias is in the service's alias namespaces.
    pub(crate) fn owns_alias(&self, service: &Appservice, alias: &RoomAliasId) -> bool {
        self.place_of(service)
            .is_some_and(|place| self.namespaces.owns_alias(place, alias.as_str()))
    }

    /// The service, other than `asker`, that holds the user id exclusively.
    pub(crate) fn user_reserved_by(
        &self,
        user_id: &UserId,
        asker: Option<&Appservice>,
    ) -> Option<Arc<Appservice>> {
        self.namespaces
            .exclusive_to_other_user(
                user_id.as_str(),
                asker.and_then(|asker| self.place_of(asker)),
            )
            .map(|index| self.at(index))
    }

    /// The service, other than `asker`, that holds the alias exclusively.
    pub(crate) fn alias_reserved_by(
        &self,
        alias: &RoomAliasId,
        asker: Option<&Appservice>,
    ) -> Option<Arc<Appservice>> {
        self.namespaces
            .exclusive_to_other_alias(alias.as_str(), asker.and_then(|asker| self.place_of(asker)))
            .map(|index| self.at(index))
    }

    /// Services that own the user.
    pub(crate) fn services_of_user(&self, user_id: &str) -> Vec<Arc<Appservice>> {
        self.namespaces
            .users(user_id)
            .any
            .iter()
            .map(|index| self.at(*index))
            .collect()
    }

    /// Services whose alias namespaces match.
    pub(crate) fn services_of_alias(&self, alias: &str) -> Vec<Arc<Appservice>> {
        self.namespaces
            .aliases(alias)
            .any
            .iter()
            .map(|index| self.at(*index))
            .collect()
    }

    /// Services that hold the user exclusively.
    pub(crate) fn is_user_exclusive(&self, user_id: &str) -> bool {
        !self.namespaces.users(user_id).exclusive.is_empty()
    }

    /// Numbers of the services that own the user.
    pub(crate) fn nids_of_user(&self, user_id: &str) -> Nids {
        self.nids(&self.namespaces.users(user_id).any)
    }

    /// Numbers of the services that take part in encryption (`org.matrix.msc3202`), sorted.
    pub(crate) fn nids_of_encrypting(&self) -> Nids {
        let mut nids: Nids = self
            .services
            .iter()
            .filter(|service| service.registration.features.msc3202)
            .map(|service| service.nid)
            .collect();
        nids.sort_unstable();
        nids
    }

    /// Numbers of the services that a user's devices belong to, sorted: those which take part in
    /// encryption and hold the user exclusively, or have made its account.
    pub(crate) fn nids_of_devices(&self, user_id: &str, made_by: Option<&str>) -> Nids {
        let owners = self.namespaces.users(user_id);
        let mut nids: Nids = owners
            .any
            .iter()
            .map(|index| (index, self.at(*index)))
            .filter(|(index, service)| {
                let registration = &service.registration;
                registration.features.msc3202
                    && (owners.exclusive.contains(index)
                        || made_by == Some(registration.id.as_str()))
            })
            .map(|(_, service)| service.nid)
            .collect();
        nids.sort_unstable();
        nids
    }

    /// Numbers of the services whose alias namespaces match.
    pub(crate) fn nids_of_alias(&self, alias: &str) -> Nids {
        self.nids(&self.namespaces.aliases(alias).any)
    }

    /// Numbers of the services whose room namespaces match.
    pub(crate) fn nids_of_room(&self, room_id: &str) -> Nids {
        self.nids(&self.namespaces.rooms(room_id).any)
    }

    fn nids(&self, indices: &[AsIndex]) -> Nids {
        indices.iter().map(|index| self.at(*index).nid).collect()
    }

    /// Where the service stands here. Callers may hold it from a registry before this one, in which
    /// it stood elsewhere; one that is gone stands nowhere.
    fn place_of(&self, service: &Appservice) -> Option<AsIndex> {
        self.by_nid.get(&service.nid).map(|here| here.index)
    }

    fn at(&self, index: AsIndex) -> Arc<Appservice> {
        self.services[usize::from(index.0)].clone()
    }
}

/// Whether a CIDR range (or a lone address) contains an address.
fn range_contains(range: &str, peer: IpAddr) -> bool {
    let (base, bits) = match range.split_once('/') {
        Some((base, bits)) => (base, bits.parse::<u32>().ok()),
        None => (range, Some(u32::MAX)),
    };
    let (Ok(base), Some(bits)) = (base.parse::<IpAddr>(), bits) else {
        return false;
    };
    match (base, peer.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(peer)) => {
            let shift = 32 - bits.min(32);
            u32::from(base).checked_shr(shift).unwrap_or(0)
                == u32::from(peer).checked_shr(shift).unwrap_or(0)
        }
        (IpAddr::V6(base), IpAddr::V6(peer)) => {
            let shift = 128 - bits.min(128);
            u128::from(base).checked_shr(shift).unwrap_or(0)
                == u128::from(peer).checked_shr(shift).unwrap_or(0)
        }
        _ => false,
    }
}
