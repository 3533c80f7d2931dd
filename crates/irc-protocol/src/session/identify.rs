//! The login by a message to a service, for servers that have no SASL.

use std::time::Instant;

use super::{Event, Session, login::Standing};
use crate::Line;

/// The login by a message to a service.
#[derive(Default, PartialEq, Eq)]
pub(super) enum Identify {
    #[default]
    Unsaid,
    /// Until when its answer is waited for.
    Waiting(Instant),
    Over,
}

impl Session {
    pub(super) fn identify(&mut self, now: Instant) {
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

    pub(super) fn identified(&mut self) {
        if matches!(self.registration.identify, Identify::Waiting(_)) {
            self.registration.identify = Identify::Over;
        }
    }

    pub(super) fn identify_failed(&mut self, text: &str) {
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
                let said = line.text(2).into_owned();
                self.identify_failed(&format!(
                    "the network has no SASL, and nobody called {service} is there ({said})"
                ));
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
