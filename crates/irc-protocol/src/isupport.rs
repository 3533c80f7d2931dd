//! What a server says of itself (005, `RPL_ISUPPORT`).

use std::collections::BTreeMap;

use crate::{CaseMapping, Line};

/// Tokens that are kept; servers send some forty.
const MAX_TOKENS: usize = 256;

/// What a server says of itself; what it leaves out is as RFC 1459 has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isupport {
    tokens: BTreeMap<String, String>,
    prefixes: Vec<(char, char)>,
    mode_kinds: [String; 4],
}

impl Default for Isupport {
    fn default() -> Self {
        Self {
            tokens: BTreeMap::new(),
            prefixes: vec![('o', '@'), ('v', '+')],
            mode_kinds: ["b", "k", "l", "imnpst"].map(str::to_owned),
        }
    }
}

/// What a mode of a channel takes (`CHANMODES`, `PREFIX`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeKind {
    /// A list of masks: always a parameter; without one it asks for the list. (A)
    List,
    /// A setting: always a parameter. (B)
    Setting,
    /// A setting: a parameter when it is set. (C)
    SettingWhenSet,
    /// No parameter. (D)
    Flag,
    /// A member's standing: their nick.
    Member,
}

impl Isupport {
    /// Takes a 005.
    pub fn take(&mut self, line: &Line) {
        let count = line.params.len();
        // The first parameter is the client's nick, and the last says that it is supported.
        for at in 1..count.saturating_sub(1) {
            self.take_token(&line.text(at));
        }
    }

    /// All tokens with their values, empty where they have none.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, &str)> {
        let tokens = self.tokens.iter();
        tokens.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What a server has said of itself with these tokens.
    pub fn of_tokens(tokens: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut isupport = Self::default();
        for (key, value) in tokens {
            isupport.set(&key, value);
        }
        isupport
    }

    fn take_token(&mut self, token: &str) {
        if let Some(gone) = token.strip_prefix('-') {
            self.tokens.remove(gone);
            let default = Self::default();
            match gone {
                "PREFIX" => self.prefixes = default.prefixes,
                "CHANMODES" => self.mode_kinds = default.mode_kinds,
                _ => {}
            }
            return;
        }
        let (key, value) = token.split_once('=').unwrap_or((token, ""));
        self.set(key, unescape(value));
    }

    fn set(&mut self, key: &str, value: String) {
        match key {
            "PREFIX" => self.prefixes = prefixes(&value),
            "CHANMODES" => {
                let mut kinds = value.split(',').map(str::to_owned);
                self.mode_kinds = std::array::from_fn(|_| kinds.next().unwrap_or_default());
            }
            _ => {}
        }
        if self.tokens.len() < MAX_TOKENS || self.tokens.contains_key(key) {
            self.tokens.insert(key.to_owned(), value);
        }
    }

    /// A token's value, empty where it has none; `None` where the server does not name it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.tokens.get(key).map(String::as_str)
    }

    fn number(&self, key: &str) -> Option<usize> {
        self.get(key)?.parse().ok()
    }

    /// How case is folded.
    #[must_use]
    pub fn case_mapping(&self) -> CaseMapping {
        self.get("CASEMAPPING")
            .map_or(CaseMapping::default(), CaseMapping::named)
    }

    /// What channels begin with; `#&` where it is not said.
    #[must_use]
    pub fn channel_types(&self) -> &str {
        self.get("CHANTYPES").unwrap_or("#&")
    }

    /// Whether it is a channel's name.
    #[must_use]
    pub fn is_channel(&self, name: &str) -> bool {
        name.starts_with(|first| self.channel_types().contains(first))
    }

    /// The channel that is meant, and the lowest prefix of those who are to hear it (`STATUSMSG`, `@#chan`).
    #[must_use]
    pub fn target<'a>(&self, target: &'a str) -> (Option<char>, &'a str) {
        let statuses = self.get("STATUSMSG").unwrap_or_default();
        let mut chars = target.chars();
        match chars.next() {
            Some(first) if statuses.contains(first) && self.is_channel(chars.as_str()) => {
                (Some(first), chars.as_str())
            }
            _ => (None, target),
        }
    }

    /// Members' standings, from the most powerful down: mode and prefix.
    #[must_use]
    pub fn prefixes(&self) -> &[(char, char)] {
        &self.prefixes
    }

    /// The mode that a prefix stands for.
    #[must_use]
    pub fn mode_of(&self, prefix: char) -> Option<char> {
        let found = self.prefixes.iter().find(|(_, known)| *known == prefix);
        found.map(|(mode, _)| *mode)
    }

    /// The prefix that stands for a mode.
    #[must_use]
    pub fn prefix_of(&self, mode: char) -> Option<char> {
        let found = self.prefixes.iter().find(|(known, _)| *known == mode);
        found.map(|(_, prefix)| *prefix)
    }

    /// How high a standing is: 0 for the highest.
    #[must_use]
    pub fn rank(&self, mode: char) -> Option<usize> {
        self.prefixes.iter().position(|(known, _)| *known == mode)
    }

    /// What a mode of a channel takes. One that the server does not name is a flag.
    #[must_use]
    pub fn mode_kind(&self, mode: char) -> ModeKind {
        if self.prefix_of(mode).is_some() {
            return ModeKind::Member;
        }
        match self.mode_kinds.iter().position(|kind| kind.contains(mode)) {
            Some(0) => ModeKind::List,
            Some(1) => ModeKind::Setting,
            Some(2) => ModeKind::SettingWhenSet,
            _ => ModeKind::Flag,
        }
    }

    /// Bytes of a nick at most; 9 where it is not said (RFC 1459, 1.2).
    #[must_use]
    pub fn nick_bytes(&self) -> usize {
        self.number("NICKLEN")
            .or_else(|| self.number("MAXNICKLEN"))
            .unwrap_or(9)
    }

    /// Bytes of a topic at most, where it is said.
    #[must_use]
    pub fn topic_bytes(&self) -> Option<usize> {
        self.number("TOPICLEN")
    }

    /// Bytes of a line without tags, with its end.
    #[must_use]
    pub fn line_bytes(&self) -> usize {
        self.number("LINELEN")
            .unwrap_or(crate::line::MAX_LINE_BYTES)
            .max(crate::line::MAX_LINE_BYTES)
    }

    /// Modes with a parameter in one `MODE` at most; 3 where it is not said.
    #[must_use]
    pub fn modes_at_once(&self) -> usize {
        match self.get("MODES") {
            Some("") => 20,
            _ => self.number("MODES").unwrap_or(3).clamp(1, 20),
        }
    }

    /// The network's name, where it is said.
    #[must_use]
    pub fn network(&self) -> Option<&str> {
        self.get("NETWORK").filter(|name| !name.is_empty())
    }

    /// The mode letter for exceptions of bans (`EXCEPTS`), where the server has it.
    #[must_use]
    pub fn except_mode(&self) -> Option<char> {
        self.get("EXCEPTS")
            .map(|mode| mode.chars().next().unwrap_or('e'))
    }

    /// The mode letter for masks that need no invite (`INVEX`), where the server has it.
    #[must_use]
    pub fn invite_except_mode(&self) -> Option<char> {
        self.get("INVEX")
            .map(|mode| mode.chars().next().unwrap_or('I'))
    }

    /// Nicks that can be watched (`MONITOR`); `None` where the server does not have it.
    #[must_use]
    pub fn monitors(&self) -> Option<usize> {
        self.get("MONITOR")
            .map(|limit| limit.parse().unwrap_or(usize::MAX))
    }
}

/// Reads `(ohv)@%+`.
fn prefixes(value: &str) -> Vec<(char, char)> {
    let split = value
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    split.map_or_else(Vec::new, |(modes, prefixes)| {
        modes.chars().zip(prefixes.chars()).collect()
    })
}

/// Reads `\x20` and its like.
fn unescape(value: &str) -> String {
    let mut pieces = value.split("\\x");
    let mut read = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.filter(u8::is_ascii) {
            Some(byte) => {
                read.push(char::from(byte));
                read.push_str(&piece[2..]);
            }
            None => {
                read.push_str("\\x");
                read.push_str(piece);
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tokens: &str) -> Isupport {
        let mut isupport = Isupport::default();
        let line = format!(":srv 005 me {tokens} :are supported by this server");
        isupport.take(&Line::parse(line.as_bytes()).expect("a line"));
        isupport
    }

    #[test]
    fn a_server_that_says_nothing_is_as_in_the_rfc() {
        let isupport = Isupport::default();
        assert_eq!(isupport.case_mapping(), CaseMapping::Rfc1459);
        assert!(isupport.is_channel("&local"));
        assert_eq!(isupport.nick_bytes(), 9);
        assert_eq!(isupport.mode_kind('o'), ModeKind::Member);
        assert_eq!(isupport.mode_kind('b'), ModeKind::List);
        assert_eq!(isupport.mode_kind('k'), ModeKind::Setting);
        assert_eq!(isupport.mode_kind('l'), ModeKind::SettingWhenSet);
        assert_eq!(isupport.mode_kind('m'), ModeKind::Flag);
        assert_eq!(isupport.modes_at_once(), 3);
    }

    #[test]
    fn tokens_are_read() {
        let isupport = of(
            "CASEMAPPING=ascii CHANTYPES=#!+ PREFIX=(qaohv)~&@%+ CHANMODES=beI,k,l,imnRst NICKLEN=30 MODES=20 \
             STATUSMSG=@+ EXCEPTS INVEX=J NETWORK=Probe\\x20Net MONITOR=100 LINELEN=2048",
        );
        assert_eq!(isupport.case_mapping(), CaseMapping::Ascii);
        assert!(isupport.is_channel("!12345chan"));
        assert!(!isupport.is_channel("&local"));
        assert_eq!(isupport.target("@#chan"), (Some('@'), "#chan"));
        assert_eq!(isupport.target("+chan"), (None, "+chan"));
        assert_eq!(isupport.target("#chan"), (None, "#chan"));
        assert_eq!(isupport.prefix_of('q'), Some('~'));
        assert_eq!(isupport.mode_of('%'), Some('h'));
        assert_eq!(isupport.rank('o'), Some(2));
        assert_eq!(isupport.mode_kind('R'), ModeKind::Flag);
        assert_eq!(isupport.mode_kind('I'), ModeKind::List);
        assert_eq!(isupport.nick_bytes(), 30);
        assert_eq!(isupport.except_mode(), Some('e'));
        assert_eq!(isupport.invite_except_mode(), Some('J'));
        assert_eq!(isupport.network(), Some("Probe Net"));
        assert_eq!(isupport.monitors(), Some(100));
        assert_eq!(isupport.line_bytes(), 2048);
    }

    #[test]
    fn what_is_taken_back_is_as_before() {
        let mut isupport = of("NICKLEN=30 PREFIX=(h)% EXCEPTS=e");
        let line = Line::parse(b":srv 005 me -NICKLEN -PREFIX -EXCEPTS :are").expect("a line");
        isupport.take(&line);
        assert_eq!(isupport, Isupport::default());
    }
}
