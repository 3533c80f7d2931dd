//! Ids that two services both want for themselves, each shown by an id that both match.

use bridgehead_admin_api::{Finding, FindingKind, Severity};

use super::{
    automaton::{Search, must, search},
    claims::{Claim, Service, Shapes},
    finding,
};
use crate::appservices::registration::NamespaceKind;

/// Searches that one look at all services makes at most.
const MAX_SEARCHES: usize = 5_000;
/// Ids of one pattern that are tried on one that cannot be an automaton.
const SAMPLES: usize = 200;

/// Looks at pairs of services; bounded over all of them.
pub(super) struct Overlaps<'a> {
    shapes: &'a Shapes,
    searches: usize,
    /// A search was given up, or there were too many.
    pub(super) incomplete: bool,
}

impl<'a> Overlaps<'a> {
    pub(super) fn new(shapes: &'a Shapes) -> Self {
        Self {
            shapes,
            searches: 0,
            incomplete: false,
        }
    }

    /// What `a` and `b` both want for themselves.
    pub(super) fn between(&mut self, a: &Service, b: &Service) -> Vec<Finding> {
        let mut found = Vec::new();
        found.extend(same_sender(a, b));
        found.extend(takes_sender(a, b));
        found.extend(takes_sender(b, a));
        for kind in [NamespaceKind::Users, NamespaceKind::Aliases] {
            found.extend(self.patterns(a, b, kind));
        }
        found
    }

    /// The first overlap of two exclusive patterns of this kind.
    fn patterns(&mut self, a: &Service, b: &Service, kind: NamespaceKind) -> Option<Finding> {
        for (i, mine) in a.claims(kind).0.iter().enumerate() {
            for (j, theirs) in b.claims(kind).0.iter().enumerate() {
                if !mine.exclusive || !theirs.exclusive || mine.begins_unlike(theirs) {
                    continue;
                }
                let witness = self
                    .witness((a, i), (b, j), kind)
                    .filter(|id| a.claims(kind).hold(id) && b.claims(kind).hold(id));
                if let Some(witness) = witness {
                    return Some(overlap(a, b, (mine, theirs), kind, witness));
                }
            }
        }
        None
    }

    fn witness(
        &mut self,
        (a, i): (&Service, usize),
        (b, j): (&Service, usize),
        kind: NamespaceKind,
    ) -> Option<String> {
        if self.searches == MAX_SEARCHES {
            self.incomplete = true;
            return None;
        }
        self.searches += 1;
        let shape = self.shapes.here(kind)?;
        let (a, b) = (a.claims(kind), b.claims(kind));
        let (mine, theirs) = (&a.0[i], &b.0[j]);
        let (Some(x), Some(y)) = (mine.automaton(), theirs.automaton()) else {
            return self.guess(mine, theirs, kind);
        };
        let mut parts = vec![must(shape), must(x), must(y)];
        parts.extend(a.shades(i));
        parts.extend(b.shades(j));
        let result = search(&parts, 1);
        self.incomplete |= result == Search::GaveUp;
        result.first()
    }

    /// Where one cannot be an automaton: ids of the other that it matches.
    fn guess(&mut self, mine: &Claim, theirs: &Claim, kind: NamespaceKind) -> Option<String> {
        let shape = self.shapes.here(kind)?;
        let mut ids = mine.samples(shape, SAMPLES);
        ids.extend(theirs.samples(shape, SAMPLES));
        let witness = ids
            .into_iter()
            .find(|id| mine.matches(id) && theirs.matches(id));
        self.incomplete |= witness.is_none();
        witness
    }
}

fn overlap(
    a: &Service,
    b: &Service,
    (mine, theirs): (&Claim, &Claim),
    kind: NamespaceKind,
    witness: String,
) -> Finding {
    let what = match kind {
        NamespaceKind::Aliases => "aliases",
        NamespaceKind::Users | NamespaceKind::Rooms => "users",
    };
    Finding {
        other_id: Some(b.id().to_owned()),
        pattern: Some(mine.regex.clone()),
        message: format!(
            "`{}` and `{}` both claim the {what} `{}` and `{}` for themselves; {witness} is in both, so neither may make it",
            a.id(),
            b.id(),
            mine.regex,
            theirs.regex,
        ),
        witnesses: vec![witness],
        ..finding(
            a,
            FindingKind::ExclusiveOverlap,
            Severity::Error,
            "Give each its own prefix, or set `exclusive: false` where one only needs to watch",
        )
    }
}

fn same_sender(a: &Service, b: &Service) -> Option<Finding> {
    (a.sender == b.sender).then(|| Finding {
        other_id: Some(b.id().to_owned()),
        witnesses: vec![a.sender.clone()],
        message: format!(
            "`{}` and `{}` have the same own user, {}",
            a.id(),
            b.id(),
            a.sender
        ),
        ..finding(
            a,
            FindingKind::ExclusiveOverlap,
            Severity::Error,
            "Give each its own `sender_localpart`",
        )
    })
}

/// `owner`'s pattern holds the user that is `guest`'s own.
fn takes_sender(owner: &Service, guest: &Service) -> Option<Finding> {
    if owner.sender == guest.sender || !owner.users.hold(&guest.sender) {
        return None;
    }
    let pattern = owner
        .users
        .0
        .iter()
        .find(|claim| claim.matches(&guest.sender))?;
    Some(Finding {
        other_id: Some(guest.id().to_owned()),
        pattern: Some(pattern.regex.clone()),
        witnesses: vec![guest.sender.clone()],
        message: format!(
            "the users `{}` of `{}` are its alone, and {} is among them, the own user of `{}`",
            pattern.regex,
            owner.id(),
            guest.sender,
            guest.id()
        ),
        ..finding(
            owner,
            FindingKind::ExclusiveOverlap,
            Severity::Error,
            "Narrow the pattern, or give the other service another `sender_localpart`",
        )
    })
}
