//! The negotiation of capabilities and the login, step by step.
//!
//! Neighbours: `caps` knows what to ask for, `login` what to say; in here is when.

use std::time::Instant;

use super::{
    Ended, Event, Session, Stage,
    login::{Reply, Standing},
};
use crate::Line;

impl Session {
    /// Takes a `CAP`.
    pub(super) fn hear_cap(&mut self, line: &Line, now: Instant) {
        let step = self.caps.take(line);
        if let Some(sts) = step.sts {
            self.hear_sts(&sts);
        }
        if self.is_ended() {
            return;
        }
        if self.caps.is_listed() {
            self.introduce();
        }
        for names in &step.requests {
            self.push_own(&Line::new("CAP", ["REQ", names]));
        }
        let is_owed = self.caps.is_asking() || !self.caps.is_listed();
        self.registration.asked_at = is_owed.then_some(now);
        let is_news = matches!(line.text(1).to_ascii_uppercase().as_str(), "NEW" | "DEL");
        let names = line.text(line.params.len().saturating_sub(1)).into_owned();
        if is_news
            && names
                .split(' ')
                .any(|name| name.split('=').next() == Some("sasl"))
        {
            self.login.forgive();
        }
        if step.has_changed && self.is_ready() {
            self.emit(Event::Caps);
        }
        self.negotiate(now);
    }

    fn hear_sts(&mut self, value: &str) {
        let token = |key: &str| {
            let mut tokens = value.split(',');
            tokens.find_map(|token| token.strip_prefix(key)?.strip_prefix('='))
        };
        let port: Option<u16> = token("port").and_then(|port| port.parse().ok());
        let port = port.filter(|port| *port > 0);
        let duration_s = token("duration").and_then(|seconds| seconds.parse().ok());
        // Each key counts on one side only (IRCv3 sts).
        let (port, duration_s) = match self.settings.is_tls {
            true => (None, duration_s),
            false => (port, None),
        };
        if port.is_some() || duration_s.is_some() {
            self.emit(Event::Sts { port, duration_s });
        }
        // Nothing more goes out unencrypted, whatever the driver makes of the event.
        if let Some(port) = port {
            self.end(Ended::TlsWanted(port));
        }
    }

    /// Takes the next step once all requests are answered: the login, then the end of the negotiation.
    fn negotiate(&mut self, now: Instant) {
        if self.is_ended() || !self.caps.is_settled() || self.login.is_waiting() {
            return;
        }
        let may_login = self.caps.has("sasl")
            && self.account.is_none()
            && *self.login.standing() == Standing::Idle;
        if may_login {
            let ways = self.caps.value("sasl").map(str::to_owned);
            match self.login.begin(ways.as_deref(), now) {
                Some(way) => return self.push_own(&Line::new("AUTHENTICATE", [way])),
                None => self.login_failed(),
            }
        }
        if self.registration.is_negotiated || self.is_ended() {
            return;
        }
        if self.is_login_missing() {
            return self.end_for_login();
        }
        self.registration.is_negotiated = true;
        self.push_own(&Line::new("CAP", ["END"]));
    }

    pub(super) fn is_login_missing(&self) -> bool {
        self.settings.sasl_required && *self.login.standing() != Standing::Done
    }

    pub(super) fn end_for_login(&mut self) {
        let text = match self.login.standing() {
            Standing::Failed(text) => text.clone(),
            _ => "the server offers no SASL".to_owned(),
        };
        self.end(Ended::LoginRequired(text));
    }

    fn login_failed(&mut self) {
        let Standing::Failed(text) = self.login.standing() else {
            return;
        };
        let text = text.clone();
        match self.settings.sasl_required && !self.is_ready() {
            true => self.end_for_login(),
            false => self.emit(Event::LoginFailed { text }),
        }
    }

    /// Takes an `AUTHENTICATE`.
    pub(super) fn hear_authenticate(&mut self, chunk: &str, now: Instant) {
        let Some(message) = self.registration.gathered.take(chunk) else {
            return;
        };
        match self.login.take(&message, now) {
            Reply::Send(chunks) => {
                for chunk in chunks {
                    self.push_own(&Line::new("AUTHENTICATE", [chunk]));
                }
            }
            Reply::Abort => self.push_own(&Line::new("AUTHENTICATE", ["*"])),
            Reply::Nothing => {}
        }
    }

    /// Takes a numeric about the login; whether it was one that the session waits for.
    pub(super) fn hear_login(&mut self, numeric: u16, line: &Line, now: Instant) -> bool {
        match numeric {
            900 => {
                self.note_account(Some(line.text(2).into_owned()));
                return true;
            }
            901 => {
                self.note_account(None);
                return true;
            }
            _ if !self.login.is_waiting() => return false,
            903 | 907 => self.login.succeed(),
            908 => {
                self.login.take_mechanisms(&line.text(1));
                return true;
            }
            _ => {
                let text = String::from_utf8_lossy(line.last()).into_owned();
                if let Some(way) = self.login.refuse(&text, now) {
                    self.push_own(&Line::new("AUTHENTICATE", [way]));
                    return true;
                }
            }
        }
        self.login_failed();
        self.negotiate(now);
        true
    }

    /// Takes the account that the server says the client is logged in to.
    pub(super) fn note_account(&mut self, account: Option<String>) {
        if account.is_some() {
            self.identified();
        }
        if self.account != account {
            self.account.clone_from(&account);
            self.emit(Event::Account(account));
        }
    }

    /// Since when the server owes an answer of the negotiation.
    pub(super) fn step_began_at(&self) -> Option<Instant> {
        match self.login.standing() {
            Standing::Waiting(since) => Some(*since),
            _ => self.registration.asked_at,
        }
    }

    /// Goes on without the answer.
    pub(super) fn give_up_step(&mut self, now: Instant) {
        if self.login.is_waiting() {
            self.login.fail("the server has not answered".to_owned());
            self.login_failed();
        }
        self.registration.asked_at = None;
        self.caps.give_up();
        self.introduce();
        self.negotiate(now);
    }

    /// The server does not know `CAP`, or not in this form; one that does waits for its end.
    pub(super) fn hear_no_caps(&mut self, waits: bool, now: Instant) {
        if self.is_login_missing() && self.stage == Stage::Registering {
            return self.end_for_login();
        }
        self.caps.give_up();
        self.registration.asked_at = None;
        self.introduce();
        self.registration.is_negotiated |= !waits;
        self.negotiate(now);
    }
}
