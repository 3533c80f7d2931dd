//! From the first line to the one that says that all is ready.

use std::time::{Duration, Instant};

use super::{
    Ended, Event, Session, Stage, WebIrc,
    login::{Gathered, Reply, Standing},
};
use crate::Line;

/// How long the server may take for one step of the negotiation.
pub(super) const STEP: Duration = Duration::from_secs(20);
/// How long the end of the welcome is waited for.
const WELCOME: Duration = Duration::from_secs(10);
/// Refusals of the registration as a whole: no authorization, password, ban.
const REFUSALS: [u16; 4] = [463, 464, 465, 466];

/// How far the registration is.
#[derive(Default)]
pub(super) struct Registration {
    /// Whether `CAP END` was sent, or is not needed any more.
    is_negotiated: bool,
    /// Since when the server has requests before it.
    asked_at: Option<Instant>,
    /// Whether the message of the day, or that there is none, has come.
    is_told: bool,
    gathered: Gathered,
    identify: Identify,
    /// Whether the client's own host was asked for.
    pub(super) wants_host: bool,
}

/// The login by a message to a service.
#[derive(Default, PartialEq, Eq)]
enum Identify {
    #[default]
    Unsaid,
    /// Until when its answer is waited for.
    Waiting(Instant),
    Over,
}

impl Session {
    /// The first lines, all at once: a server without capabilities passes over what it does not know.
    pub(super) fn begin(&mut self) {
        let settings = self.settings.clone();
        if let Some(webirc) = &settings.webirc {
            self.push_own(&webirc_line(webirc, settings.is_tls));
        }
        self.push_own(&Line::new("CAP", ["LS", "302"]));
        if let Some(password) = &settings.password {
            self.push_own(&Line::new("PASS", [password]));
        }
        self.push_own(&Line::new("NICK", [self.nicks.current()]));
        let user = word(&settings.user, "user");
        let realname = match settings.realname.as_str() {
            "" => user.as_str(),
            realname => realname,
        };
        self.push_own(&Line::new("USER", [user.as_str(), "0", "*", realname]));
    }

    /// Takes a `CAP`.
    pub(super) fn hear_cap(&mut self, line: &Line, now: Instant) {
        let step = self.caps.take(line);
        if let Some(sts) = step.sts {
            self.hear_sts(&sts);
        }
        for names in &step.requests {
            self.push_own(&Line::new("CAP", ["REQ", names]));
        }
        self.registration.asked_at = self.caps.is_asking().then_some(now);
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
        let duration_s = token("duration").and_then(|seconds| seconds.parse().ok());
        // Each key counts on one side only (IRCv3 sts).
        let (port, duration_s) = match self.settings.is_tls {
            true => (None, duration_s),
            false => (port, None),
        };
        if port.is_some() || duration_s.is_some() {
            self.emit(Event::Sts { port, duration_s });
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

    fn is_login_missing(&self) -> bool {
        self.settings.sasl_required && *self.login.standing() != Standing::Done
    }

    fn end_for_login(&mut self) {
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
        self.negotiate(now);
    }

    /// The server does not know `CAP`, or not in this form; one that does waits for its end.
    pub(super) fn hear_no_caps(&mut self, waits: bool, now: Instant) {
        if self.is_login_missing() && self.stage == Stage::Registering {
            return self.end_for_login();
        }
        self.caps.give_up();
        self.registration.asked_at = None;
        self.registration.is_negotiated |= !waits;
        self.negotiate(now);
    }

    /// Takes a refusal while the client is not welcome yet; whether it was one.
    pub(super) fn hear_refusal(&mut self, numeric: u16, line: &Line) -> bool {
        match numeric {
            431..=433 | 436 | 437 => {
                match self.nicks.advance().map(str::to_owned) {
                    Some(next) => {
                        self.me.name.clone_from(&next);
                        self.push_own(&Line::new("NICK", [next]));
                    }
                    None => self.end(Ended::NicksTaken),
                }
                true
            }
            _ if REFUSALS.contains(&numeric) => {
                let text = String::from_utf8_lossy(line.last()).into_owned();
                self.end(Ended::Registration(numeric, text));
                true
            }
            _ => false,
        }
    }

    /// Takes 001: the server says what the client is called.
    pub(super) fn hear_welcome(&mut self, line: &Line, now: Instant) {
        if self.stage != Stage::Registering {
            return;
        }
        let nick = line.text(0);
        if !matches!(&*nick, "" | "*") {
            self.me.name = nick.into_owned();
        }
        self.registration.is_negotiated = true;
        self.stage = Stage::Settling(now);
    }

    /// Takes 376 or 422.
    pub(super) fn hear_motd_end(&mut self) {
        self.registration.is_told = true;
    }

    /// Until when the welcome may take.
    pub(super) fn settles_at(&self, since: Instant) -> Instant {
        match self.registration.identify {
            Identify::Waiting(until) => until,
            _ => self.step_began_at().map_or(since + WELCOME, |at| at + STEP),
        }
    }

    /// Is ready once the server has told about itself and the login is over.
    pub(super) fn settle(&mut self, now: Instant) {
        let Stage::Settling(since) = self.stage else {
            return;
        };
        let is_told = self.registration.is_told || since + WELCOME <= now;
        if !is_told || self.step_began_at().is_some() {
            return;
        }
        if self.is_login_missing() {
            return self.end_for_login();
        }
        match self.registration.identify {
            Identify::Unsaid => self.identify(now),
            Identify::Waiting(until) if until <= now => {
                self.identify_failed("the service has not answered");
            }
            _ => {}
        }
        if self.registration.identify == Identify::Over {
            self.be_ready(now);
        }
    }

    fn identify(&mut self, now: Instant) {
        self.registration.identify = Identify::Over;
        let is_refused =
            matches!(self.login.standing(), Standing::Failed(_)) && self.caps.has("sasl");
        let Some(service) = self.settings.nickserv.as_ref() else {
            if self.login.is_wanted() && *self.login.standing() == Standing::Idle {
                let text = "the server offers no SASL".to_owned();
                self.emit(Event::LoginFailed { text });
            }
            return;
        };
        // A password that was refused once is not tried again: some services count.
        let is_done = *self.login.standing() == Standing::Done || self.account.is_some();
        if is_done || is_refused {
            return;
        }
        self.registration.identify = Identify::Waiting(now + service.wait);
        let line = Line::new("PRIVMSG", [service.service.clone(), service.text()]);
        self.push_own(&line);
    }

    fn identified(&mut self) {
        if matches!(self.registration.identify, Identify::Waiting(_)) {
            self.registration.identify = Identify::Over;
        }
    }

    fn identify_failed(&mut self, text: &str) {
        if matches!(self.registration.identify, Identify::Waiting(_)) {
            self.registration.identify = Identify::Over;
            let text = text.to_owned();
            self.emit(Event::LoginFailed { text });
        }
    }

    /// Looks for signs that the service has taken the login, or has not.
    pub(super) fn watch_service(&mut self, line: &Line) {
        if !matches!(self.registration.identify, Identify::Waiting(_)) {
            return;
        }
        let Some(service) = self
            .settings
            .nickserv
            .as_ref()
            .map(|service| service.service.clone())
        else {
            return;
        };
        let case = self.isupport.case_mapping();
        let is_named = |name: &str| case.is_same(name, &service);
        match line.command.as_str() {
            "401" | "406" | "440" if is_named(&line.text(1)) => {
                self.identify_failed(&line.text(2));
            }
            "MODE" if self.is_me(&line.text(0)) && sets(&line.text(1), 'r') => self.identified(),
            "NOTICE" if is_named(line.from_name()) => {
                let text = line.text(1).into_owned();
                match verdict(&text) {
                    Some(true) => self.identified(),
                    Some(false) => self.identify_failed(&text),
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn be_ready(&mut self, now: Instant) {
        self.stage = Stage::Ready;
        let nick = self.me.name.clone();
        if let Some(modes) = self
            .settings
            .user_modes
            .clone()
            .filter(|modes| !modes.is_empty())
        {
            self.push_own(&Line::new("MODE", [nick.as_str(), &word(&modes, "+")]));
        }
        if self.me.host.is_none() {
            self.registration.wants_host = true;
            self.push_own(&Line::new("USERHOST", [&nick]));
        }
        if self.nicks.may_try(&nick, self.isupport.nick_bytes()) {
            self.nicks.watch(now);
            if self.isupport.monitors().is_some_and(|limit| limit > 0) {
                let wanted = self.nicks.wanted().to_owned();
                self.push_own(&Line::new("MONITOR", ["+", &wanted]));
            }
        }
        self.emit(Event::Ready);
    }

    /// Tries to get the wanted nick, unless the client has it.
    pub(super) fn regain(&mut self, now: Instant) {
        let limit = self.isupport.nick_bytes();
        if self.is_ready() && self.nicks.may_try(&self.me.name, limit) {
            let nick = self.nicks.try_now(now);
            self.push_own(&Line::new("NICK", [nick]));
        }
    }
}

/// Spaces and controls would make several words of it, and a colon would make it the last.
fn word(text: &str, otherwise: &str) -> String {
    let text = text.trim_start_matches(':');
    let is_bad = |c: char| c.is_whitespace() || c.is_control();
    match text.is_empty() {
        true => otherwise.to_owned(),
        false => text.replace(is_bad, "_"),
    }
}

/// `WEBIRC`; an address that begins with a colon gets a zero before it (IRCv3 webirc).
fn webirc_line(webirc: &WebIrc, is_tls: bool) -> Line {
    let address = |text: &str| match text.starts_with(':') {
        true => format!("0{text}"),
        false => text.to_owned(),
    };
    let ip = word(&address(&webirc.ip), "0.0.0.0");
    let mut params = vec![
        word(&webirc.password, "*"),
        word(&webirc.gateway, "bridgehead"),
        word(&address(&webirc.hostname), &ip),
        ip,
    ];
    if is_tls {
        params.push("secure".to_owned());
    }
    Line::new("WEBIRC", params)
}

/// Whether `+ri-w` sets a mode.
fn sets(modes: &str, wanted: char) -> bool {
    let mut is_set = true;
    modes.chars().any(|mode| {
        if matches!(mode, '+' | '-') {
            is_set = mode == '+';
        }
        is_set && mode == wanted
    })
}

/// Whether a service says that it knows the client now, as Atheme, Anope and their like word it.
fn verdict(text: &str) -> Option<bool> {
    let text = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&[
        "incorrect",
        "invalid password",
        "wrong password",
        "isn't registered",
        "not registered",
        "not a registered",
        "failed",
    ]) {
        Some(false)
    } else if says(&[
        "you are now identified",
        "now logged in",
        "password accepted",
        "you are now recognized",
        "already logged in",
        "already identified",
    ]) {
        Some(true)
    } else {
        None
    }
}
