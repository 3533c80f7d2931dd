//! What holds whatever comes, in whatever pieces and order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What may happen to a session.
#[derive(Clone, Debug)]
enum Step {
    Hear(String),
    Bytes(Vec<u8>),
    Say(u8, u8),
    Ask(u8),
    Cancel(u8),
    Pass(u16),
    Pong,
    Echo(bool),
    Quit,
}

fn line() -> impl Strategy<Value = String> {
    let tags = prop_oneof![
        4 => Just(String::new()),
        1 => (0..20_u8).prop_map(|label| format!("@label=b{label} ")),
        1 => (0..4_u8).prop_map(|batch| format!("@batch={batch} ")),
    ];
    let source = prop_oneof![
        Just(":srv "),
        Just(":anna!a@h "),
        Just(":bob!b@h "),
        Just("")
    ];
    let command = prop_oneof![
        (1..999_u16).prop_map(|numeric| format!("{numeric:03}")),
        prop::sample::select(vec![
            "PRIVMSG",
            "NICK",
            "JOIN",
            "QUIT",
            "CAP",
            "BATCH",
            "AUTHENTICATE",
            "PING",
            "PONG",
            "FAIL",
            "ACK",
            "MODE",
            "ACCOUNT",
            "CHGHOST",
            "KICK",
        ])
        .prop_map(str::to_owned),
    ];
    let word = prop::sample::select(vec![
        "anna",
        "bob",
        "#c",
        "#d",
        "+0",
        "+1",
        "-0",
        "-1",
        "draft/multiline",
        "labeled-response",
        "chathistory",
        "LS",
        "ACK",
        "NAK",
        "NEW",
        "DEL",
        "*",
        ":",
        ":sasl batch echo-message labeled-response message-tags draft/multiline=max-bytes=99",
        "PRIVMSG",
        "+",
        "barrier-1",
        "text",
        "+r",
    ]);
    (tags, source, command, prop::collection::vec(word, 0..5)).prop_map(
        |(tags, source, command, words)| format!("{tags}{source}{command} {}", words.join(" ")),
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => line().prop_map(Step::Hear),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Step::Bytes),
        3 => (0..3_u8, 1..4_u8).prop_map(|(target, lines)| Step::Say(target, lines)),
        1 => (0..5_u8).prop_map(Step::Ask),
        1 => any::<u8>().prop_map(Step::Cancel),
        2 => (0..3_000_u16).prop_map(Step::Pass),
        2 => Just(Step::Pong),
        3 => any::<bool>().prop_map(Step::Echo),
        1 => prop_oneof![20 => Just(Step::Pong), 1 => Just(Step::Quit)],
    ]
}

/// What a server does that is in order, and its client.
fn orderly() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, 1..4_u8).prop_map(|(target, lines)| Step::Say(target, lines)),
        1 => (0..5_u8).prop_map(Step::Ask),
        1 => (0..200_u16).prop_map(Step::Pass),
        2 => Just(Step::Pong),
        3 => any::<bool>().prop_map(Step::Echo),
        1 => prop::sample::select(vec![":srv 404 anna #c :No", ":srv 401 anna bob :No", ":srv 433 anna bella :No"])
            .prop_map(|line| Step::Hear(line.to_owned())),
    ]
}

/// A session, and what it owes.
struct Model {
    session: Session,
    now: Instant,
    next_id: u64,
    /// Taken, and neither ended nor taken back.
    open: BTreeSet<u64>,
    written: Vec<(String, u64)>,
    last_sent: Vec<String>,
    is_over: bool,
}

const TARGETS: [&str; 3] = ["#c", "#d", "bob"];
const ASKS: [&str; 5] = [
    "JOIN #c",
    "WHOIS bob",
    "MODE #c +o bob",
    "NICK bella",
    "CHATHISTORY LATEST #c * 5",
];

impl Model {
    fn new() -> Self {
        let now = Instant::now();
        let settings = Settings {
            sasl: Some(Sasl::Plain {
                account: "a".to_owned(),
                password: "b".to_owned(),
            }),
            pace: Pace {
                burst_lines: 3,
                line_ms: 500,
                hundred_bytes_ms: 50,
            },
            ..settings()
        };
        Self {
            session: Session::new(settings, now),
            now,
            next_id: 0,
            open: BTreeSet::new(),
            written: Vec::new(),
            last_sent: Vec::new(),
            is_over: false,
        }
    }

    fn hear(&mut self, text: &str) {
        self.session
            .receive(format!("{text}\r\n").as_bytes(), self.now);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Hear(text) => self.hear(&text),
            Step::Bytes(bytes) => self.session.receive(&bytes, self.now),
            Step::Say(target, lines) => self.say(TARGETS[usize::from(target)], lines),
            Step::Ask(which) => self.ask(ASKS[usize::from(which)]),
            Step::Cancel(id) => {
                if self.session.cancel(u64::from(id)) {
                    assert!(
                        self.open.remove(&u64::from(id)),
                        "nothing that is over is taken back"
                    );
                }
            }
            Step::Pass(ms) => {
                self.now += Duration::from_millis(u64::from(ms) * 10);
                self.session.tick(self.now);
            }
            Step::Pong => {
                let ping = self
                    .last_sent
                    .iter()
                    .rev()
                    .find_map(|line| line.strip_prefix("PING "));
                if let Some(token) = ping.map(str::to_owned) {
                    self.hear(&format!(":srv PONG srv :{token}"));
                }
            }
            Step::Echo(is_labelled) => {
                let said = self
                    .last_sent
                    .iter()
                    .rev()
                    .find(|line| line.contains("PRIVMSG"));
                if let Some(line) = said.cloned() {
                    let (tags, rest) = match line
                        .strip_prefix('@')
                        .and_then(|line| line.split_once(' '))
                    {
                        Some((tags, rest)) if is_labelled => (format!("@{tags} "), rest.to_owned()),
                        Some((_, rest)) => (String::new(), rest.to_owned()),
                        None => (String::new(), line),
                    };
                    let nick = self.session.nick().to_owned();
                    self.hear(&format!("{tags}:{nick}!a@h {rest}"));
                }
            }
            Step::Quit => self.session.quit("bye", self.now),
        }
        self.collect();
    }

    fn say(&mut self, target: &str, lines: u8) {
        let id = self.next_id;
        let lines: Vec<_> = (0..lines).map(|part| format!("{id} {part}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut say = say(id, target, &lines);
        say.as_multiline = id.is_multiple_of(3);
        if self.session.say(say, self.now).is_ok() {
            self.open.insert(id);
            self.next_id += 1;
        }
    }

    fn ask(&mut self, line: &str) {
        let id = self.next_id;
        let ask = Ask {
            id,
            line: Line::parse(line.as_bytes()).expect("a line"),
            priority: Priority::Moderation,
        };
        if self.session.ask(ask, self.now).is_ok() {
            self.open.insert(id);
            self.next_id += 1;
        }
    }

    fn collect(&mut self) {
        while let Some(bytes) = self.session.poll_output(self.now) {
            assert!(!self.is_over, "nothing is said after the end");
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(text.ends_with("\r\n"));
            for line in text.lines() {
                assert!(line.len() <= 512 + 4096);
                if let Some((target, said)) = line
                    .split_once("PRIVMSG ")
                    .and_then(|(_, rest)| rest.split_once(" :"))
                {
                    let id = said.split(' ').next().and_then(|id| id.parse().ok());
                    self.written.extend(id.map(|id| (target.to_owned(), id)));
                }
                self.last_sent.push(line.to_owned());
            }
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

    fn welcome(&mut self, caps: &str) {
        let agreed = caps.replace("=max-bytes=99,max-lines=3", "");
        self.hear(&format!(":srv CAP * LS :{caps}"));
        self.hear(&format!(":srv CAP * ACK :{agreed}"));
        self.hear(":srv 001 anna :Welcome");
        self.hear(":srv 376 anna :End");
        self.collect();
        assert!(self.session.is_ready());
    }

    fn assert_bounds(&self) {
        let session = &self.session;
        assert!(session.out.lines() <= 1_000);
        assert!(
            session.flights.len() <= 64 + 64 + 3,
            "{}",
            session.flights.len()
        );
    }

    /// Lets time pass without anything coming, until nothing is owed any more.
    fn run_out(&mut self) {
        for _ in 0..20_000 {
            let Some(at) = self.session.wake_at() else {
                assert!(self.is_over);
                return;
            };
            let before = self.now;
            self.now = self.now.max(at);
            self.session.tick(self.now);
            self.collect();
            let is_stuck =
                self.session.wake_at().is_some_and(|next| next <= before) && self.now == before;
            assert!(!is_stuck, "it wakes for nothing");
        }
        panic!("a silent server is waited for without end");
    }

    fn assert_order(&self) {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for (target, id) in &self.written {
            let before = last.insert(target, *id).unwrap_or(0);
            assert!(before <= *id, "{target}: {id} after {before}");
        }
    }
}

const CAPS: [&str; 4] = [
    "",
    "batch echo-message labeled-response message-tags draft/multiline=max-bytes=99,max-lines=3",
    "message-tags echo-message",
    "batch labeled-response",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_ends_once_and_in_order(
        caps in prop::sample::select(CAPS.to_vec()),
        is_welcome: bool,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut model = Model::new();
        if is_welcome {
            model.welcome(caps);
        }
        for step in steps {
            model.take(step);
            model.assert_bounds();
        }
        model.assert_order();
        model.run_out();
        model.assert_order();
    }

    #[test]
    fn with_a_server_that_answers_everything_ends(
        caps in prop::sample::select(CAPS.to_vec()),
        steps in prop::collection::vec(orderly(), 0..60),
    ) {
        let mut model = Model::new();
        model.welcome(caps);
        for step in steps {
            model.take(step);
        }
        for _ in 0..2_000 {
            if model.open.is_empty() && model.session.flights.is_idle() {
                break;
            }
            model.take(Step::Pong);
            model.take(Step::Pass(50));
        }
        prop_assert!(!model.is_over);
        prop_assert_eq!(model.open, BTreeSet::new());
        prop_assert!(model.session.flights.is_idle(), "something is remembered that is over");
        prop_assert_eq!(model.session.queued(), 0);
    }

    #[test]
    fn any_bytes_in_any_pieces(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
        let mut model = Model::new();
        for piece in pieces {
            model.take(Step::Bytes(piece));
        }
        model.run_out();
    }

    #[test]
    fn pieces_do_not_matter(lines in prop::collection::vec(line(), 0..20), cut in 1_usize..40) {
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let outcome = |pieces: Vec<&[u8]>| {
            let mut model = Model::new();
            let mut events = Vec::new();
            model.now = model.session.life.began_at;
            for piece in pieces {
                model.session.receive(piece, model.now);
            }
            while let Some(event) = model.session.poll_event() {
                events.push(told(&event));
            }
            events
        };
        prop_assert_eq!(outcome(text.as_bytes().chunks(cut).collect()), outcome(vec![text.as_bytes()]));
    }
}

proptest! {
    /// Whatever a server makes of `sts`: a password goes out in the clear only where no port was named, and an encrypted
    /// session goes on.
    #[test]
    fn a_wish_for_encryption_is_read_from_anything(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "port=6697", "port=0", "port=65536", "port=x", "port", "duration=5", "duration=-1", "preload", "", "=",
            ]),
            0..5,
        ),
        is_tls: bool,
    ) {
        let now = Instant::now();
        let settings = Settings { is_tls, password: Some("secret".to_owned()), ..settings() };
        let mut session = Session::new(settings, now);
        session.receive(format!(":srv CAP * LS :batch sts={}\r\n", tokens.join(",")).as_bytes(), now);
        let sent: Vec<u8> = std::iter::from_fn(|| session.poll_output(now)).flatten().collect();
        let sent = String::from_utf8(sent).expect("text");
        let ended = std::iter::from_fn(|| session.poll_event())
            .any(|event| event == Event::Ended { why: Ended::TlsWanted(6697) });
        let port = tokens.iter().find(|token| token.starts_with("port="));
        let wants_tls = !is_tls && port == Some(&"port=6697");
        prop_assert_eq!(ended, wants_tls);
        prop_assert_eq!(sent.contains("secret"), !wants_tls);
    }
}
