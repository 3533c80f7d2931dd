//! Small ways in which servers differ, and clients are surprised.

/// Small ways in which servers differ.
///
/// Those of ngIRCd 26.1 and InspIRCd 3.15 are as found on Debian's.
#[derive(Clone, Debug)]
pub struct Quirks {
    /// Whether the server says what it is like (005).
    pub has_isupport: bool,
    /// What connections are told in a `NOTICE` to `*` before anything else.
    pub greetings: Vec<String>,
    /// Whether a `PING` has to be answered before the welcome, as UnrealIRCd wants it.
    pub has_ping_cookie: bool,
    /// Whether the welcome waits for `CAP END`.
    pub waits_for_cap_end: bool,
    /// What stands before the text of a `QUIT`. Without it anybody can quit with the text of a netsplit.
    pub quit_prefix: String,
    /// Whether users have a `~` where no ident server was asked.
    pub marks_all_users: bool,
    /// Whether topics and bans are said to be by a nick, and not by `nick!user@host`.
    pub setters_are_nicks: bool,
    /// Whether a message to a channel that is not there is answered with 401, and not with 403.
    pub unknown_channel_is_401: bool,
    /// Whether `WHOIS nick nick` of nobody is answered with 402, and not with 401: the first is looked for as a server.
    pub unknown_whois_is_402: bool,
    /// Whether 451 names the command.
    pub names_early_commands: bool,
    /// Whether joins and the like have a msgid, and not messages alone.
    pub ids_on_events: bool,
    /// Whether one reference serves all labelled answers, one after the other.
    pub reuses_references: bool,
    /// Whether 730 shows `nick!user@host`, and not the nick alone.
    pub monitor_shows_masks: bool,
    /// Whether talks of two are kept for those alone who are logged in, under their accounts, and go on for an account
    /// that nobody uses at the moment, under its own name. Otherwise they are theirs who have the nicks.
    pub talks_are_of_accounts: bool,
    /// Whether the server tells where something was said (`CHATHISTORY TARGETS`).
    pub lists_talks: bool,
    /// How it is said that something cannot be said (404).
    pub refusals: Refusals,
}

/// How it is said that something cannot be said in a channel (404).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusals {
    /// `Cannot send to channel`
    Bare,
    /// `Cannot send to channel (+m)`
    Letter,
    /// `You cannot send messages to this channel whilst the +m (moderated) mode is set.`
    Wordy,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            has_isupport: true,
            greetings: Vec::new(),
            has_ping_cookie: false,
            waits_for_cap_end: true,
            quit_prefix: "Quit: ".to_owned(),
            marks_all_users: true,
            setters_are_nicks: false,
            unknown_channel_is_401: false,
            unknown_whois_is_402: false,
            names_early_commands: false,
            ids_on_events: true,
            reuses_references: false,
            monitor_shows_masks: true,
            talks_are_of_accounts: false,
            lists_talks: true,
            refusals: Refusals::Letter,
        }
    }
}

impl Refusals {
    /// The text for a mode that keeps somebody from speaking.
    pub(crate) fn text(self, mode: char) -> String {
        match self {
            Self::Bare => "Cannot send to channel".to_owned(),
            Self::Letter => format!("Cannot send to channel (+{mode})"),
            Self::Wordy => wordy(mode),
        }
    }
}

fn wordy(mode: char) -> String {
    let (what, why) = match mode {
        'n' => ("external messages", "the +n (noextmsg) mode is set"),
        'm' => ("messages", "the +m (moderated) mode is set"),
        'C' => ("CTCPs", "the +C (noctcp) mode is set"),
        'b' => ("messages", "a m: (mute) extban is set matching you"),
        _ => ("messages", "a mode is set"),
    };
    format!("You cannot send {what} to this channel whilst {why}.")
}
