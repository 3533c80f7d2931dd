//! Per-message profiles (MSC4144): one account speaks for many people.

use serde_json::{Map, Value};

use super::Content;
use crate::{
    format::{Rich, html::Omit, tidy},
    id::MxcUri,
};

/// The key in use until the MSC is accepted, which is the only one that may be written.
const UNSTABLE: &str = "com.beeper.per_message_profile";

/// The key that the MSC will have.
const STABLE: &str = "m.per_message_profile";

/// Who is shown as the sender of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Who it is: messages of one account with one id belong together. At most 255 bytes; best the remote's own id.
    pub id: String,
    /// The name that is shown; the account's if none. At most 255 bytes.
    pub name: Option<String>,
    /// The picture that is shown.
    pub avatar: Avatar,
}

/// The picture of a [`Profile`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Avatar {
    /// The account's.
    #[default]
    OfAccount,
    /// None: clients draw one of the name.
    Blank,
    /// This one.
    Picture(MxcUri),
}

impl Avatar {
    fn read(uri: Option<&str>) -> Self {
        match uri {
            Some("") => Self::Blank,
            Some(uri) => MxcUri::parse(uri).map_or(Self::OfAccount, Self::Picture),
            None => Self::OfAccount,
        }
    }

    fn as_str(&self) -> Option<&str> {
        match self {
            Self::OfAccount => None,
            Self::Blank => Some(""),
            Self::Picture(uri) => Some(uri.as_str()),
        }
    }
}

impl Content {
    /// Shows a profile in the place of the sender's. With `fallback`, and if the profile has a name, the text begins with it for
    /// clients that know no such profiles. Call it last, but before [`Content::as_edit_of`].
    #[must_use]
    pub fn with_profile(mut self, profile: &Profile, fallback: bool) -> Self {
        let name = profile
            .name
            .as_deref()
            .map(tidy::one_line)
            .filter(|name| !name.is_empty());
        let mut fields = Map::new();
        fields.insert("id".to_owned(), tidy::one_line(&profile.id).into());
        if let Some(name) = &name {
            fields.insert("displayname".to_owned(), name.as_str().into());
        }
        if let Some(avatar) = profile.avatar.as_str() {
            fields.insert("avatar_url".to_owned(), avatar.into());
        }
        if let Some(name) = name.filter(|_| fallback && self.text().is_some()) {
            fields.insert("has_fallback".to_owned(), true.into());
            self.write_fallback(&name);
        }
        self.set(UNSTABLE, fields);
        self
    }

    fn write_fallback(&mut self, name: &str) {
        let body = self.text().unwrap_or_default().to_owned();
        if self.media_kind().is_some() && self.string("filename").is_none() {
            self.set("filename", body.as_str());
        }
        self.set("body", format!("{name}: {body}"));
        if let Some(html) = self.string("formatted_body") {
            let name = Rich::plain(name).to_html();
            let html = format!("<strong data-mx-profile-fallback>{name}: </strong>{html}");
            self.set("formatted_body", html);
        }
    }

    fn profile_fields(&self) -> Option<&Map<String, Value>> {
        [STABLE, UNSTABLE]
            .iter()
            .find_map(|key| self.fields.get(*key)?.as_object())
    }

    /// The profile that is shown in the place of the sender's; of an edit the new one.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        if let Some(new_content) = self.new_content() {
            return new_content.profile();
        }
        let fields = self.profile_fields()?;
        let string = |name: &str| fields.get(name).and_then(Value::as_str);
        let id = string("id").filter(|id| !id.is_empty())?;
        let name = string("displayname").map(tidy::one_line);
        Some(Profile {
            id: tidy::one_line(id),
            name: name.filter(|name| !name.is_empty()),
            avatar: Avatar::read(string("avatar_url")),
        })
    }

    /// The name that stands before the text.
    fn fallback_name(&self) -> Option<&str> {
        let fields = self.profile_fields()?;
        (fields.get("has_fallback") == Some(&Value::Bool(true))).then_some(())?;
        fields
            .get("displayname")?
            .as_str()
            .filter(|name| !name.is_empty())
    }

    pub(super) fn omitted(&self) -> Omit {
        match self.fallback_name() {
            Some(_) => Omit::ReplyAndProfileFallback,
            None => Omit::ReplyFallback,
        }
    }

    pub(super) fn without_profile_fallback<'a>(&self, body: &'a str) -> &'a str {
        let rest = self
            .fallback_name()
            .and_then(|name| body.strip_prefix(name)?.strip_prefix(": "));
        rest.unwrap_or(body)
    }
}
