//! What the server says of itself in 005.

use bridgehead_irc_protocol::{CaseMapping, Line};

use super::Dialect;

/// Tokens in one line; the protocol's 15 parameters less the nick and the text.
const TOKENS_A_LINE: usize = 13;

impl Dialect {
    /// The lines of 005 for somebody of this nick, without a source.
    pub(crate) fn isupport_lines(&self, nick: &str) -> Vec<Line> {
        match self.quirks.has_isupport {
            true => self.token_lines(nick),
            false => Vec::new(),
        }
    }

    /// The same, whether the server says it or not.
    pub(super) fn token_lines(&self, nick: &str) -> Vec<Line> {
        let tokens = self.all_tokens();
        let chunks = tokens.chunks(TOKENS_A_LINE).map(|chunk| {
            let mut params = vec![nick.to_owned()];
            params.extend_from_slice(chunk);
            params.push("are supported by this server".to_owned());
            Line::new("005", params)
        });
        chunks.collect()
    }

    fn all_tokens(&self) -> Vec<String> {
        let limits = &self.limits;
        let mut tokens = vec![
            format!("CASEMAPPING={}", case_mapping_name(self.case_mapping)),
            format!("CHANLIMIT={}:{}", self.channel_types, limits.channels_each),
            format!("CHANMODES={}", self.channel_modes.join(",")),
            format!("CHANNELLEN={}", limits.channel_bytes),
            format!("CHANTYPES={}", self.channel_types),
            format!("KICKLEN={}", limits.text_bytes),
            format!("MODES={}", limits.modes_at_once),
            format!("NETWORK={}", self.network),
            format!("NICKLEN={}", limits.nick_bytes),
            self.prefix_token(),
            format!("TARGMAX=PRIVMSG:{0},NOTICE:{0},JOIN:", limits.targets),
            format!("TOPICLEN={}", limits.topic_bytes),
        ];
        if !self.status_prefixes.is_empty() {
            tokens.push(format!("STATUSMSG={}", self.status_prefixes));
        }
        if let Some(monitors) = limits.monitors {
            tokens.push(format!("MONITOR={monitors}"));
        }
        if self.channel_modes[0].contains('e') {
            tokens.push("EXCEPTS=e".to_owned());
        }
        if self.channel_modes[0].contains('I') {
            tokens.push("INVEX=I".to_owned());
        }
        if limits.line_bytes > bridgehead_irc_protocol::line::MAX_LINE_BYTES {
            tokens.push(format!("LINELEN={}", limits.line_bytes));
        }
        if self.offers("draft/chathistory") {
            tokens.push(format!("CHATHISTORY={}", limits.history));
            tokens.push("MSGREFTYPES=msgid,timestamp".to_owned());
        }
        if self.is_utf8_only {
            tokens.push("UTF8ONLY".to_owned());
        }
        tokens.extend(self.tokens.iter().cloned());
        tokens
    }

    fn prefix_token(&self) -> String {
        let modes: String = self.prefixes.iter().map(|(mode, _)| mode).collect();
        let prefixes: String = self.prefixes.iter().map(|(_, prefix)| prefix).collect();
        format!("PREFIX=({modes}){prefixes}")
    }
}

fn case_mapping_name(case_mapping: CaseMapping) -> &'static str {
    match case_mapping {
        CaseMapping::Ascii => "ascii",
        CaseMapping::Rfc1459 => "rfc1459",
        CaseMapping::StrictRfc1459 => "rfc1459-strict",
    }
}
