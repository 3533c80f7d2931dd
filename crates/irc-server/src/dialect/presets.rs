//! Servers that are known, as far as clients can tell.

use std::time::Duration;

use bridgehead_irc_protocol::CaseMapping;

use super::{Dialect, Limits, LongLines, Pings, Quirks, Refusals};
use crate::Clock;

/// What the newest servers offer together.
const MODERN_CAPS: &[&str] = &[
    "account-notify",
    "account-tag",
    "away-notify",
    "batch",
    "cap-notify",
    "chghost",
    "draft/channel-rename",
    "draft/chathistory",
    "draft/event-playback",
    "draft/message-redaction",
    "draft/multiline=max-bytes=4096,max-lines=24",
    "draft/relaymsg=/",
    "echo-message",
    "extended-join",
    "extended-monitor",
    "invite-notify",
    "labeled-response",
    "message-tags",
    "multi-prefix",
    "sasl=PLAIN,EXTERNAL,SCRAM-SHA-256",
    "server-time",
    "setname",
    "standard-replies",
    "userhost-in-names",
];

/// What Debian's InspIRCd 3.15 offers with its usual modules, and what it plants to catch clients that ask for everything.
const INSPIRCD_CAPS: &[&str] = &[
    "account-notify",
    "account-tag",
    "away-notify",
    "batch",
    "cap-notify",
    "chghost",
    "echo-message",
    "extended-join",
    "extended-monitor",
    "inspircd.org/poison",
    "inspircd.org/standard-replies",
    "invite-notify",
    "labeled-response",
    "message-tags",
    "multi-prefix",
    "sasl=PLAIN,EXTERNAL",
    "server-time",
    "setname",
    "userhost-in-names",
];

/// What ircd-hybrid 8.2.43 offers.
const HYBRID_CAPS: &[&str] = &[
    "account-notify",
    "away-notify",
    "cap-notify",
    "chghost",
    "extended-join",
    "invite-notify",
    "multi-prefix",
    "userhost-in-names",
];

const FULL_PREFIXES: &[(char, char)] =
    &[('q', '~'), ('a', '&'), ('o', '@'), ('h', '%'), ('v', '+')];
const PLAIN_PREFIXES: &[(char, char)] = &[('o', '@'), ('v', '+')];

impl Dialect {
    /// A server with all that this crate knows.
    #[must_use]
    pub fn modern() -> Self {
        let mut dialect = Self::plain();
        "modern-1.0".clone_into(&mut dialect.version);
        dialect.offer(MODERN_CAPS);
        dialect.mechanisms = ["PLAIN", "EXTERNAL", "SCRAM-SHA-256"]
            .map(str::to_owned)
            .to_vec();
        dialect.prefixes = vec![('o', '@'), ('h', '%'), ('v', '+')];
        dialect.channel_modes = ["beIq", "k", "fl", "imnpstrC"].map(str::to_owned);
        "@%+".clone_into(&mut dialect.status_prefixes);
        "Bior".clone_into(&mut dialect.user_modes);
        "nt".clone_into(&mut dialect.default_flags);
        dialect.tokens = ["WHOX", "SAFELIST", "BOT=B"].map(str::to_owned).to_vec();
        dialect.limits.nick_bytes = 30;
        dialect.limits.monitors = Some(100);
        dialect.batches_splits = true;
        dialect
    }

    /// As Debian's ngIRCd 26.1: one capability, and no tags at all.
    #[must_use]
    pub fn ngircd() -> Self {
        let mut dialect = Self::plain();
        "ngircd-26.1".clone_into(&mut dialect.version);
        dialect.offer(&["multi-prefix"]);
        dialect.case_mapping = CaseMapping::Ascii;
        "#&+".clone_into(&mut dialect.channel_types);
        dialect.prefixes = FULL_PREFIXES.to_vec();
        dialect.channel_modes = ["beI", "k", "l", "imMnOPQRstVz"].map(str::to_owned);
        "abBcCFioqrRswx".clone_into(&mut dialect.user_modes);
        dialect.limits.nick_bytes = 30;
        dialect.limits.channel_bytes = 50;
        dialect.limits.topic_bytes = 490;
        dialect.limits.text_bytes = 400;
        dialect.limits.modes_at_once = 5;
        dialect.limits.list_entries = 50;
        dialect.quirks.setters_are_nicks = true;
        dialect.quirks.unknown_channel_is_401 = true;
        dialect.quirks.unknown_whois_is_402 = true;
        dialect.quirks.refusals = Refusals::Bare;
        dialect
    }

    /// As Debian's InspIRCd 3.15 with services.
    #[must_use]
    pub fn inspircd() -> Self {
        let mut dialect = Self::plain();
        "InspIRCd-3".clone_into(&mut dialect.version);
        dialect.offer(INSPIRCD_CAPS);
        dialect.mechanisms = ["PLAIN", "EXTERNAL"].map(str::to_owned).to_vec();
        dialect.channel_modes = ["beI", "k", "Hl", "imnpst"].map(str::to_owned);
        "nt".clone_into(&mut dialect.default_flags);
        "@+".clone_into(&mut dialect.status_prefixes);
        "Biosw".clone_into(&mut dialect.user_modes);
        dialect.mute_prefix = Some("m:".to_owned());
        dialect.tokens = ["EXTBAN=,Rm", "WHOX", "BOT=B"].map(str::to_owned).to_vec();
        dialect.limits.nick_bytes = 30;
        dialect.limits.channel_bytes = 64;
        dialect.limits.monitors = Some(30);
        dialect.limits.modes_at_once = 20;
        dialect.limits.user_bytes = 12;
        dialect.answers_notices = true;
        dialect.quirks = Quirks {
            quit_prefix: String::new(),
            marks_all_users: false,
            setters_are_nicks: true,
            names_early_commands: true,
            ids_on_events: false,
            reuses_references: true,
            monitor_shows_masks: false,
            refusals: Refusals::Wordy,
            ..Quirks::default()
        };
        dialect
    }

    /// As Ergo 2: history, of talks too for who is logged in, multiline, redaction, UTF-8 alone, and long lines refused.
    #[must_use]
    pub fn ergo() -> Self {
        let mut dialect = Self::modern();
        "ergo-2.14".clone_into(&mut dialect.version);
        dialect.case_mapping = CaseMapping::Ascii;
        "#".clone_into(&mut dialect.channel_types);
        dialect.channel_modes = ["Ibe", "k", "fl", "CEMRUimnstu"].map(str::to_owned);
        dialect.prefixes = FULL_PREFIXES.to_vec();
        "~&@%+".clone_into(&mut dialect.status_prefixes);
        dialect.mute_prefix = Some("~m:".to_owned());
        dialect.tokens.push("EXTBAN=~,m".to_owned());
        dialect.long_lines = LongLines::Refuse;
        dialect.is_utf8_only = true;
        dialect.quirks.talks_are_of_accounts = true;
        dialect
    }

    /// As ircd-hybrid 8.2.43: some capabilities, no tags, no SASL.
    #[must_use]
    pub fn hybrid() -> Self {
        let mut dialect = Self::plain();
        "ircd-hybrid-8.2.43".clone_into(&mut dialect.version);
        dialect.offer(HYBRID_CAPS);
        dialect.case_mapping = CaseMapping::Ascii;
        dialect.prefixes = vec![('o', '@'), ('h', '%'), ('v', '+')];
        dialect.channel_modes = ["beI", "k", "l", "CMORScimnprstu"].map(str::to_owned);
        "@%+".clone_into(&mut dialect.status_prefixes);
        dialect.limits.nick_bytes = 30;
        dialect.limits.monitors = Some(50);
        let greeting = "*** Looking up your hostname...".to_owned();
        dialect.quirks.greetings = vec![greeting];
        dialect
    }

    /// As RFC 1459 has it: nicks of 9 bytes, no capabilities, no `CAP` and no 005 either.
    #[must_use]
    pub fn bare() -> Self {
        let mut dialect = Self::plain();
        dialect.quirks.has_isupport = false;
        dialect
    }

    /// What the others begin with.
    fn plain() -> Self {
        Self {
            server_name: "irc.test.invalid".to_owned(),
            network: "TestNet".to_owned(),
            version: "ircd-2.8".to_owned(),
            port: 0,
            caps: Vec::new(),
            case_mapping: CaseMapping::Rfc1459,
            channel_types: "#&".to_owned(),
            prefixes: PLAIN_PREFIXES.to_vec(),
            channel_modes: ["b", "k", "l", "imnpst"].map(str::to_owned),
            default_flags: String::new(),
            user_modes: "iosw".to_owned(),
            status_prefixes: String::new(),
            mute_prefix: None,
            tokens: Vec::new(),
            limits: Limits::default(),
            long_lines: LongLines::Cut,
            is_utf8_only: false,
            answers_notices: false,
            batches_splits: false,
            mechanisms: Vec::new(),
            password: None,
            wants_account: false,
            webirc_password: None,
            oper_password: None,
            ident_port: None,
            tls: None,
            flood: None,
            throttle: None,
            pings: Pings::default(),
            motd: vec!["A server in memory: what is said here is forgotten.".to_owned()],
            quirks: Quirks::default(),
            clock: Clock::default(),
        }
    }

    fn offer(&mut self, caps: &[&str]) {
        for cap in caps {
            self.add_cap(cap);
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nick_bytes: 9,
            user_bytes: 11,
            channel_bytes: 200,
            topic_bytes: 390,
            text_bytes: 307,
            line_bytes: bridgehead_irc_protocol::line::MAX_LINE_BYTES,
            channels_each: 200,
            list_entries: 100,
            modes_at_once: 3,
            targets: 4,
            monitors: None,
            people: 5_000,
            channels: 1_000,
            history: 500,
            send_queue_bytes: 1 << 20,
            log_lines: 100_000,
        }
    }
}

impl Default for Pings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(120),
            timeout: Duration::from_secs(60),
            registration: Duration::from_secs(60),
        }
    }
}
