//! Namespace templates: one string such as `@_irc_{network}_{nick}` gives the pattern of a namespace, builds its ids
//! and takes them apart again.
//!
//! A value may be any text. What an id cannot hold, and what would be taken for the end of the value, is escaped
//! (see [`codec`]), so that building and parsing are exact inverses: different values give different ids, and an id
//! that [`BoundTemplate::build`] would not have written belongs to nobody.

mod codec;
mod read;
#[cfg(test)]
mod tests;

use std::{fmt, ops::Index, str::FromStr};

use self::codec::Codec;
use crate::{Namespace, NamespaceKind, namespace::escaped};

/// No id is longer, sigil and server name included (specification, appendices).
const MAX_ID_BYTES: usize = 255;

/// A namespace of user ids or room aliases, written as one string with fields in braces.
///
/// - `@_irc_{network}_{nick}` or `_irc_{network}_{nick}`: user ids, [`NamespaceTemplate::users`];
/// - `#logged_{topic}` or `logged_{topic}`: room aliases, [`NamespaceTemplate::aliases`];
/// - `.{network}.{nick}`: any separator will do, but there must be one between two fields.
///
/// The server name is no part of it: [`at`](Self::at) puts it in.
///
/// ```
/// # use bridgehead_registration::NamespaceTemplate;
/// let ghosts = NamespaceTemplate::users("_irc_{network}_{nick}")?.at("example.org")?;
/// let id = ghosts.build(&[("network", "libera"), ("nick", "Ann[m]")])?;
/// assert_eq!(id, "@_irc_libera__ann=5bm=5d:example.org");
///
/// let fields = ghosts.parse(&id).expect("it is one of ours");
/// assert_eq!(&fields["nick"], "Ann[m]");
/// assert!(ghosts.parse("@alice:example.org").is_none());
/// assert!(ghosts.namespace(true).matches(&id));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceTemplate {
    kind: NamespaceKind,
    text: String,
    /// What stands before the first field, without the sigil.
    head: String,
    /// At least one.
    fields: Vec<Field>,
}

/// A field and the literal text after it, which is empty for the last field at most.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    codec: Codec,
    tail: String,
}

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the template `{template}` {fault}")]
pub struct TemplateError {
    /// The template as written.
    pub template: String,
    /// What is wrong with it.
    pub fault: TemplateFault,
}

/// What is wrong with a template. Displays as the end of a sentence, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// It has no field, so that it names one id only.
    #[error("has no field; write one in braces, such as `_echo_{{name}}`")]
    NoField,
    /// A brace that opens or closes nothing.
    #[error("has a brace without its partner; braces stand around a field's name only")]
    Brace,
    /// What stands in braces is no name.
    #[error(
        "has a field `{{{0}}}`; a field's name is made of a-z, 0-9 and _, and begins with a letter"
    )]
    FieldName(String),
    /// Two fields have one name.
    #[error("has the field `{{{0}}}` twice")]
    Repeated(String),
    /// Nothing tells where one field ends and the next begins.
    #[error(
        "has nothing between `{{{first}}}` and `{{{second}}}`; put a separator there, such as `_`"
    )]
    NoSeparator {
        /// The field that does not end.
        first: String,
        /// The field that does not begin.
        second: String,
    },
    /// The separator looks like an escape.
    #[error(
        "has `{separator}` right after `{{{field}}}`, which begins an escaped character; choose another separator"
    )]
    EscapeAsSeparator {
        /// The field before it.
        field: String,
        /// `=` in user ids, `%` in aliases.
        separator: char,
    },
    /// A character that cannot be in a user's localpart.
    #[error(
        "has a `{0}` outside of its fields, which user ids cannot have; use a-z, 0-9 and ._=/+-"
    )]
    UserCharacter(char),
    /// A character that cannot be in a room alias.
    #[error("has a {0:?} outside of its fields, which room aliases cannot have")]
    AliasCharacter(char),
    /// It names a server.
    #[error("names a server; write only the part before the `:`")]
    ServerName,
    /// It begins with the sigil of another kind of id.
    #[error("begins with `{found}`, but {kind} begin with `{expected}`", kind = wanted.key(), expected = wanted.sigil())]
    Sigil {
        /// What it begins with.
        found: char,
        /// What it is a template of.
        wanted: NamespaceKind,
    },
    /// Not even the shortest values would fit.
    #[error("leaves no room for values: an id has at most 255 bytes with its server name")]
    TooLong,
    /// The server name that it was bound to is none.
    #[error("cannot be used on the server `{0}`, which is no server name")]
    NotAServer(String),
}

/// Why an id cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A field of the template has no value.
    #[error("the field `{0}` has no value")]
    Missing(String),
    /// A value is for no field of the template, or for one that has a value already.
    #[error("there is a value for `{0}`, but no such field is left")]
    Unknown(String),
    /// A value is empty.
    #[error("the value of the field `{0}` is empty")]
    Empty(String),
    /// The id would be longer than ids may be.
    #[error(
        "the id would have {bytes} bytes, sigil and server name included, but may have 255; shorten a value (what is escaped counts two or three bytes)"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl NamespaceTemplate {
    /// A template of user ids, with or without the `@`.
    ///
    /// # Errors
    /// When it is no sound template; the message says what to write.
    pub fn users(text: &str) -> Result<Self, TemplateError> {
        read::template(text, NamespaceKind::Users)
    }

    /// A template of room aliases, with or without the `#`.
    ///
    /// # Errors
    /// When it is no sound template; the message says what to write.
    pub fn aliases(text: &str) -> Result<Self, TemplateError> {
        read::template(text, NamespaceKind::Aliases)
    }

    /// Users or aliases.
    #[must_use]
    pub fn kind(&self) -> NamespaceKind {
        self.kind
    }

    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the fields, in their order.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// The template for ids of this server.
    ///
    /// # Errors
    /// [`TemplateFault::NotAServer`], and [`TemplateFault::TooLong`] where nothing would fit beside the server's name.
    pub fn at(&self, server_name: &str) -> Result<BoundTemplate, TemplateError> {
        let refused = |fault| TemplateError {
            template: self.text.clone(),
            fault,
        };
        if !is_server_name(server_name) {
            return Err(refused(TemplateFault::NotAServer(server_name.to_owned())));
        }
        let literals = self.fields.iter().map(|field| field.tail.len() + 1);
        if 2 + self.head.len() + literals.sum::<usize>() + server_name.len() > MAX_ID_BYTES {
            return Err(refused(TemplateFault::TooLong));
        }
        Ok(BoundTemplate {
            regex: self.regex(server_name),
            template: self.clone(),
            server_name: server_name.to_owned(),
        })
    }

    fn regex(&self, server_name: &str) -> String {
        let mut regex = String::from(self.kind.sigil());
        regex.push_str(&escaped(&self.head));
        for field in &self.fields {
            regex.push_str(&field.codec.regex());
            regex.push_str(&escaped(&field.tail));
        }
        regex.push(':');
        regex.push_str(&escaped(server_name));
        regex
    }
}

/// Guesses the kind from the first character: `#` makes a template of aliases, all else one of users.
impl FromStr for NamespaceTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.starts_with(NamespaceKind::Aliases.sigil()) {
            Self::aliases(text)
        } else {
            Self::users(text)
        }
    }
}

impl fmt::Display for NamespaceTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// As the grammar has it (specification, appendices, "Server name"), without counting the parts of addresses.
fn is_server_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    !text.is_empty() && !text.starts_with(':') && text.bytes().all(allowed)
}

/// A [`NamespaceTemplate`] on one server: builds whole ids and takes them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundTemplate {
    template: NamespaceTemplate,
    server_name: String,
    regex: String,
}

impl BoundTemplate {
    /// The template without its server.
    #[must_use]
    pub fn template(&self) -> &NamespaceTemplate {
        &self.template
    }

    /// The server that the ids are of.
    #[must_use]
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// The pattern for a registration. It matches each id that can be built. Servers match from the id's start, so it
    /// has no anchors; Python's syntax and that of others read it alike.
    #[must_use]
    pub fn regex(&self) -> &str {
        &self.regex
    }

    /// The entry for a registration.
    #[must_use]
    pub fn namespace(&self, exclusive: bool) -> Namespace {
        Namespace {
            regex: self.regex.clone(),
            exclusive,
        }
    }

    /// The id with these values, given as pairs of field and value in any order. Values may be any text but the empty
    /// one.
    ///
    /// # Errors
    /// When fields and values are not the same set, a value is empty, or the id would be too long.
    pub fn build(&self, values: &[(&str, &str)]) -> Result<String, BuildError> {
        let template = &self.template;
        let mut id = String::from(template.kind.sigil());
        id.push_str(&template.head);
        for field in &template.fields {
            let value = values
                .iter()
                .find(|(name, _)| *name == field.name)
                .ok_or_else(|| BuildError::Missing(field.name.clone()))?
                .1;
            if value.is_empty() {
                return Err(BuildError::Empty(field.name.clone()));
            }
            field.codec.encode(value, &mut id);
            id.push_str(&field.tail);
        }
        self.refuse_leftover(values)?;
        id.push(':');
        id.push_str(&self.server_name);
        if id.len() > MAX_ID_BYTES {
            return Err(BuildError::TooLong { bytes: id.len() });
        }
        Ok(id)
    }

    fn refuse_leftover(&self, values: &[(&str, &str)]) -> Result<(), BuildError> {
        for (place, (name, _)) in values.iter().enumerate() {
            let is_field = self.template.field_names().any(|field| field == *name);
            let is_first = values[..place].iter().all(|(earlier, _)| earlier != name);
            if !is_field || !is_first {
                return Err(BuildError::Unknown((*name).to_owned()));
            }
        }
        Ok(())
    }

    /// The values that the id was built from; `None` for an id that [`build`](Self::build) does not give.
    #[must_use]
    pub fn parse(&self, id: &str) -> Option<Fields> {
        if id.len() > MAX_ID_BYTES {
            return None;
        }
        let template = &self.template;
        let (localpart, server_name) = id.strip_prefix(template.kind.sigil())?.split_once(':')?;
        if server_name != self.server_name {
            return None;
        }
        let mut rest = localpart.strip_prefix(template.head.as_str())?;
        let mut fields = Vec::with_capacity(template.fields.len());
        for field in &template.fields {
            let (value, after) = field.codec.decode(rest)?;
            rest = after.strip_prefix(field.tail.as_str())?;
            fields.push((field.name.clone(), value));
        }
        rest.is_empty().then_some(Fields(fields))
    }
}

/// The values in an id, in the template's order. `fields["nick"]` is a field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// A field's value; `None` if the template has no such field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    /// Field and value, in the template's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(field, value)| (field.as_str(), value.as_str()))
    }
}

/// # Panics
/// If the template has no such field: a slip in the program, since the template is part of it.
impl Index<&str> for Fields {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        self.get(name)
            .unwrap_or_else(|| panic!("the template has no field `{name}`"))
    }
}
