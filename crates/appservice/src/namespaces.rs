//! Which ids are the service's own: its templates and patterns, on one homeserver.

use std::{collections::BTreeMap, sync::Arc};

use bridgehead_registration::{
    BoundTemplate, BuildError, Fields, Namespace, NamespaceTemplate, TemplateError,
};
use regex::RegexSet;

use crate::id::{RoomAlias, UserId};

/// What a service declares of its namespaces, before it knows its homeserver.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamespacePlan {
    pub(crate) users: Vec<NamespaceTemplate>,
    pub(crate) aliases: Vec<NamespaceTemplate>,
    /// Patterns that are watched, not owned.
    pub(crate) watched_users: Vec<String>,
    pub(crate) watched_aliases: Vec<String>,
    pub(crate) watched_rooms: Vec<String>,
}

/// The same on one homeserver.
#[derive(Debug)]
pub(crate) struct Namespaces {
    users: Vec<BoundTemplate>,
    aliases: Vec<BoundTemplate>,
    /// The patterns of users that the registration in force owns, which may be older than the templates.
    owned: RegexSet,
    server_name: Arc<str>,
}

impl NamespacePlan {
    /// The templates' ids on this homeserver. `owned` are further patterns of users that are the service's own.
    ///
    /// # Errors
    /// When a template makes no sense there.
    pub(crate) fn at(
        &self,
        server_name: &str,
        owned: &[String],
    ) -> Result<Namespaces, TemplateError> {
        let bind = |templates: &[NamespaceTemplate]| -> Result<Vec<_>, _> {
            templates
                .iter()
                .map(|template| template.at(server_name))
                .collect()
        };
        let anchored: Vec<String> = owned
            .iter()
            .map(|pattern| format!(r"\A(?:{pattern})"))
            .collect();
        // Patterns with look-around are the homeserver's business; the templates say what is ours, and the other patterns.
        let legible = anchored
            .iter()
            .filter(|pattern| regex::Regex::new(pattern).is_ok());
        let owned = RegexSet::new(legible).unwrap_or_else(|_| RegexSet::empty());
        Ok(Namespaces {
            users: bind(&self.users)?,
            aliases: bind(&self.aliases)?,
            owned,
            server_name: server_name.into(),
        })
    }
}

impl Namespaces {
    /// Whether a user is one of the service's ghosts.
    pub(crate) fn owns_user(&self, user: &UserId) -> bool {
        user.server() == &*self.server_name
            && (self.owned.is_match(user.as_str())
                || self
                    .users
                    .iter()
                    .any(|template| template.parse(user.as_str()).is_some()))
    }

    /// The fields of a user's id, by the first template that it fits. A template may fit the service's own user too.
    pub(crate) fn user_fields(&self, user: &UserId) -> Option<BTreeMap<String, String>> {
        fields(&self.users, user.as_str())
    }

    /// The fields of an alias, by the first template that it fits.
    pub(crate) fn alias_fields(&self, alias: &RoomAlias) -> Option<BTreeMap<String, String>> {
        fields(&self.aliases, alias.as_str())
    }

    /// The ghost with these values, by the first template with these fields.
    ///
    /// # Errors
    /// When no template has them, or they make too long an id.
    pub(crate) fn user(&self, values: &[(&str, &str)]) -> Result<UserId, BuildError> {
        UserId::parse(&build(&self.users, values)?).map_err(|_| BuildError::TooLong { bytes: 256 })
    }

    /// The only field of the first template that has one field.
    pub(crate) fn single_user_field(&self) -> Option<&str> {
        let mut single = self
            .users
            .iter()
            .filter(|template| template.template().field_names().count() == 1);
        single.next()?.template().field_names().next()
    }

    /// The entries of a registration.
    pub(crate) fn entries(&self) -> (Vec<Namespace>, Vec<Namespace>) {
        let entries = |templates: &[BoundTemplate]| {
            templates
                .iter()
                .map(|template| template.namespace(true))
                .collect()
        };
        (entries(&self.users), entries(&self.aliases))
    }
}

fn fields(templates: &[BoundTemplate], id: &str) -> Option<BTreeMap<String, String>> {
    let fields: Fields = templates.iter().find_map(|template| template.parse(id))?;
    let owned = fields
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(owned.collect())
}

fn build(templates: &[BoundTemplate], values: &[(&str, &str)]) -> Result<String, BuildError> {
    let mut first_error = None;
    for template in templates {
        match template.build(values) {
            Ok(id) => return Ok(id),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let name = values.first().map_or("", |(name, _)| *name);
    Err(first_error.unwrap_or_else(|| BuildError::Unknown(name.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).expect("a user")
    }

    fn namespaces(users: &[&str], owned: &[&str]) -> Namespaces {
        let template = |text: &&str| NamespaceTemplate::users(text).expect("a template");
        let plan = NamespacePlan {
            users: users.iter().map(template).collect(),
            ..NamespacePlan::default()
        };
        let owned: Vec<String> = owned.iter().map(|pattern| (*pattern).to_owned()).collect();
        plan.at("x", &owned).expect("they make sense")
    }

    #[test]
    fn the_first_template_that_fits_says_whose_it_is() {
        let both = namespaces(&["_irc_{network}_{nick}", "_mail_{address}"], &[]);
        let nick = both
            .user(&[("network", "libera"), ("nick", "Ann")])
            .expect("a user");
        let mail = both.user(&[("address", "ann")]).expect("a user");
        assert_eq!(mail, "@_mail_ann:x");
        let fields = both.user_fields(&nick).expect("a ghost");
        assert_eq!((&*fields["network"], &*fields["nick"]), ("libera", "Ann"));
        assert_eq!(both.user_fields(&mail).expect("a ghost")["address"], "ann");
        assert_eq!(both.single_user_field(), Some("address"));
        assert!(both.user(&[("other", "a")]).is_err());
        assert!(both.user(&[("address", &"a".repeat(300))]).is_err());
    }

    #[test]
    fn ours_are_the_templates_and_what_the_registration_owns_here() {
        let ours = namespaces(&["_new_{name}"], &["(?=broken)", "@_old_.*:x", "@exact:x$"]);
        for (id, is_ours) in [
            ("@_new_ann:x", true),
            ("@_old_ann:x", true),
            ("@exact:x", true),
            ("@_new_ann:y", false),
            ("@_old_ann:y", false),
            ("@ann:x", false),
            ("@a@_old_ann:x", false),
        ] {
            assert_eq!(ours.owns_user(&user(id)), is_ours, "{id}");
        }
    }
}
