//! From the first line to the one that says that all is ready.

use std::time::{Duration, Instant};

use super::{Ended, Event, Session, Stage, WebIrc, identify::Identify, login::Gathered};
use crate::{Line, ending::Ending};

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
    pub(super) is_negotiated: bool,
    /// Since when the server has requests before it.
    pub(super) asked_at: Option<Instant>,
    /// Whether the message of the day, or that there is none, has come.
    is_told: bool,
    pub(super) gathered: Gathered,
    pub(super) identify: Identify,
    /// Whether the client has said who it is.
    pub(super) is_introduced: bool,
    /// Whether the client's own host was asked for.
    pub(super) wants_host: bool,
    /// The refusal that the server has told, until it closes the connection.
    pub(super) refused: Option<(u16, String)>,
}

impl Session {
    /// The first lines, all at once: a server without capabilities passes over what it does not know. Only a password
    /// that nothing encrypts waits until the server has said what it offers, and with it all that comes after it.
    pub(super) fn begin(&mut self) {
        let settings = self.settings.clone();
        if let Some(webirc) = &settings.webirc {
            self.push_own(&webirc_line(webirc, settings.is_tls));
        }
        self.push_own(&Line::new("CAP", ["LS", "302"]));
        if settings.password.is_some() && !settings.is_tls {
            // A server that wants encryption says so now (IRCv3 sts), and does not get its password in the clear.
            self.registration.asked_at = Some(self.life.began_at);
        } else {
            self.introduce();
        }
    }

    /// Says who the client is, once.
    pub(super) fn introduce(&mut self) {
        if std::mem::replace(&mut self.registration.is_introduced, true) {
            return;
        }
        let settings = self.settings.clone();
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
                // Which ban it is, and whether it is one at all, the `ERROR` says that follows.
                let text = String::from_utf8_lossy(line.last()).into_owned();
                self.registration.refused = Some((numeric, text));
                true
            }
            _ => false,
        }
    }

    /// Takes `ERROR`: the server's last words, or those that it had before, where they tell more.
    pub(super) fn hear_error(&mut self, text: String) {
        let says_nothing = matches!(
            Ending::of_error(&text),
            Ending::Other(_) | Ending::Lost | Ending::Quit | Ending::NotAuthorized
        );
        let why = match self.registration.refused.take_if(|_| says_nothing) {
            Some((numeric, text)) => Ended::Registration(numeric, text),
            None => Ended::Error(text),
        };
        self.end(why);
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
        match (self.step_began_at(), &self.registration.identify) {
            (Some(at), _) => at + STEP,
            (None, Identify::Waiting(until)) => *until,
            (None, _) => since + WELCOME,
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
