//! What a server tells this connection: errors, standard replies, who of those watched is there.

use super::{Happening, Incoming, ReplyKind};
use crate::Source;

/// A reply that means something to a person.
pub(super) fn numeric(numeric: u16, incoming: &Incoming<'_>) -> Option<Happening> {
    // 422 says that there is no message of the day, which is no error to anybody.
    let is_for_people = matches!(numeric, 301 | 400..=421 | 423..=599 | 716..=718 | 734);
    is_for_people.then(|| {
        let count = incoming.line.params.len();
        Happening::Numeric {
            numeric,
            params: texts(incoming, 1, count.saturating_sub(1)),
            text: incoming.line.last().to_vec(),
        }
    })
}

/// `FAIL command code [context …] :text`
pub(super) fn reply(incoming: &Incoming<'_>) -> Option<Happening> {
    let kind = match incoming.line.command.as_str() {
        "FAIL" => ReplyKind::Fail,
        "WARN" => ReplyKind::Warn,
        _ => ReplyKind::Note,
    };
    let count = incoming.line.params.len();
    (count >= 3).then(|| Happening::Reply {
        kind,
        command: incoming.text(0).into_owned(),
        code: incoming.text(1).into_owned(),
        context: texts(incoming, 2, count - 1),
        text: incoming.line.last().to_vec(),
    })
}

/// `730 me :nick!user@host,nick`, and 731 with nicks alone.
pub(super) fn watched(numeric: u16, incoming: &Incoming<'_>) -> Vec<Happening> {
    let targets = incoming.text(1);
    let targets = targets.split(',').filter(|target| !target.is_empty());
    let told = targets.map(|target| match (numeric, Source::parse(target)) {
        (730, who) => Happening::Online { who },
        (_, Source { name: nick, .. }) => Happening::Offline { nick },
    });
    told.collect()
}

fn texts(incoming: &Incoming<'_>, from: usize, to: usize) -> Vec<String> {
    (from..to)
        .map(|at| incoming.text(at).into_owned())
        .collect()
}
