//! What is doubtful about registrations, each with what shows it and what to do about it.
//!
//! [`Linter`] looks at all services in force, or at one that is about to be: at its patterns as
//! automata (`automaton`, `claims`), at pairs of services (`overlap`), at the users and aliases
//! that there are (`reach`), and at addresses (`address`). It decides nothing: whoever adds a
//! registration sees the findings and may go on.

mod address;
mod automaton;
mod claims;
mod offline;
mod overlap;
mod reach;
#[cfg(test)]
mod tests;

pub use self::offline::{LintedFile, lint_files};

use std::sync::Arc;

use bridgehead_admin_api::{Finding, FindingKind, Severity};
use regex::{RegexSet, RegexSetBuilder};
use ruma::{OwnedServerName, ServerName};

use self::{
    automaton::{Search, must, search},
    claims::{Claim, Service, Shapes},
    overlap::Overlaps,
    reach::Catch,
};
use super::registration::{
    Fault, NamespaceKind, Registration, RegistrationError, RegistrationWarning, anchored,
};

/// Room for the patterns of all services together; with more, each is asked by itself.
const MAX_SET_BYTES: usize = 256 << 20;

/// Looks at registrations. Show it the users and aliases that there are, then take the findings.
pub(crate) struct Linter {
    server_name: OwnedServerName,
    shapes: Shapes,
    /// The services that are looked at stand first.
    services: Vec<Service>,
    looked_at: usize,
    users: Crowd,
    aliases: Crowd,
}

impl Linter {
    /// Looks at `candidate` beside the others in force, or at all in force without one. One in
    /// force with the candidate's id is what it replaces.
    pub(crate) fn new(
        server_name: &ServerName,
        in_force: &[Arc<Registration>],
        candidate: Option<Arc<Registration>>,
    ) -> Self {
        let others = in_force
            .iter()
            .filter(|other| candidate.as_ref().is_none_or(|new| new.id != other.id))
            .cloned();
        let services: Vec<Service> = candidate
            .iter()
            .cloned()
            .chain(others)
            .map(|registration| Service::new(registration, server_name))
            .collect();
        let looked_at = if candidate.is_some() {
            1
        } else {
            services.len()
        };
        let looked = &services[..looked_at];
        Self {
            server_name: server_name.to_owned(),
            shapes: Shapes::new(server_name),
            users: Crowd::new(looked, NamespaceKind::Users),
            aliases: Crowd::new(looked, NamespaceKind::Aliases),
            services,
            looked_at,
        }
    }

    /// A local user and the service that has made it.
    pub(crate) fn see_user(&mut self, user_id: &str, made_by: Option<&str>) {
        self.users
            .see(&self.services, NamespaceKind::Users, user_id, |service| {
                made_by == Some(service.id()) || service.sender == user_id
            });
    }

    /// A local alias, its maker, and the service that has made the maker.
    pub(crate) fn see_alias(&mut self, alias: &str, creator: &str, made_by: Option<&str>) {
        self.aliases
            .see(&self.services, NamespaceKind::Aliases, alias, |service| {
                made_by == Some(service.id()) || service.sender == creator
            });
    }

    /// What was found, worst first.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = self.overlaps();
        for (index, service) in self.services[..self.looked_at].iter().enumerate() {
            findings.extend(self.of_patterns(service));
            findings.extend(self.of_reach(index, service));
            findings.extend(sender_outside(service));
            findings.extend(address::check(service));
        }
        findings.sort_by_key(|finding| finding.severity);
        findings
    }

    fn overlaps(&self) -> Vec<Finding> {
        let mut overlaps = Overlaps::new(&self.shapes);
        let mut findings = Vec::new();
        for (index, service) in self.services[..self.looked_at].iter().enumerate() {
            for other in &self.services[index + 1..] {
                findings.extend(overlaps.between(service, other));
            }
        }
        if overlaps.incomplete {
            findings.push(Finding {
                kind: FindingKind::Other,
                severity: Severity::Note,
                service_id: None,
                other_id: None,
                pattern: None,
                witnesses: Vec::new(),
                count: None,
                message: "not all pairs of patterns could be compared exactly (look-around, or too large); where sample ids showed no overlap, that is a guess".to_owned(),
                cure: "Write patterns without look-around, with a literal prefix".to_owned(),
            });
        }
        findings
    }

    fn of_patterns(&self, service: &Service) -> Vec<Finding> {
        let kinds = [NamespaceKind::Users, NamespaceKind::Aliases];
        let mut findings: Vec<_> = kinds
            .into_iter()
            .flat_map(|kind| {
                service
                    .claims(kind)
                    .0
                    .iter()
                    .map(move |claim| (kind, claim))
            })
            .filter_map(|(kind, claim)| {
                look_around(service, claim).or_else(|| self.domain(service, kind, claim))
            })
            .collect();
        findings.extend(
            service
                .registration
                .rooms
                .iter()
                .filter(|room| regex::Regex::new(&room.regex).is_err())
                .map(|room| look_around_in(service, &room.regex)),
        );
        findings
    }

    /// Whether the pattern names this server: no other's users and aliases are ever the service's.
    fn domain(&self, service: &Service, kind: NamespaceKind, claim: &Claim) -> Option<Finding> {
        let automaton = claim.automaton()?;
        let here = search(&[must(self.shapes.here(kind)?), must(automaton)], 1);
        if here == Search::Nothing {
            return Some(Finding {
                pattern: Some(claim.regex.clone()),
                message: format!(
                    "the pattern `{}` matches no id of this server, {}",
                    claim.regex, self.server_name
                ),
                ..finding(
                    service,
                    FindingKind::Other,
                    Severity::Warning,
                    "Let the pattern end in this server's name, or leave the name out",
                )
            });
        }
        let elsewhere = search(&[must(self.shapes.elsewhere(kind)?), must(automaton)], 1);
        matches!(elsewhere, Search::Found(_)).then(|| Finding {
            pattern: Some(claim.regex.clone()),
            message: format!(
                "the pattern `{}` names no server; here it means ids of {} only, but other servers may take it for everybody's",
                claim.regex, self.server_name
            ),
            ..finding(
                service,
                FindingKind::MissingDomain,
                Severity::Note,
                &format!(
                    "Add `:{}` at the end of the pattern",
                    regex::escape(self.server_name.as_str())
                ),
            )
        })
    }

    fn of_reach(&self, index: usize, service: &Service) -> Vec<Finding> {
        let context = (&self.shapes, &*self.server_name);
        let users = service
            .users
            .0
            .iter()
            .enumerate()
            .filter_map(|(at, claim)| {
                let caught = self.users.caught(index, at);
                reach::of_users(service, claim, &caught, self.users.seen, context)
            });
        let aliases = service
            .aliases
            .0
            .iter()
            .enumerate()
            .filter_map(|(at, claim)| {
                reach::of_aliases(service, claim, &self.aliases.caught(index, at))
            });
        users.chain(aliases).collect()
    }
}

/// What a text that is no registration is found to be.
pub(crate) fn of_errors(errors: &[RegistrationError]) -> Vec<Finding> {
    errors
        .iter()
        .map(|error| Finding {
            kind: match error.fault {
                Fault::MissingSigil => FindingKind::MissingSigil,
                Fault::Other => FindingKind::Unreadable,
            },
            severity: Severity::Error,
            service_id: None,
            other_id: None,
            pattern: None,
            witnesses: Vec::new(),
            count: None,
            message: match error.line {
                Some(line) => format!("line {line}: {}", error.reason),
                None => error.reason.clone(),
            },
            cure: error.remedy.clone(),
        })
        .collect()
}

/// What the reader noticed, as findings.
pub(crate) fn of_warnings(id: &str, warnings: &[RegistrationWarning]) -> Vec<Finding> {
    warnings
        .iter()
        // The linter says more of it.
        .filter(|warning| !warning.reason.starts_with("`url`"))
        .map(|warning| Finding {
            kind: FindingKind::Other,
            severity: Severity::Note,
            service_id: Some(id.to_owned()),
            other_id: None,
            pattern: None,
            witnesses: Vec::new(),
            count: None,
            message: match warning.line {
                Some(line) => format!("line {line}: {}", warning.reason),
                None => warning.reason.clone(),
            },
            cure: "Write it as it is meant, or leave it".to_owned(),
        })
        .collect()
}

/// A finding about a service, without its particulars.
fn finding(service: &Service, kind: FindingKind, severity: Severity, cure: &str) -> Finding {
    Finding {
        kind,
        severity,
        service_id: Some(service.id().to_owned()),
        other_id: None,
        pattern: None,
        witnesses: Vec::new(),
        count: None,
        message: String::new(),
        cure: cure.to_owned(),
    }
}

fn look_around(service: &Service, claim: &Claim) -> Option<Finding> {
    claim
        .is_fancy()
        .then(|| look_around_in(service, &claim.regex))
}

fn look_around_in(service: &Service, regex: &str) -> Finding {
    Finding {
        pattern: Some(regex.to_owned()),
        message: format!(
            "the pattern `{regex}` looks around or refers back: other servers refuse it, it is slow, and what it overlaps with can only be guessed"
        ),
        ..finding(
            service,
            FindingKind::LookAround,
            Severity::Warning,
            "Say the same with alternatives, or with two patterns of which the first is the exception",
        )
    }
}

fn sender_outside(service: &Service) -> Option<Finding> {
    let users = &service.users.0;
    if users.is_empty() || users.iter().any(|claim| claim.matches(&service.sender)) {
        return None;
    }
    Some(Finding {
        witnesses: vec![service.sender.clone()],
        message: format!(
            "the service's own user {} is in none of its namespaces; here it is the service's all the same",
            service.sender
        ),
        ..finding(
            service,
            FindingKind::SenderOutside,
            Severity::Note,
            "Nothing here; for other servers, add a pattern for it",
        )
    })
}

/// Everybody that there is, asked about all patterns of a kind that are looked at.
struct Crowd {
    seen: u64,
    set: Option<RegexSet>,
    /// From the set's pattern numbers to service and place in its list.
    set_places: Vec<(usize, usize)>,
    /// Those that cannot be in the set.
    alone: Vec<(usize, usize)>,
    caught: Vec<Vec<Catch>>,
}

impl Crowd {
    fn new(looked_at: &[Service], kind: NamespaceKind) -> Self {
        let places = looked_at.iter().enumerate().flat_map(|(index, service)| {
            let claims = service.claims(kind).0.iter().enumerate();
            claims.map(move |(at, claim)| (index, at, claim))
        });
        let (fancy, plain): (Vec<_>, Vec<_>) = places.partition(|(_, _, claim)| claim.is_fancy());
        let place = |(index, at, _): &(usize, usize, &Claim)| (*index, *at);
        let set = RegexSetBuilder::new(plain.iter().map(|(_, _, claim)| anchored(&claim.regex)))
            .size_limit(MAX_SET_BYTES)
            .build()
            .ok();
        let mut alone: Vec<_> = fancy.iter().map(place).collect();
        if set.is_none() {
            alone.extend(plain.iter().map(place));
        }
        Self {
            seen: 0,
            set,
            set_places: plain.iter().map(place).collect(),
            alone,
            caught: looked_at
                .iter()
                .map(|service| vec![Catch::default(); service.claims(kind).0.len()])
                .collect(),
        }
    }

    fn see(
        &mut self,
        services: &[Service],
        kind: NamespaceKind,
        id: &str,
        is_own: impl Fn(&Service) -> bool,
    ) {
        self.seen += 1;
        let in_set = self.set.iter().flat_map(|set| set.matches(id));
        let in_set = in_set.map(|number| self.set_places[number]);
        let alone = self
            .alone
            .iter()
            .copied()
            .filter(|(index, at)| services[*index].claims(kind).0[*at].matches(id));
        for (index, at) in in_set.chain(alone) {
            if !is_own(&services[index]) {
                self.caught[index][at].add(id);
            }
        }
    }

    fn caught(&self, index: usize, at: usize) -> Catch {
        self.caught[index][at].clone()
    }
}
