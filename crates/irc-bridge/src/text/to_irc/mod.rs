//! Matrix content as what is said on IRC.
//!
//! [`to_irc`] gives a [`Said`]: how it is said and the text as a tree, with the words that stand for a reply, a thread, media
//! or a poll in it already. [`Said::plan`] cuts it into lines, or says what of it goes to a page. [`edit`], [`reaction()`],
//! [`deletion`] and [`poll`] say what is no message.
//!
//! Who is answered is read from the relations of the content, which the kit does, and never from its text.

mod edit;
mod media;
mod plan;
pub mod poll;
mod quote;
mod reaction;
mod reply;
mod said;
pub mod thread;
mod write;

#[cfg(test)]
mod tests;

use bridgehead_appservice::{
    format::{
        Inline, Piece, Rich, Target,
        content::{Content, Kind, Media},
    },
    id::UserId,
};

pub use self::{
    edit::edit,
    plan::{Limits, Page, PageKind, Paste, Plan},
    reaction::{Others, deletion, reaction, reacts},
    reply::{Reply, ReplyRules},
    said::{Said, Speaker, Verb},
    write::Style,
};
use self::{quote::one_line, thread::Thread};

/// What is known around a message.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// How texts look in this room.
    pub style: Style,
    /// What a user is called on IRC at the moment: the nick of a person's own client, or of whom a ghost stands for.
    pub nick_of: &'a dyn Fn(&UserId) -> Option<String>,
    /// A link to media that anybody may open; none where there is none to be had.
    pub link_of: &'a dyn Fn(&Media) -> Option<String>,
    /// Who is named before each line, because another client speaks for them.
    pub speaker: Option<Speaker<'a>>,
    /// What it answers, if it is a reply ([`Content::replies_to`]).
    pub reply: Option<Reply<'a>>,
    /// The thread that it is in ([`Content::thread_root`]).
    pub thread: Option<Thread<'a>>,
}

/// What a message is on IRC. `None` where there is nothing to be said, as of reactions.
#[must_use]
pub fn to_irc(content: &Content, around: &Around<'_>) -> Option<Said> {
    let kind = content.kind().unwrap_or(Kind::Text);
    let mut text = words(content, around)?;
    if let Some(reply) = &around.reply {
        text = reply.before(text, kind);
    }
    if let Some(thread) = &around.thread {
        text = thread.before(text);
    }
    Said::new(kind, text, around)
}

/// The words of a content as they are on IRC: names are nicks, and what is no text is told.
fn words(content: &Content, around: &Around<'_>) -> Option<Rich> {
    let newest = content.new_content();
    let content = newest.as_ref().unwrap_or(content);
    let said = match (content.media(), content.kind()) {
        (Some(media), _) => Some(media::told(&media, around)),
        (None, Some(_)) => content.rich(),
        (None, None) => told(content),
    }?;
    let said = said.map_inlines(&mut |inline| vec![named(inline, around)]);
    (!said.is_empty()).then_some(said)
}

/// What is neither text nor media.
fn told(content: &Content) -> Option<Rich> {
    // Programs among themselves, with a body for those that are too old for it.
    if content
        .msgtype()
        .is_some_and(|msgtype| msgtype.starts_with("m.key."))
    {
        return None;
    }
    let words = poll::ended(content).or_else(|| content.describe());
    // Media without an address, and message types that come after this was written.
    let words = words.or_else(|| content.msgtype().and_then(|_| content.text()).map(one_line))?;
    Some(Rich::plain(&words))
}

/// Somebody's nick in the place of their name, and words in the place of a picture.
fn named(inline: &Inline, around: &Around<'_>) -> Inline {
    let words = match &inline.piece {
        Piece::Mention(mention) => match &mention.target {
            Target::User(user_id) => {
                (around.nick_of)(user_id).unwrap_or_else(|| mention.name.clone())
            }
            Target::Room { .. } | Target::Alias(_) | Target::Everyone => mention.name.clone(),
        },
        Piece::Image(image) if image.alt.is_empty() => "[picture]".to_owned(),
        Piece::Image(image) => image.alt.clone(),
        Piece::Text(_) | Piece::Break => return inline.clone(),
    };
    Inline::text(words, inline.style.clone())
}
