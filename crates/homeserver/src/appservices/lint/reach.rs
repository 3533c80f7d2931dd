//! Whom patterns catch beside the users and aliases that their service has made.

use bridgehead_admin_api::{Finding, FindingKind, Severity};
use ruma::ServerName;

use super::{
    automaton::{Search, must, must_not, search},
    claims::{Claim, Service, Shapes},
    finding,
};

/// Ids that stand for the rest in a finding.
const WITNESSES: usize = 5;

/// Localparts as people choose them. A pattern that matches most of them was not made for ghosts.
const USUAL_NAMES: [&str; 26] = [
    "alice", "bob", "carol", "dave", "emma", "frank", "grace", "heidi", "ivan", "judy", "kim",
    "liam", "mallory", "nina", "olivia", "peggy", "quinn", "rupert", "sybil", "trent", "ursula",
    "victor", "wendy", "xavier", "yusuf", "zoe",
];

/// What one pattern has caught.
#[derive(Default, Clone)]
pub(super) struct Catch {
    count: u64,
    witnesses: Vec<String>,
}

impl Catch {
    pub(super) fn add(&mut self, id: &str) {
        self.count += 1;
        if self.witnesses.len() < WITNESSES {
            self.witnesses.push(id.to_owned());
        }
    }
}

/// How much of all imaginable users a pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breadth {
    Everybody,
    Most,
    Some,
}

fn breadth(claim: &Claim, shapes: &Shapes, server_name: &ServerName) -> Breadth {
    let usual = USUAL_NAMES
        .iter()
        .filter(|name| claim.matches(&format!("@{name}:{server_name}")))
        .count();
    if usual * 3 < USUAL_NAMES.len() * 2 {
        return Breadth::Some;
    }
    let (Some(people), Some(pattern)) = (&shapes.people, claim.automaton()) else {
        return Breadth::Most;
    };
    match search(&[must(people), must_not(pattern)], 1) {
        Search::Nothing => Breadth::Everybody,
        Search::Found(_) | Search::GaveUp => Breadth::Most,
    }
}

/// What a pattern of users catches: `caught` of the `users` that there are.
pub(super) fn of_users(
    service: &Service,
    claim: &Claim,
    caught: &Catch,
    users: u64,
    (shapes, server_name): (&Shapes, &ServerName),
) -> Option<Finding> {
    let breadth = breadth(claim, shapes, server_name);
    if caught.count == 0 && breadth == Breadth::Some {
        return None;
    }
    let severity = match (claim.exclusive, breadth) {
        (true, Breadth::Everybody) => Severity::Error,
        (true, Breadth::Most | Breadth::Some) => Severity::Warning,
        (false, _) => Severity::Note,
    };
    let whom = match breadth {
        Breadth::Everybody => "every user of this server",
        Breadth::Most => "most names that people choose",
        Breadth::Some => "users that the service has not made",
    };
    let consequence = if claim.exclusive {
        "nobody else may have or make such an account"
    } else {
        "the service may act as them and is sent what happens in their rooms"
    };
    let cure = if claim.exclusive {
        "Put a prefix into the pattern that only the service's users have, such as `@irc_.*`"
    } else {
        "Right for double puppeting; otherwise put a prefix into the pattern"
    };
    Some(Finding {
        pattern: Some(claim.regex.clone()),
        witnesses: caught.witnesses.clone(),
        count: Some(caught.count),
        message: format!(
            "the pattern `{}` matches {whom} ({} of {users} users that there are): {consequence}",
            claim.regex, caught.count
        ),
        ..finding(service, FindingKind::SwallowsUsers, severity, cure)
    })
}

/// What an exclusive pattern of aliases catches.
pub(super) fn of_aliases(service: &Service, claim: &Claim, caught: &Catch) -> Option<Finding> {
    (claim.exclusive && caught.count > 0).then(|| Finding {
        pattern: Some(claim.regex.clone()),
        witnesses: caught.witnesses.clone(),
        count: Some(caught.count),
        message: format!(
            "the pattern `{}` takes {} aliases for the service alone that others have made",
            claim.regex, caught.count
        ),
        ..finding(
            service,
            FindingKind::Other,
            Severity::Warning,
            "Narrow the pattern, or set `exclusive: false`",
        )
    })
}
