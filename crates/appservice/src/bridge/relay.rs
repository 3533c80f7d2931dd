//! One voice for many: a relay speaks on the network for people of Matrix without an account there, and the bot or
//! one ghost may speak in Matrix for all of the network.
//!
//! Who has said it stands in the message then, as a [`Template`] has it, or in a profile of that one message
//! (MSC4144).

use super::{
    Network, Speaker, UserInfo, ghosts,
    network::{Doing, Undone},
    portal::Portal,
};
use crate::{
    Content, Error,
    format::{
        Inline, Rich, Style,
        content::{Avatar, Kind, Profile},
        one_line,
    },
    id::UserId,
};

/// How a message says who has said it: a text with `{name}`, `{user}`, `{localpart}` and, at the end, `{message}`;
/// what stands between `**` is bold.
///
/// ```
/// use bridgehead_appservice::bridge::Template;
///
/// assert!(Template::parse("<**{name}**> {message}").is_ok());
/// assert!(Template::parse("{name} says").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String, bool),
    Name(bool),
    User(bool),
    Localpart(bool),
}

/// Why a text is no template. Displays as a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// It does not end with the message.
    #[error(
        "`{0}` does not end with `{{message}}`: the message has to be in it, and nothing can follow it"
    )]
    NoMessage(String),
    /// It has a field that there is not.
    #[error(
        "`{{{0}}}` is no field of a relay's template: there are `name`, `user`, `localpart`, `message`"
    )]
    NoField(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When the message is not at its end, or a field is none.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let head = text
            .strip_suffix("{message}")
            .ok_or_else(|| BadTemplate::NoMessage(text.to_owned()))?;
        let mut pieces = Vec::new();
        for (index, span) in head.split("**").enumerate() {
            pieces.extend(span_pieces(span, index % 2 == 1)?);
        }
        Ok(Self { pieces })
    }

    /// What stands before the message.
    fn head(&self, name: &str, user: &str, localpart: &str) -> Vec<Inline> {
        // A name of several lines would pass for several people.
        let (name, user, localpart) = (one_line(name), one_line(user), one_line(localpart));
        let piece = |piece: &Piece| {
            let (text, bold) = match piece {
                Piece::Text(text, bold) => (text, *bold),
                Piece::Name(bold) => (&name, *bold),
                Piece::User(bold) => (&user, *bold),
                Piece::Localpart(bold) => (&localpart, *bold),
            };
            let style = if bold {
                Style::bold()
            } else {
                Style::default()
            };
            Inline::text(text, style)
        };
        self.pieces.iter().map(piece).collect()
    }
}

fn span_pieces(span: &str, bold: bool) -> Result<Vec<Piece>, BadTemplate> {
    let mut pieces = Vec::new();
    let mut rest = span;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned(), bold));
        }
        let (field, behind) = after
            .split_once('}')
            .ok_or_else(|| BadTemplate::NoField(after.to_owned()))?;
        pieces.push(match field {
            "name" => Piece::Name(bold),
            "user" => Piece::User(bold),
            "localpart" => Piece::Localpart(bold),
            other => return Err(BadTemplate::NoField(other.to_owned())),
        });
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned(), bold));
    }
    Ok(pieces)
}

/// The relay: how people of Matrix without an account on the network are spoken for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it is given to `Bridge::relay`"]
pub struct Relay {
    said: Template,
    done: Template,
}

impl Default for Relay {
    /// `<name> message`, and `* name message` for what somebody does.
    fn default() -> Self {
        let read = |text| Template::parse(text).expect("a template");
        Self {
            said: read("<{name}> {message}"),
            done: read("* {name} {message}"),
        }
    }
}

impl Relay {
    /// A relay that writes like this.
    pub fn new(said: Template) -> Self {
        Self {
            said,
            ..Self::default()
        }
    }

    /// The same, with another way to write what somebody does (`/me …`).
    pub fn emotes(mut self, done: Template) -> Self {
        self.done = done;
        self
    }

    /// The content as the relay says it. Media get the name as their caption's beginning.
    pub(crate) fn relayed(&self, content: &Content, speaker: &Speaker) -> Content {
        let profile = speaker
            .profile
            .as_ref()
            .and_then(|profile| profile.name.as_deref());
        let name = profile.unwrap_or(&speaker.name);
        let user = &speaker.user_id;
        let is_emote = content.kind() == Some(Kind::Emote);
        let template = if is_emote { &self.done } else { &self.said };
        let head = template.head(name, user.as_str(), user.localpart());
        prefixed(content, head)
    }
}

/// The content with something before its text; an emote becomes a text. What has no text is told in words.
fn prefixed(content: &Content, head: Vec<Inline>) -> Content {
    let rich = match content.kind() {
        Some(_) => content.rich(),
        None => None,
    };
    if let Some(rich) = rich {
        let kind = match content.kind() {
            Some(Kind::Notice) => Kind::Notice,
            _ => Kind::Text,
        };
        return Content::message(kind, &rich.prefixed(head));
    }
    if let Some(mut media) = content.media() {
        let caption = media.caption.take().unwrap_or_default();
        media.caption = Some(caption.prefixed(head));
        return Content::media_message(&media);
    }
    let words = content.describe().unwrap_or_default();
    Content::message(Kind::Text, &Rich::plain(&words).prefixed(head))
}

/// Who speaks in Matrix for the network's users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Voice {
    /// Each has a ghost of their own.
    #[default]
    Ghosts,
    /// The service's own user speaks for all.
    Bot(VoiceStyle),
    /// One ghost, the one with this localpart, speaks for all.
    One(String, VoiceStyle),
}

/// How one account says for whom it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceStyle {
    /// Each message has the profile of who has said it (MSC4144): clients that know it show that in the place of the
    /// account's, and others the name before the text.
    pub profiles: bool,
    /// How the name is written into the message where it has no profile.
    pub template: Template,
}

impl Default for VoiceStyle {
    /// With profiles.
    fn default() -> Self {
        Self {
            profiles: true,
            template: Relay::default().said,
        }
    }
}

impl Voice {
    pub(crate) fn has_ghosts(&self) -> bool {
        matches!(self, Self::Ghosts)
    }
}

/// Who says a message of the network, and how.
pub(crate) struct Saying<'a> {
    pub(crate) user: UserId,
    /// It is the person of Matrix whom the user of the network is.
    pub(crate) is_person: bool,
    style: Option<(&'a VoiceStyle, Spoken)>,
}

/// For whom is spoken.
struct Spoken {
    id: String,
    info: UserInfo,
}

impl Saying<'_> {
    /// The content as it is said.
    pub(crate) fn say(&self, content: Content) -> Content {
        let Some((style, spoken)) = &self.style else {
            return content;
        };
        // A reaction has no words, and nothing to show a name beside.
        if content.reaction().is_some() {
            return content;
        }
        let name = spoken.info.name.as_deref().unwrap_or(&spoken.id);
        if style.profiles {
            let profile = Profile {
                id: spoken.id.clone(),
                name: Some(name.to_owned()),
                avatar: match &spoken.info.avatar {
                    Some(uri) => Avatar::Picture(uri.clone()),
                    None => Avatar::Blank,
                },
            };
            return content.with_profile(&profile, true);
        }
        let reply = content.replies_to();
        let head = style.template.head(name, &spoken.id, &spoken.id);
        let said = prefixed(&content, head);
        match reply {
            Some(event) => said.in_reply_to(&event, None),
            None => said,
        }
    }
}

/// Who says in a portal what this user of the network has said.
pub(crate) async fn voice<'a, N: Network>(
    doing: &Doing<'a, N>,
    portal: &Portal<N>,
    sender: &N::User,
) -> Result<Saying<'a>, Undone> {
    if let Some(person) = doing.live.network().person_of(sender).await
        && doing.core.client.puppets().has(&person)
    {
        return Ok(Saying {
            user: person,
            is_person: true,
            style: None,
        });
    }
    voice_of_network(doing, portal, sender).await
}

/// The same, if it is to be one of the service's own users.
pub(crate) async fn voice_of_network<'a, N: Network>(
    doing: &Doing<'a, N>,
    portal: &Portal<N>,
    sender: &N::User,
) -> Result<Saying<'a>, Undone> {
    match &doing.live.plan.voice {
        Voice::Ghosts => Ok(Saying {
            user: ghosts::ensure(doing.live, doing.core, sender).await?,
            is_person: false,
            style: None,
        }),
        Voice::Bot(style) => {
            let user = portal.agent(doing.core);
            spoken_for(doing, user, style, sender).await
        }
        Voice::One(localpart, style) => {
            let user = UserId::new(localpart, &doing.core.server_name).map_err(Error::from)?;
            spoken_for(doing, user, style, sender).await
        }
    }
}

async fn spoken_for<'a, N: Network>(
    doing: &Doing<'a, N>,
    user: UserId,
    style: &'a VoiceStyle,
    sender: &N::User,
) -> Result<Saying<'a>, Undone> {
    let info = ghosts::known(doing.live, doing.core, sender).await?;
    let id = super::RemoteId::to_text(sender);
    Ok(Saying {
        user,
        is_person: false,
        style: Some((style, Spoken { id, info })),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::EventId;

    fn speaker(name: &str) -> Speaker {
        Speaker {
            user_id: UserId::parse("@alice:example.org").expect("an id"),
            name: name.to_owned(),
            avatar: None,
            has_account: false,
            profile: None,
        }
    }

    #[test]
    fn the_relay_says_who_has_said_it() {
        let relay = Relay::new(Template::parse("**{name}** ({user}): {message}").expect("one"));
        let check = |content: Content, text: &str, html: Option<&str>| {
            let said = relay.relayed(&content, &speaker("A<lice")).to_json();
            assert_eq!(said["body"], text);
            let formatted = said.get("formatted_body").and_then(|html| html.as_str());
            if let Some(html) = html {
                assert!(
                    formatted.is_some_and(|said| said.contains(html)),
                    "{formatted:?}"
                );
            }
        };
        check(
            Content::from("hi"),
            "A<lice (@alice:example.org): hi",
            Some("<strong>A&lt;lice</strong> (@alice"),
        );
        check(Content::plain(Kind::Emote, "waves"), "* A<lice waves", None);
        let poll = Content::new(
            "m.poll.start",
            json!({ "m.poll": { "question": { "m.text": [{ "body": "Tea?" }] } } }),
        );
        check(poll, "A<lice (@alice:example.org): [poll: Tea?]", None);
    }

    #[test]
    fn a_message_with_a_profile_is_relayed_under_that_name() {
        let mut speaker = speaker("Relay of another bridge");
        speaker.profile = Some(Profile {
            id: "bob".to_owned(),
            name: Some("Bob".to_owned()),
            avatar: Avatar::Blank,
        });
        let said = Relay::default().relayed(&Content::from("hi"), &speaker);
        assert_eq!(said.text(), Some("<Bob> hi"));
    }

    #[test]
    fn media_keep_the_file_and_get_the_name() {
        let image = Content::new(
            "m.room.message",
            json!({ "msgtype": "m.image", "body": "cat.png", "url": "mxc://x/y" }),
        );
        let said = Relay::default().relayed(&image, &speaker("Alice"));
        let media = said.media().expect("still an image");
        assert_eq!(
            (media.name.as_str(), media.uri.as_str()),
            ("cat.png", "mxc://x/y")
        );
        let caption = media.caption.expect("the name").to_plain();
        assert_eq!(caption.trim(), "<Alice>");
    }

    #[test]
    fn one_voice_for_many_writes_profiles_or_names() {
        let spoken = || Spoken {
            id: "libera/bob".to_owned(),
            info: UserInfo::named("Bob"),
        };
        let user = UserId::parse("@bot:x").expect("an id");
        let with = VoiceStyle::default();
        let saying = Saying {
            user: user.clone(),
            is_person: false,
            style: Some((&with, spoken())),
        };
        let profile = saying
            .say(Content::from("hi"))
            .profile()
            .expect("a profile");
        assert_eq!(
            (profile.id.as_str(), profile.name.as_deref()),
            ("libera/bob", Some("Bob"))
        );
        let without = VoiceStyle {
            profiles: false,
            ..VoiceStyle::default()
        };
        let saying = Saying {
            user,
            is_person: false,
            style: Some((&without, spoken())),
        };
        let answered = EventId::parse("$a").expect("an id");
        let answer = Content::from("hi").in_reply_to(&answered, None);
        let said = saying.say(answer);
        assert_eq!(
            (said.text(), said.replies_to()),
            (Some("<Bob> hi"), Some(answered))
        );
    }

    #[test]
    fn what_is_no_template_is_told() {
        for (text, said) in [
            ("{name}", "does not end with `{message}`"),
            ("{message} {name}", "does not end with `{message}`"),
            ("{nick}: {message}", "`{nick}` is no field"),
            ("{name: {message}", "is no field"),
        ] {
            let error = Template::parse(text).expect_err("no template").to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
