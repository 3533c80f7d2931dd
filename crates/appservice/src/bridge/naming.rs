//! What a bridge's users and rooms are called in Matrix: by template, by a template of a part of the network's own, or, for
//! ghosts that another bridge has made, as they have been called since.

use std::collections::HashMap;

use bridgehead_registration::{BoundTemplate, NamespaceTemplate};
use parking_lot::RwLock;

use super::{Network, RemoteId, links::LinkKind};
use crate::{Error, id::UserId, store::Unit};

/// Ghosts of another bridge's that are taken over at most: all of their names are in memory.
pub(crate) const MAX_ADOPTED: usize = 500_000;

/// Names read from the database in one go.
const PAGE: usize = 1000;

/// A template, and the first values of those whom it is for: all, where there are none.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    pub(crate) first: Vec<String>,
    pub(crate) template: T,
}

/// Templates, those for a part of the network before the one for all.
pub(crate) type Names = Vec<Named<BoundTemplate>>;

/// Puts templates on a homeserver.
pub(crate) fn bind(
    templates: &[Named<NamespaceTemplate>],
    server_name: &str,
) -> Result<Names, String> {
    let bound = templates.iter().map(|named| {
        let template = named.template.at(server_name);
        Ok(Named {
            first: named.first.clone(),
            template: template.map_err(|error| error.to_string())?,
        })
    });
    let mut bound = bound.collect::<Result<Names, String>>()?;
    bound.sort_by_key(|named| std::cmp::Reverse(named.first.len()));
    Ok(bound)
}

/// The id of what has these values; `None`, where there is no template for it.
pub(crate) fn build(names: &Names, values: &[String]) -> Option<Result<String, Error>> {
    let named = names
        .iter()
        .find(|named| values.starts_with(&named.first))?;
    Some(fill(&named.template, &values[named.first.len()..]))
}

/// What an id is for, by the template that would write it.
pub(crate) fn parse<R: RemoteId>(names: &Names, id: &str) -> Option<R> {
    names.iter().find_map(|named| {
        let fields = named.template.parse(id)?;
        let rest = fields.iter().map(|(_, value)| value);
        let values: Vec<&str> = named.first.iter().map(String::as_str).chain(rest).collect();
        let found = R::from_values(&values)?;
        // What has a template of its own is not named by that of all.
        let written = build(names, &found.values())?.ok()?;
        (written == id).then_some(found)
    })
}

fn fill(template: &BoundTemplate, values: &[String]) -> Result<String, Error> {
    let names = template.template().field_names();
    let named: Vec<(&str, &str)> = names.zip(values.iter().map(String::as_str)).collect();
    template
        .build(&named)
        .map_err(|error| Error::Unsupported(error.to_string()))
}

/// Ghosts that another bridge has made, which go on under the ids that it has given them.
pub(crate) struct AdoptedGhosts<N>(std::marker::PhantomData<fn() -> N>);

impl<N: Network> LinkKind for AdoptedGhosts<N> {
    const KIND: &'static str = "bridge/adopted";
    type Remote = N::User;
    type Matrix = UserId;
    type Data = ();

    fn kind() -> String {
        format!("bridge/{}/adopted", N::NAME)
    }
}

/// The same in memory.
#[derive(Debug, Default)]
pub(crate) struct Adopted(RwLock<(HashMap<String, UserId>, HashMap<UserId, String>)>);

impl Adopted {
    /// Reads all of them.
    pub(crate) fn read<N: Network>(unit: &Unit<'_>) -> crate::store::Result<Vec<(String, UserId)>> {
        let kind = AdoptedGhosts::<N>::kind();
        let mut all: Vec<(String, UserId)> = Vec::new();
        while all.len() < MAX_ADOPTED {
            let after = all.last().map_or("", |(remote, _)| remote);
            let page = unit.links_page(&kind, after, PAGE)?;
            let is_last = page.len() < PAGE;
            let rows = page.into_iter();
            all.extend(
                rows.filter_map(|row| Some((row.remote_id, UserId::parse(&row.matrix_id).ok()?))),
            );
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    pub(crate) fn put(&self, all: Vec<(String, UserId)>) {
        let by_ghost = all
            .iter()
            .map(|(user, ghost)| (ghost.clone(), user.clone()));
        let by_ghost = by_ghost.collect();
        *self.0.write() = (all.into_iter().collect(), by_ghost);
    }

    /// The ghost of a user.
    pub(crate) fn ghost<R: RemoteId>(&self, user: &R) -> Option<UserId> {
        let adopted = self.0.read();
        if adopted.0.is_empty() {
            return None;
        }
        adopted.0.get(&user.to_text()).cloned()
    }

    /// Whose ghost it is.
    pub(crate) fn user<R: RemoteId>(&self, ghost: &UserId) -> Option<R> {
        R::from_text(self.0.read().1.get(ghost)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (String, String);

    fn names() -> Names {
        let template = |first: &[&str], text: &str| Named {
            first: first.iter().map(|&value| value.to_owned()).collect(),
            template: NamespaceTemplate::users(text).expect("a template"),
        };
        let templates = [
            template(&[], "_irc_{network}_{nick}"),
            template(&["libera"], "irc_{nick}"),
            template(&["oftc"], "irc.oftc.net_{nick}"),
        ];
        bind(&templates, "x").expect("a server")
    }

    fn pair(network: &str, nick: &str) -> Pair {
        (network.to_owned(), nick.to_owned())
    }

    #[test]
    fn a_part_of_the_network_may_have_a_template_of_its_own() {
        for (network, nick, id) in [
            ("libera", "ann", "@irc_ann:x"),
            ("oftc", "ann", "@irc.oftc.net_ann:x"),
            ("hack", "ann", "@_irc_hack_ann:x"),
        ] {
            let built = build(&names(), &pair(network, nick).values());
            assert_eq!(built.expect("a template").expect("an id"), id);
            assert_eq!(parse(&names(), id), Some(pair(network, nick)), "{id}");
        }
    }

    #[test]
    fn an_id_is_read_by_the_template_that_would_write_it() {
        // Those of libera have a template of their own, and it is not this one.
        assert_eq!(parse::<Pair>(&names(), "@_irc_libera_ann:x"), None);
        assert_eq!(parse::<Pair>(&names(), "@irc.hack.net_ann:x"), None);
        for nick in ["a_b", "Ann", "[m]", "hack_ann"] {
            let id = build(&names(), &pair("libera", nick).values());
            let id = id.expect("a template").expect("an id");
            assert_eq!(parse(&names(), &id), Some(pair("libera", nick)), "{id}");
        }
    }
}
