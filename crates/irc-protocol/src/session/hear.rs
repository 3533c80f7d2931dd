//! What a line from the server means.

use std::time::Instant;

use super::{
    Batch, Ended, Event, Heard, Session, Stage,
    batches::{Change, Open, Whole},
    flights::{Attended, Echo},
};
use crate::{Line, Source};

/// Refusals of a nick once the client is welcome.
const NICK_REFUSALS: [u16; 6] = [432, 433, 436, 437, 438, 447];

impl Session {
    /// Takes a line.
    pub(super) fn hear(&mut self, line: &Line, now: Instant) {
        self.life.take_sign(now);
        self.batches.touch(line, now);
        if line.command == "BATCH" && !line.params.is_empty() {
            return self.hear_batch(line, now);
        }
        if self.batches.gather(line) || self.hear_business(line, now) || self.is_ended() {
            return;
        }
        let is_own = self.is_me(line.from_name());
        let is_wish = is_own
            && line.command == "NICK"
            && self.flights.is_nick_asked(&line.text(0), self.who().case);
        let attended = self.attend(line, is_own, now);
        self.watch_service(line);
        if attended != Attended::Taken {
            let answers = match attended {
                Attended::Answers(id) => Some(id),
                _ => None,
            };
            self.emit(Event::Line(Heard {
                line: line.clone(),
                batch: self.batches.of(line).map(|open| open.batch.clone()),
                is_own,
                me: self.me.name.as_str().into(),
                answers,
            }));
        }
        if is_own {
            self.hear_own(line, is_wish, now);
        } else {
            self.hear_other(line, now);
        }
    }

    /// Takes what is between the server and the session alone; whether it was that.
    fn hear_business(&mut self, line: &Line, now: Instant) -> bool {
        match line.command.as_str() {
            "PING" => self.pong(line),
            "PONG" => return self.hear_pong(line, now),
            "CAP" => self.hear_cap(line, now),
            "AUTHENTICATE" => self.hear_authenticate(&line.text(0), now),
            "ERROR" => {
                let text = String::from_utf8_lossy(line.last()).into_owned();
                match self.stage {
                    Stage::Quitting(_) => self.end(Ended::Quit),
                    _ => self.hear_error(text),
                }
            }
            _ => {
                let numeric = line.numeric();
                return numeric.is_some_and(|numeric| self.hear_numeric(numeric, line, now));
            }
        }
        true
    }

    fn pong(&mut self, line: &Line) {
        // Its words come back as they came.
        let pong = Line {
            command: "PONG".to_owned(),
            params: line.params.clone(),
            ..Line::default()
        };
        self.push_own(&pong);
    }

    fn hear_numeric(&mut self, numeric: u16, line: &Line, now: Instant) -> bool {
        match numeric {
            1 => self.hear_welcome(line, now),
            5 => self.isupport.take(line),
            376 | 422 => self.hear_motd_end(),
            396 => self.note_host(&line.text(1)),
            // Some servers leave out who is meant.
            410 | 421 | 451 if (0..2).any(|at| line.text(at).eq_ignore_ascii_case("CAP")) => {
                self.hear_no_caps(numeric == 410, now);
                return true;
            }
            421 if line.text(1).eq_ignore_ascii_case("AUTHENTICATE") => {
                return self.hear_login(numeric, line, now);
            }
            900..=908 => return self.hear_login(numeric, line, now),
            302 if self.registration.wants_host => {
                self.registration.wants_host = false;
                self.note_userhost(&line.text(1));
                return true;
            }
            421 if line.text(1).eq_ignore_ascii_case("USERHOST") => {
                return std::mem::take(&mut self.registration.wants_host);
            }
            731 => self.hear_offline(line, now),
            _ if self.stage == Stage::Registering => return self.hear_refusal(numeric, line),
            _ => {}
        }
        false
    }

    /// What the line is for what is in flight.
    fn attend(&mut self, line: &Line, is_own: bool, now: Instant) -> Attended {
        let attended = self.attend_label(line, now);
        if attended != Attended::Not {
            return attended;
        }
        if is_own && self.is_secret(line) {
            return Attended::Taken;
        }
        let batch = self.batches.of(line).map(|open| open.batch.clone());
        let who = self.who();
        // A history tells again what was said before: nothing in it is an echo.
        if let Some(batch) = batch.filter(|batch| batch.kind == "chathistory") {
            let target = batch.params.first().map_or("", String::as_str);
            return self.flights.take_history(target, line, &who, now);
        }
        let is_text = matches!(line.command.as_str(), "PRIVMSG" | "NOTICE" | "TAGMSG");
        if is_own && is_text && self.caps.has("echo-message") {
            let is_lone = !self.caps.has("znc.in/self-message");
            return match self.flights.take_echo(line, &who, is_lone) {
                true => Attended::Taken,
                false => Attended::Not,
            };
        }
        match self.flights.take(line, &who, now) {
            Attended::Not => self.attend_try(line),
            attended => attended,
        }
    }

    /// Takes the refusal of a nick that the session itself has tried.
    fn attend_try(&mut self, line: &Line) -> Attended {
        match line.numeric() {
            Some(numeric)
                if NICK_REFUSALS.contains(&numeric) && self.nicks.is_trying(&line.text(1)) =>
            {
                self.nicks.take_refusal(numeric);
                Attended::Taken
            }
            _ => Attended::Not,
        }
    }

    fn attend_label(&mut self, line: &Line, now: Instant) -> Attended {
        let own_label = line.tags.get("label").map(str::to_owned);
        let of_batch = self.batches.of(line).and_then(|open| open.label.clone());
        let Some(label) = own_label.clone().or(of_batch) else {
            return Attended::Not;
        };
        let who = self.who();
        let attended = self.flights.take_labelled(&label, line, &who, now);
        if own_label.is_some() {
            self.flights.end_label(&label, now);
        }
        attended
    }

    /// Whether it is the password for a service that comes back.
    fn is_secret(&self, line: &Line) -> bool {
        self.settings.nickserv.as_ref().is_some_and(|service| {
            self.who().case.is_same(&line.text(0), &service.service)
                && line.param(1) == Some(service.text().as_bytes())
        })
    }

    fn hear_batch(&mut self, line: &Line, now: Instant) {
        match self.batches.take(line, now) {
            Change::Opened(evicted) => {
                if let Some(open) = evicted {
                    self.close_batch(*open, now);
                }
            }
            Change::Closed(open) => self.close_batch(*open, now),
            Change::Nothing => {}
        }
    }

    /// Takes a batch that is complete, or counts as that.
    pub(super) fn close_batch(&mut self, open: Open, now: Instant) {
        let label = open.label.clone();
        let ends_label = label.clone().filter(|_| open.ends_label);
        let batch = open.batch.clone();
        if batch.kind == "chathistory" && label.is_none() {
            let target = batch.params.first().map_or("", String::as_str);
            let who = self.who();
            self.flights.end_history(target, &who);
        }
        if let Some(whole) = open.into_text() {
            let is_own = self.is_me(whole.first.from_name());
            if !(is_own && self.is_echo(&whole.first, label.as_deref(), batch.parent.is_some())) {
                self.attend_whole(&whole, (label.as_deref(), batch.parent.as_deref()), now);
                let Whole { first, lines } = whole;
                self.emit(Event::Multiline {
                    first,
                    lines,
                    batch: batch.parent.clone(),
                    is_own,
                    me: self.me.name.as_str().into(),
                });
            }
        }
        if let Some(label) = ends_label {
            self.flights.end_label(&label, now);
        }
        self.settle(now);
    }

    /// A text of several lines is one line of what it answers, such as a history.
    fn attend_whole(
        &mut self,
        whole: &Whole,
        (label, parent): (Option<&str>, Option<&Batch>),
        now: Instant,
    ) {
        let (line, who) = (whole.joined(), self.who());
        if let Some(label) = label {
            self.flights.take_labelled(label, &line, &who, now);
        } else if let Some(parent) = parent.filter(|parent| parent.kind == "chathistory") {
            let target = parent.params.first().map_or("", String::as_str);
            self.flights.take_history(target, &line, &who, now);
        }
    }

    fn is_echo(&mut self, first: &Line, label: Option<&str>, is_nested: bool) -> bool {
        if label.is_some_and(|label| self.flights.take_labelled_echo(label, Echo::of(first))) {
            return true;
        }
        let who = self.who();
        let may_be = !is_nested && self.caps.has("echo-message");
        may_be && self.flights.take_multiline_echo(first, &who)
    }

    /// Takes what the client itself has done, or was done to.
    fn hear_own(&mut self, line: &Line, is_wish: bool, now: Instant) {
        let is_told_again = self
            .batches
            .of(line)
            .is_some_and(|open| open.batch.kind == "chathistory");
        if is_told_again {
            return;
        }
        if let Some(Source {
            user: Some(user),
            host: Some(host),
            ..
        }) = &line.source
        {
            self.me.user = Some(user.clone());
            self.me.host = Some(host.clone());
        }
        match line.command.as_str() {
            "NICK" => self.hear_own_nick(&line.text(0), is_wish, now),
            "CHGHOST" => {
                self.me.user = Some(line.text(0).into_owned());
                self.me.host = Some(line.text(1).into_owned());
            }
            "ACCOUNT" => self.note_account(account(&line.text(0))),
            // With extended-join the account stands behind the channel.
            "JOIN" if line.params.len() > 2 => self.note_account(account(&line.text(1))),
            _ => {}
        }
    }

    fn hear_own_nick(&mut self, to: &str, is_wish: bool, now: Instant) {
        if to.is_empty() {
            return;
        }
        let from = std::mem::replace(&mut self.me.name, to.to_owned());
        let case = self.isupport.case_mapping();
        if is_wish {
            self.nicks.take_wish(to);
        } else if case.is_same(to, self.nicks.wanted()) {
            let wanted = self.nicks.wanted().to_owned();
            self.nicks.regained();
            if self.isupport.monitors().is_some() {
                self.push_own(&Line::new("MONITOR", ["-", &wanted]));
            }
        } else {
            self.nicks.take_renaming(now);
        }
        self.emit(Event::Nick {
            from,
            to: to.to_owned(),
        });
    }

    /// Looks whether the holder of the wanted nick has let it go.
    fn hear_other(&mut self, line: &Line, now: Instant) {
        let is_leaving = matches!(line.command.as_str(), "QUIT" | "NICK");
        let case = self.isupport.case_mapping();
        if is_leaving && case.is_same(line.from_name(), self.nicks.wanted()) {
            self.regain(now);
        }
    }

    /// Takes 731: who of those who are watched is not there.
    fn hear_offline(&mut self, line: &Line, now: Instant) {
        let case = self.isupport.case_mapping();
        let list = line.text(1).into_owned();
        let mut names = list.split(',').map(|mask| Source::parse(mask).name);
        if names.any(|name| case.is_same(&name, self.nicks.wanted())) {
            self.regain(now);
        }
    }

    /// Takes a host, or user and host.
    fn note_host(&mut self, shown: &str) {
        match shown.split_once('@') {
            Some((user, host)) => {
                self.me.user = Some(user.to_owned());
                self.me.host = Some(host.to_owned());
            }
            None => self.me.host = Some(shown.to_owned()),
        }
    }

    /// Takes `nick=+user@host`.
    fn note_userhost(&mut self, reply: &str) {
        let shown = reply.trim().split_once('=').map(|(_, shown)| shown);
        let shown = shown.map(|shown| shown.trim_start_matches(['+', '-']));
        if let Some(shown) = shown.filter(|shown| shown.contains('@') && !shown.contains(' ')) {
            self.note_host(shown);
        }
    }
}

/// An account as it stands in a line.
fn account(name: &str) -> Option<String> {
    (!matches!(name, "" | "*" | "0")).then(|| name.to_owned())
}
