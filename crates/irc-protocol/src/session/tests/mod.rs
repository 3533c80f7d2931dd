//! Sessions as transcripts: what the server says, what the client says, what it tells.

mod asks;
mod life;
mod login;
mod properties;
mod registration;
mod restore;
mod says;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::*;

/// A session at play. Each line of a transcript begins with a mark:
///
/// ```text
/// < the server says this          > the client says this next
/// ! the session tells this next   + so many seconds pass
/// ```
///
/// What the client says, and what it tells, must be in the transcript to the last line; lines that it only passes on are
/// left out, but where the transcript is `strict`.
struct Play {
    session: Session,
    now: Instant,
    sent: VecDeque<String>,
    told: VecDeque<String>,
    is_strict: bool,
}

impl Play {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(settings, now),
            now,
            sent: VecDeque::new(),
            told: VecDeque::new(),
            is_strict: false,
        }
    }

    /// A session that is ready, with these capabilities.
    fn ready(caps: &str) -> Self {
        let mut play = Self::new(settings());
        play.welcome(caps, "NICKLEN=30");
        play
    }

    fn welcome(&mut self, caps: &str, isupport: &str) {
        let mut lines = format!("< :srv CAP * LS :{caps}\n");
        if !caps.is_empty() {
            lines += &format!("< :srv CAP anna ACK :{caps}\n");
        }
        lines += &format!("< :srv 001 anna :Welcome\n< :srv 005 anna {isupport} :are\n");
        lines += "< :srv 422 anna :No MOTD\n< :srv 302 anna :anna=+~a@host.example";
        for line in lines.lines() {
            self.hear(line.strip_prefix("< ").expect("a line"));
        }
        self.collect();
        self.sent.clear();
        assert!(
            self.told.iter().any(|told| told == "ready"),
            "{:?}",
            self.told
        );
        self.told.clear();
    }

    fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    fn hear(&mut self, line: &str) {
        self.session
            .receive(format!("{line}\r\n").as_bytes(), self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(bytes) = self.session.poll_output(self.now) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(text.ends_with("\r\n"), "{text:?}");
            self.sent.extend(text.lines().map(str::to_owned));
        }
        while let Some(event) = self.session.poll_event() {
            let told = told(&event);
            if self.is_strict || !told.starts_with("line ") {
                self.told.push_back(told);
            }
        }
    }

    /// Lets time pass, as a caller does that wakes when it is told to.
    fn pass(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        for _ in 0..10_000 {
            let wake_at = self.session.wake_at().filter(|at| *at <= until);
            let Some(at) = wake_at else {
                self.now = until;
                self.session.tick(self.now);
                return self.collect();
            };
            self.now = self.now.max(at);
            self.session.tick(self.now);
            self.collect();
        }
        panic!("it wakes without end");
    }

    fn act(&mut self, transcript: &str) {
        self.collect();
        for line in transcript
            .lines()
            .map(str::trim_start)
            .filter(|line| !line.is_empty())
        {
            let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
            match mark {
                "<" => self.hear(rest),
                ">" => self.expect_sent(rest),
                "!" => assert_eq!(
                    self.told.pop_front().as_deref(),
                    Some(rest),
                    "sent {:?}",
                    self.sent
                ),
                "+" => self.pass(rest.parse().expect("seconds")),
                _ => panic!("no mark: {line}"),
            }
        }
        assert_eq!(self.sent, [""; 0], "said beside the transcript");
        assert_eq!(self.told, [""; 0], "told beside the transcript");
    }

    /// Whether the client says this next, with or without a colon that changes nothing.
    fn expect_sent(&mut self, wanted: &str) {
        let read = |text: &str| Line::parse(text.as_bytes()).ok();
        let sent = self.sent.pop_front().unwrap_or_default();
        let is_it = read(&sent) == read(wanted);
        assert!(is_it, "not {wanted:?} but {sent:?}, told {:?}", self.told);
    }

    fn say(&mut self, id: u64, target: &str, lines: &[&str]) {
        self.say_as(say(id, target, lines));
    }

    fn say_as(&mut self, say: Say) {
        self.session.say(say, self.now).expect("room");
        self.collect();
    }

    fn ask(&mut self, id: u64, line: &str) {
        let ask = Ask {
            id,
            line: Line::parse(line.as_bytes()).expect("a line"),
            priority: Priority::Membership,
        };
        self.session.ask(ask, self.now).expect("room");
        self.collect();
    }
}

/// One who wants to be Anna, and is in no hurry to be slow.
fn settings() -> Settings {
    Settings {
        nicks: vec!["anna".to_owned()],
        user: "a".to_owned(),
        realname: "Anna A".to_owned(),
        pace: Pace {
            line_ms: 0,
            ..Pace::default()
        },
        seed: 7,
        ..Settings::default()
    }
}

fn say(id: u64, target: &str, lines: &[&str]) -> Say {
    Say {
        id,
        target: target.to_owned(),
        command: SayCommand::Privmsg,
        lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
        tags: Vec::new(),
        as_multiline: false,
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::Ready => "ready".to_owned(),
        Event::Caps => "caps".to_owned(),
        Event::Nick { from, to } => format!("nick {from} {to}"),
        Event::Account(account) => format!("account {}", account.as_deref().unwrap_or("-")),
        Event::LoginFailed { text } => format!("login failed: {text}"),
        Event::Line(heard) => {
            let answers = heard
                .answers
                .map(|id| format!("[{id}] "))
                .unwrap_or_default();
            let own = if heard.is_own { "own " } else { "" };
            let batch = heard
                .batch
                .as_ref()
                .map(|batch| format!("({}) ", batch.kind));
            format!(
                "line {own}{}{answers}{:?}",
                batch.unwrap_or_default(),
                heard.line
            )
        }
        Event::Multiline {
            first,
            lines,
            is_own,
            ..
        } => {
            let own = if *is_own { "own " } else { "" };
            let lines = lines.iter().map(|(line, goes_on)| {
                let mark = if *goes_on { "+" } else { "|" };
                format!("{mark}{}", String::from_utf8_lossy(line))
            });
            format!("multiline {own}{first:?} {}", lines.collect::<String>())
        }
        Event::Begun { id } => format!("begun {id}"),
        Event::Written { id } => format!("written {id}"),
        Event::Said {
            id,
            proof: Proof::Barrier,
        } => format!("said {id} barrier"),
        Event::Said {
            id,
            proof: Proof::Echo { msgids, time },
        } => {
            let time = time.as_deref().map(|time| format!(" at {time}"));
            format!(
                "said {id} echo {}{}",
                msgids.join(","),
                time.unwrap_or_default()
            )
        }
        Event::Answered { id, lines } => {
            let lines: Vec<_> = lines.iter().map(|line| line.command.clone()).collect();
            format!("answered {id} {}", lines.join(" "))
        }
        Event::Refused {
            id,
            numeric,
            fail,
            text,
            ..
        } => {
            let numeric = numeric
                .map(|numeric| format!(" {numeric:03}"))
                .unwrap_or_default();
            let fail = fail
                .as_ref()
                .map(|code| format!(" {code}"))
                .unwrap_or_default();
            format!("refused {id}{numeric}{fail}: {text}")
        }
        Event::Sts { port, duration_s } => format!("sts {port:?} {duration_s:?}"),
        Event::Ended { why } => format!("ended {why:?}"),
    }
}
