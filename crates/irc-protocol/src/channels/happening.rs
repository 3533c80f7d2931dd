//! What lines mean to those who look on.
//!
//! Texts are bytes as they came: their encoding is the channel's affair. A channel's name is written as when it was
//! entered, however the line writes it. A [`Source`] holds user and host where the line says them or they were known before.

use super::{ListEntry, Member, Place, Said, Typing};
use crate::{ModeChange, Source};

/// What one line means to those who look on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// This connection is in the channel now. Topic and names follow.
    Entered {
        /// Where.
        channel: String,
    },
    /// This connection is out of the channel now, and knows no more of it.
    Expelled {
        /// Where.
        channel: String,
        /// Who did it; nobody where it left by itself, or a server made it leave as if it had (`SAPART`).
        by: Option<Source>,
        /// What was said to it.
        reason: Option<Vec<u8>>,
        /// Whether it was kicked.
        is_kick: bool,
    },
    /// Somebody came in.
    Joined {
        /// Where.
        channel: String,
        /// Who.
        who: Source,
        /// The account that they are logged in to, where it is said (extended-join, account-tag).
        account: Option<String>,
        /// What they call themselves, where it is said (extended-join).
        realname: Option<String>,
        /// Whether they are back because two servers have found each other again (a batch `netjoin`).
        is_netjoin: bool,
    },
    /// Somebody left.
    Parted {
        /// Where.
        channel: String,
        /// Who.
        who: Source,
        /// What they said.
        reason: Option<Vec<u8>>,
    },
    /// Somebody is no longer on the network.
    Quit {
        /// Who.
        who: Source,
        /// Where they were seen. They are no longer members there.
        channels: Vec<String>,
        /// What they said, or why their connection ended.
        reason: Vec<u8>,
        /// The two servers, where it is a netsplit; their names are empty where only the batch says so.
        split: Option<(String, String)>,
    },
    /// Somebody was thrown out. This connection itself: [`Expelled`](Self::Expelled).
    Kicked {
        /// Where.
        channel: String,
        /// Who was.
        who: String,
        /// Who did it.
        by: Source,
        /// What they said.
        reason: Option<Vec<u8>>,
    },
    /// Somebody has another nick, or writes it in another case.
    Nick {
        /// Who, with the nick until now.
        from: Source,
        /// The nick from now on.
        to: String,
        /// Where they are seen.
        channels: Vec<String>,
    },
    /// The topic, changed or told.
    Topic {
        /// Where.
        channel: String,
        /// Who set it, where it is known.
        by: Option<Source>,
        /// The topic; empty for none.
        topic: Vec<u8>,
        /// When it was set, in seconds since the epoch, where it was told rather than changed just now.
        set_at_s: Option<u64>,
    },
    /// Modes were changed.
    Modes {
        /// Where.
        channel: String,
        /// Who did it.
        by: Option<Source>,
        /// The single changes, in their order. Members' standings and the lists are already as they say.
        changes: Vec<ModeChange>,
    },
    /// All members, told whole (366).
    Names {
        /// Where.
        channel: String,
        /// They and what they may do.
        members: Vec<Member>,
    },
    /// Users, hosts and accounts of the members were told (315, after `WHO`).
    Who {
        /// Where.
        channel: String,
        /// They and what they may do.
        members: Vec<Member>,
    },
    /// The modes as they are (324), without lists and members' standings.
    ModesAre {
        /// Where.
        channel: String,
        /// All that are set.
        changes: Vec<ModeChange>,
    },
    /// A list of masks, told whole.
    ListIs {
        /// Where.
        channel: String,
        /// The list's mode: `b` bans, `e` exceptions, `I` invites, `q` quiets; as this server names them.
        mode: char,
        /// All of them.
        entries: Vec<ListEntry>,
        /// Whether there were more than are kept, so that some are missing here.
        is_cut: bool,
    },
    /// When the channel was made (329).
    Created {
        /// Which.
        channel: String,
        /// Seconds since the epoch.
        at_s: u64,
    },
    /// The channel's address on the web (328).
    Url {
        /// Which.
        channel: String,
        /// The address.
        url: String,
    },
    /// Something was said.
    Said(Box<Said>),
    /// Somebody reacts to a message, or takes that back (`+draft/react`, `+draft/unreact`).
    Reacted {
        /// Where.
        place: Place,
        /// Who.
        who: Source,
        /// The msgid of what they react to.
        to: String,
        /// An emoji, or any short text.
        reaction: String,
        /// Whether it is taken back.
        is_undone: bool,
    },
    /// Somebody is writing, or no longer (`+typing`).
    Typing {
        /// Where.
        place: Place,
        /// Who.
        who: Source,
        /// What they do.
        state: Typing,
    },
    /// A message was taken back (draft/message-redaction).
    Redacted {
        /// Where.
        place: Place,
        /// Who did it.
        who: Source,
        /// The msgid of what is taken back.
        target: String,
        /// Why.
        reason: Option<Vec<u8>>,
    },
    /// Somebody was invited.
    Invited {
        /// Where to.
        channel: String,
        /// Who invites.
        by: Source,
        /// Who is invited: this connection itself, or somebody else (invite-notify).
        whom: String,
    },
    /// Somebody asks to be let in (710).
    Knocked {
        /// Where.
        channel: String,
        /// Who.
        who: Source,
    },
    /// Somebody is away, or back (away-notify).
    Away {
        /// Who.
        who: Source,
        /// What they left behind; `None` for back.
        reason: Option<Vec<u8>>,
    },
    /// Somebody logged in or out (account-notify).
    Account {
        /// Who.
        who: Source,
        /// The account; `None` for logged out.
        account: Option<String>,
    },
    /// Somebody has another user name and host (chghost).
    Host {
        /// Who, as they were until now.
        who: Source,
        /// The user name from now on.
        user: String,
        /// The host from now on.
        host: String,
    },
    /// Somebody calls themselves something else (setname).
    Realname {
        /// Who.
        who: Source,
        /// The name from now on.
        realname: String,
    },
    /// The channel has another name (draft/channel-rename). Members and modes stay.
    Renamed {
        /// The name until now.
        from: String,
        /// The name from now on.
        to: String,
        /// Who did it.
        by: Source,
        /// Why.
        reason: Option<Vec<u8>>,
    },
    /// Somebody who is watched is there (730).
    Online {
        /// Who.
        who: Source,
    },
    /// Somebody who is watched is not there (731).
    Offline {
        /// Who.
        nick: String,
    },
    /// A server says something to this connection, or to all.
    ServerNotice {
        /// Which server; empty where it does not say.
        from: String,
        /// What.
        text: Vec<u8>,
    },
    /// A reply that means something to a person: all errors (400 to 599), and 301, 716 to 718 and 734.
    Numeric {
        /// Which.
        numeric: u16,
        /// What it is about: a nick, a channel, a command. Without this connection's nick and the text.
        params: Vec<String>,
        /// The server's words.
        text: Vec<u8>,
    },
    /// A standard reply (IRCv3 standard-replies).
    Reply {
        /// `FAIL`, `WARN` or `NOTE`.
        kind: ReplyKind,
        /// The command that it answers, or `*`.
        command: String,
        /// What it is, in a word for machines.
        code: String,
        /// What it is about.
        context: Vec<String>,
        /// The server's words.
        text: Vec<u8>,
    },
}

/// How a standard reply is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// It was not done.
    Fail,
    /// It was done, but look out.
    Warn,
    /// So that it is known.
    Note,
}
