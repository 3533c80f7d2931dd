//! A whole session between a server that says anything and a caller that wants anything: nothing panics, all that goes out
//! is a line within its limits, each order ends once, nothing follows the end, and silence ends it.

#![no_main]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bridgehead_fuzz::{Words, read_line};
use bridgehead_irc_protocol::{
    Line, Session,
    line::{MAX_CLIENT_TAGS_BYTES, MAX_LINE_BYTES},
    session::{Ask, Event, NickServ, Pace, Priority, Sasl, Say, SayCommand, Settings},
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    login: Login,
    is_slow: bool,
    is_tls: bool,
    /// The capabilities with which it is welcome before all else; none where it is to see to itself.
    welcome: Option<u8>,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Login {
    None,
    Plain,
    External,
    Scram,
    NickServ,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Hear(Words<'a>),
    Bytes(&'a [u8]),
    Say {
        target: u8,
        command: u8,
        lines: Vec<&'a [u8]>,
        tag: Option<(&'a str, &'a str)>,
        as_multiline: bool,
    },
    Ask(u8, &'a str),
    Send(u8, &'a str),
    Cancel(u8),
    Pass(u16),
    Pong,
    Echo {
        is_labelled: bool,
    },
    Quit(&'a str),
    Closed,
}

const CAPS: [&str; 4] = [
    "",
    "batch echo-message labeled-response message-tags draft/multiline=max-bytes=99,max-lines=3",
    "message-tags echo-message server-time",
    "batch labeled-response standard-replies",
];
const TARGETS: [&str; 5] = ["#c", "#d", "bob", "@#c", "NickServ"];
/// What is asked; what is given with it stands in the place of the dash.
const ORDERS: [&str; 10] = [
    "JOIN #c",
    "WHOIS bob",
    "MODE #c +o bob",
    "MODE #c b",
    "NICK -",
    "CHATHISTORY LATEST #c * 5",
    "TOPIC #c -",
    "PART #c -",
    "KICK #c bob -",
    "AWAY -",
];
const MAX_NICK_BYTES: usize = 64;
/// Lines that wait at most, as the session has it.
const MAX_QUEUED: usize = 8_000;

struct Play {
    session: Session,
    now: Instant,
    next_id: u64,
    open: BTreeSet<u64>,
    sent: Vec<Vec<u8>>,
    /// The longest line that the server has ever said to take.
    line_bytes: usize,
    is_over: bool,
}

fuzz_target!(|input: Input<'_>| {
    let mut play = Play::new(&input);
    if let Some(caps) = input.welcome {
        play.welcome(CAPS[usize::from(caps) % CAPS.len()]);
    }
    for step in &input.steps {
        play.take(step);
    }
    play.run_out();
});

impl Play {
    fn new(input: &Input<'_>) -> Self {
        let (account, password) = ("a".to_owned(), "b c".to_owned());
        let mut settings = Settings {
            nicks: vec!["anna".to_owned(), "bella".to_owned()],
            user: "a".to_owned(),
            realname: "Anna A".to_owned(),
            user_modes: Some("+i".to_owned()),
            is_tls: input.is_tls,
            seed: 7,
            ..Settings::default()
        };
        if !input.is_slow {
            settings.pace = Pace {
                line_ms: 0,
                ..Pace::default()
            };
        }
        match input.login {
            Login::None => {}
            Login::Plain => settings.sasl = Some(Sasl::Plain { account, password }),
            Login::External => settings.sasl = Some(Sasl::External { account: None }),
            Login::Scram => settings.sasl = Some(Sasl::ScramSha256 { account, password }),
            Login::NickServ => settings.nickserv = Some(NickServ::new(&account, &password)),
        }
        let now = Instant::now();
        let mut play = Self {
            session: Session::new(settings, now),
            now,
            next_id: 0,
            open: BTreeSet::new(),
            sent: Vec::new(),
            line_bytes: MAX_LINE_BYTES,
            is_over: false,
        };
        play.collect();
        play
    }

    fn welcome(&mut self, caps: &str) {
        let agreed = caps.replace("=max-bytes=99,max-lines=3", "");
        self.hear(format!(":srv CAP * LS :{caps}").as_bytes());
        self.hear(format!(":srv CAP * ACK :{agreed}").as_bytes());
        for line in [":srv 001 anna :Welcome", ":srv 376 anna :End"] {
            self.hear(line.as_bytes());
        }
    }

    fn hear(&mut self, line: &[u8]) {
        self.session.receive(&[line, b"\r\n"].concat(), self.now);
        self.collect();
    }

    fn take(&mut self, step: &Step<'_>) {
        match step {
            Step::Hear(words) => self.hear(&words.line()),
            Step::Bytes(bytes) => self.session.receive(bytes, self.now),
            Step::Say { .. } => self.say(step),
            Step::Ask(which, text) => {
                let ask = Ask {
                    id: self.next_id,
                    line: order(*which, text),
                    priority: Priority::Moderation,
                };
                if self.session.ask(ask, self.now).is_ok() {
                    self.note_order();
                }
            }
            Step::Send(which, text) => {
                // Refused or not: nobody is told of it.
                let _ = self.session.send(order(*which, text), Priority::Urgent);
            }
            Step::Cancel(id) => {
                let id = u64::from(*id);
                if self.session.cancel(id) {
                    assert!(self.open.remove(&id), "nothing that is over is taken back");
                }
            }
            Step::Pass(ms) => {
                self.now += Duration::from_millis(u64::from(*ms) * 10);
                self.session.tick(self.now);
            }
            Step::Pong => self.pong(),
            Step::Echo { is_labelled } => self.echo(*is_labelled),
            Step::Quit(reason) => self.session.quit(reason, self.now),
            Step::Closed => self.session.closed(),
        }
        self.collect();
    }

    fn say(&mut self, step: &Step<'_>) {
        let Step::Say {
            target,
            command,
            lines,
            tag,
            as_multiline,
        } = step
        else {
            return;
        };
        let target = TARGETS[usize::from(*target) % TARGETS.len()];
        // Most of what is said is said so.
        let command = match command {
            0 => SayCommand::Tagmsg,
            1..=40 => SayCommand::Notice,
            _ => SayCommand::Privmsg,
        };
        let room = self.session.payload_bytes(command.name(), target);
        let lines = lines
            .iter()
            .map(|line| line[..line.len().min(room)].to_vec());
        let say = Say {
            id: self.next_id,
            target: target.to_owned(),
            command,
            lines: lines.collect(),
            tags: tag
                .iter()
                .map(|(key, value)| (format!("+{key}"), (*value).to_owned()))
                .collect(),
            as_multiline: *as_multiline,
        };
        if self.session.say(say, self.now).is_ok() {
            self.note_order();
        }
    }

    fn note_order(&mut self) {
        self.open.insert(self.next_id);
        self.next_id += 1;
    }

    fn pong(&mut self) {
        let pings = self.sent.iter().rev();
        let token = pings.filter_map(|line| line.strip_prefix(b"PING ")).next();
        if let Some(token) = token.map(<[u8]>::to_vec) {
            self.session
                .receive(&[b":srv PONG srv ", &*token].concat(), self.now);
        }
    }

    fn echo(&mut self, is_labelled: bool) {
        let said = self.sent.iter().rev().map(|line| read_line(line));
        let Some(mut line) = said.into_iter().find(|line| line.command == "PRIVMSG") else {
            return;
        };
        if !is_labelled {
            line.tags = bridgehead_irc_protocol::Tags::default();
        }
        line.source = Some(self.session.source().clone());
        if let Ok(bytes) = line.to_bytes() {
            self.session.receive(&bytes, self.now);
        }
    }

    fn collect(&mut self) {
        self.line_bytes = self.line_bytes.max(self.session.isupport().line_bytes());
        assert!(self.session.queued() <= MAX_QUEUED);
        while let Some(bytes) = self.session.poll_output(self.now) {
            assert!(!self.is_over, "nothing is said after the end");
            assert!(bytes.ends_with(b"\r\n"));
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                self.check_line(line);
                self.sent.push(line.to_vec());
            }
            let old = self.sent.len().saturating_sub(64);
            self.sent.drain(..old);
        }
        while let Some(event) = self.session.poll_event() {
            assert!(!self.is_over, "nothing is told after the end: {event:?}");
            match event {
                Event::Said { id, .. } | Event::Answered { id, .. } | Event::Refused { id, .. } => {
                    assert!(self.open.remove(&id), "{id} ends twice");
                }
                Event::Ended { .. } => self.is_over = true,
                _ => {}
            }
        }
    }

    /// One line, as long as a client's may be; tags count apart.
    fn check_line(&self, bytes: &[u8]) {
        let line = read_line(bytes);
        assert!(line.source.is_none(), "clients name no source: {line:?}");
        let tags = match bytes.first() {
            Some(b'@') => bytes
                .iter()
                .position(|byte| *byte == b' ')
                .map_or(0, |at| at + 1),
            _ => 0,
        };
        assert!(tags <= MAX_CLIENT_TAGS_BYTES, "{line:?}");
        assert!(
            bytes.len() - tags <= self.line_bytes,
            "{} of {line:?}",
            bytes.len() - tags
        );
    }

    /// Nothing comes any more: it ends by itself, and does not wake for nothing.
    fn run_out(&mut self) {
        for _ in 0..20_000 {
            let Some(at) = self.session.wake_at() else {
                assert!(self.is_over, "it waits without end");
                return;
            };
            let before = self.now;
            self.now = self.now.max(at);
            self.session.tick(self.now);
            self.collect();
            let next = self.session.wake_at();
            let is_stuck = self.now == before && next.is_some_and(|next| next <= before);
            assert!(!is_stuck, "it wakes for nothing");
        }
        panic!("a silent server is waited for without end");
    }
}

fn order(which: u8, text: &str) -> Line {
    let words = ORDERS[usize::from(which) % ORDERS.len()].split(' ');
    let mut words = words.map(|word| if word == "-" { text } else { word });
    let command = words.next().unwrap_or_default();
    if command == "NICK" && text.len() > MAX_NICK_BYTES {
        // Only texts are cut by the session; who asks for a nick sees to its length.
        return Line::new(command, ["anna"]);
    }
    let words: Vec<&str> = words.collect();
    Line::new(command, words)
}
