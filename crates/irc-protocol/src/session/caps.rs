//! Capabilities: what the server offers, what is asked for, what was agreed (IRCv3 capability-negotiation).
//!
//! Only what is on a fixed list is asked for: some servers plant capabilities that clients must not want. A request that
//! is refused is asked again one by one, so that one poisoned capability costs nothing but itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::event::Multiline;
use crate::Line;

/// All that is ever asked for.
const WANTED: [&str; 29] = [
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
    "draft/multiline",
    "draft/relaymsg",
    "echo-message",
    "extended-join",
    "extended-monitor",
    "draft/extended-monitor",
    "inspircd.org/standard-replies",
    "invite-notify",
    "labeled-response",
    "message-tags",
    "multi-prefix",
    "overdrivenetworks.com/relaymsg",
    "sasl",
    "server-time",
    "setname",
    "standard-replies",
    "userhost-in-names",
    "znc.in/self-message",
    "znc.in/server-time-iso",
];
/// Capabilities of an offer that are kept.
const MAX_OFFERED: usize = 256;
/// Bytes of a name with its value that are kept.
const MAX_CAP_BYTES: usize = 1024;
/// Bytes of names in one request, so that the answer fits in a line too.
const MAX_REQUEST_BYTES: usize = 350;
/// Lines of a message where the server sets no limit.
const MAX_MULTILINE_LINES: usize = 100;

/// What the server offers, what is asked for, what was agreed.
#[derive(Debug, Default)]
pub(super) struct Caps {
    offered: BTreeMap<String, Option<String>>,
    agreed: BTreeSet<String>,
    /// Requests that have no answer yet, in the order in which they were made.
    asked: VecDeque<Vec<String>>,
    nacked: BTreeSet<String>,
    is_listed: bool,
    /// Never asked for.
    refused: Vec<String>,
    /// Whether a login is wanted at all.
    wants_sasl: bool,
}

/// What a line about capabilities leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Requests to send: names with spaces between.
    pub(super) requests: Vec<String>,
    /// Whether what was agreed is another now.
    pub(super) has_changed: bool,
    /// The value of `sts`, where it was offered.
    pub(super) sts: Option<String>,
}

impl Caps {
    pub(super) fn new(refused: &[String], wants_sasl: bool) -> Self {
        Self {
            refused: refused.to_vec(),
            wants_sasl,
            ..Self::default()
        }
    }

    /// As they were agreed by a session that goes on here.
    pub(super) fn restore(
        &mut self,
        offered: BTreeMap<String, Option<String>>,
        agreed: BTreeSet<String>,
    ) {
        // What was offered and not agreed was refused, or is not wanted now.
        self.nacked = offered
            .keys()
            .filter(|cap| !agreed.contains(*cap))
            .cloned()
            .collect();
        (self.offered, self.agreed) = (offered, agreed);
        self.is_listed = true;
    }

    pub(super) fn offered(&self) -> &BTreeMap<String, Option<String>> {
        &self.offered
    }

    pub(super) fn agreed(&self) -> &BTreeSet<String> {
        &self.agreed
    }

    /// Takes a `CAP` from the server.
    pub(super) fn take(&mut self, line: &Line) -> Step {
        let has_more = line.params.len() > 3 && line.param(2) == Some(b"*");
        let list = String::from_utf8_lossy(line.last()).into_owned();
        let names = || list.split_ascii_whitespace();
        let mut step = Step::default();
        match line.text(1).to_ascii_uppercase().as_str() {
            "LS" | "NEW" => {
                step.sts = self.offer(names());
                if !has_more {
                    self.is_listed = true;
                    step.requests = self.request();
                }
            }
            "ACK" => step.has_changed = self.agree(names()),
            "NAK" => step.requests = self.refuse(names()),
            "DEL" => {
                for name in names() {
                    self.offered.remove(name);
                    self.nacked.remove(name);
                    step.has_changed |= self.agreed.remove(name);
                }
            }
            _ => {}
        }
        step
    }

    fn offer<'a>(&mut self, caps: impl Iterator<Item = &'a str>) -> Option<String> {
        let mut sts = None;
        for cap in caps.filter(|cap| cap.len() <= MAX_CAP_BYTES) {
            let cap = cap.trim_start_matches(['=', '~']);
            let (name, value) = match cap.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (cap, None),
            };
            if name == "sts" {
                sts.clone_from(&value);
            }
            if self.offered.len() < MAX_OFFERED || self.offered.contains_key(name) {
                self.offered.insert(name.to_owned(), value);
            }
        }
        sts
    }

    fn is_wanted(&self, name: &str) -> bool {
        let has = |name: &str| self.offered.contains_key(name);
        let is_possible = match name {
            "sasl" => self.wants_sasl,
            // An echo that bears neither a label nor an id proves no more than a barrier, and doubles the traffic.
            "echo-message" => has("message-tags") || (has("labeled-response") && has("batch")),
            "labeled-response" | "draft/multiline" | "draft/chathistory" => has("batch"),
            "draft/event-playback" => has("draft/chathistory"),
            "znc.in/server-time-iso" => !has("server-time"),
            _ => true,
        };
        is_possible
            && WANTED.contains(&name)
            && has(name)
            && !self.agreed.contains(name)
            && !self.nacked.contains(name)
            && !self.asked.iter().flatten().any(|asked| asked == name)
            && !self.refused.iter().any(|refused| refused == name)
    }

    /// Asks for all that is wanted and was not asked for.
    fn request(&mut self) -> Vec<String> {
        let wanted: Vec<String> = self.offered.keys().cloned().collect();
        let wanted = wanted.into_iter().filter(|name| self.is_wanted(name));
        let mut requests: Vec<Vec<String>> = Vec::new();
        let mut bytes = 0;
        for name in wanted {
            bytes += name.len() + 1;
            match requests.last_mut() {
                Some(last) if bytes <= MAX_REQUEST_BYTES => last.push(name),
                _ => {
                    bytes = name.len() + 1;
                    requests.push(vec![name]);
                }
            }
        }
        self.ask(requests)
    }

    fn ask(&mut self, requests: Vec<Vec<String>>) -> Vec<String> {
        let lines = requests.iter().map(|names| names.join(" ")).collect();
        self.asked.extend(requests);
        lines
    }

    /// Notes what is agreed; whether that changes anything.
    fn agree<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> bool {
        let mut has_changed = false;
        for name in names {
            let name = name.trim_start_matches(['=', '~']);
            match name.strip_prefix('-') {
                Some(gone) => has_changed |= self.agreed.remove(gone),
                // What was never asked for is not agreed, whatever the server says.
                None if WANTED.contains(&name) => {
                    has_changed |= self.agreed.insert(name.to_owned());
                }
                None => {}
            }
        }
        let agreed = &self.agreed;
        for asked in &mut self.asked {
            asked.retain(|name| !agreed.contains(name));
        }
        self.asked.retain(|asked| !asked.is_empty());
        has_changed
    }

    /// Asks one by one for what was refused together.
    fn refuse<'a>(&mut self, mut names: impl Iterator<Item = &'a str>) -> Vec<String> {
        // Servers answer in order, but some cut the names that they repeat.
        let found = names.next().and_then(|first| {
            let mut asked = self.asked.iter();
            asked.position(|asked| asked.iter().any(|name| name == first))
        });
        let Some(refused) = self.asked.remove(found.unwrap_or(0)) else {
            return Vec::new();
        };
        if refused.len() == 1 {
            self.nacked.extend(refused);
            return Vec::new();
        }
        self.ask(refused.into_iter().map(|name| vec![name]).collect())
    }

    /// Gives up on requests that were never answered.
    pub(super) fn give_up(&mut self) {
        self.nacked.extend(self.asked.drain(..).flatten());
        self.is_listed = true;
    }

    /// Whether the server has said all that it offers, and has answered every request.
    pub(super) fn is_settled(&self) -> bool {
        self.is_listed && self.asked.is_empty()
    }

    /// Whether the server has said all that it offers.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Whether requests wait for an answer.
    pub(super) fn is_asking(&self) -> bool {
        !self.asked.is_empty()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.agreed.contains(name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.offered.get(name)?.as_deref()
    }

    /// Whether labels may be put on lines, and their answers told apart.
    pub(super) fn has_labels(&self) -> bool {
        self.has("labeled-response") && self.has("batch")
    }

    /// What a message of several lines may hold.
    pub(super) fn multiline(&self) -> Option<Multiline> {
        if !self.has("draft/multiline") || !self.has("batch") {
            return None;
        }
        let limit = |key: &str| {
            let mut tokens = self.value("draft/multiline")?.split(',');
            tokens.find_map(|token| token.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
        };
        Some(Multiline {
            max_bytes: limit("max-bytes")?,
            max_lines: limit("max-lines").unwrap_or(MAX_MULTILINE_LINES),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(caps: &mut Caps, line: &str) -> Step {
        caps.take(&Line::parse(line.as_bytes()).expect("a line"))
    }

    #[test]
    fn only_what_is_on_the_list_is_asked_for() {
        let mut caps = Caps::new(&["away-notify".to_owned()], false);
        let first = take(
            &mut caps,
            ":s CAP * LS * :batch inspircd.org/poison sasl=PLAIN",
        );
        assert_eq!(first, Step::default());
        let last = take(&mut caps, ":s CAP * LS :away-notify setname sts=port=6697");
        assert_eq!(last.requests, ["batch setname"]);
        assert_eq!(last.sts.as_deref(), Some("port=6697"));
        assert!(!caps.is_settled());
        assert!(take(&mut caps, ":s CAP me ACK :batch setname ").has_changed);
        assert!(caps.is_settled());
        assert!(caps.has("batch") && !caps.has("sasl"));
        assert_eq!(caps.value("sasl"), Some("PLAIN"));
    }

    #[test]
    fn an_echo_is_wanted_where_it_says_more_than_a_barrier() {
        for (offer, asked) in [
            ("echo-message", ""),
            ("echo-message labeled-response", ""),
            ("echo-message message-tags", "echo-message message-tags"),
            (
                "echo-message labeled-response batch",
                "batch echo-message labeled-response",
            ),
        ] {
            let step = take(&mut Caps::default(), &format!(":s CAP * LS :{offer}"));
            assert_eq!(step.requests.join(""), asked, "{offer}");
        }
    }

    #[test]
    fn one_poisoned_capability_costs_nothing_but_itself() {
        let mut caps = Caps::default();
        take(&mut caps, ":s CAP * LS :batch chghost setname");
        let again = take(&mut caps, ":s CAP me NAK :batch chghost setname");
        assert_eq!(again.requests, ["batch", "chghost", "setname"]);
        take(&mut caps, ":s CAP me ACK :batch");
        assert_eq!(take(&mut caps, ":s CAP me NAK :chghost").requests, [""; 0]);
        take(&mut caps, ":s CAP me ACK :setname");
        assert!(caps.is_settled());
        assert!(caps.has("batch") && caps.has("setname") && !caps.has("chghost"));
        // It is not asked for again, unless it was away meanwhile.
        assert_eq!(take(&mut caps, ":s CAP me NEW :chghost").requests, [""; 0]);
        take(&mut caps, ":s CAP me DEL :chghost");
        assert_eq!(
            take(&mut caps, ":s CAP me NEW :chghost").requests,
            ["chghost"]
        );
    }

    #[test]
    fn what_was_never_asked_for_is_not_agreed() {
        let mut caps = Caps::default();
        assert!(!take(&mut caps, ":s CAP me ACK :inspircd.org/poison").has_changed);
        assert!(!caps.has("inspircd.org/poison"));
    }

    #[test]
    fn requests_fit_in_lines() {
        let offer = WANTED.join(" ");
        let mut caps = Caps::new(&[], true);
        let step = take(&mut caps, &format!(":s CAP * LS :{offer}"));
        assert!(step.requests.len() > 1);
        assert!(step.requests.iter().all(|names| names.len() < 400));
        let asked: usize = step
            .requests
            .iter()
            .map(|names| names.split(' ').count())
            .sum();
        assert_eq!(asked, WANTED.len() - 1);
    }

    #[test]
    fn limits_of_a_message_of_several_lines() {
        let mut caps = Caps::default();
        take(
            &mut caps,
            ":s CAP * LS :batch draft/multiline=max-bytes=4096,max-lines=24",
        );
        assert_eq!(caps.multiline(), None);
        take(&mut caps, ":s CAP me ACK :batch draft/multiline");
        let limits = caps.multiline().expect("agreed");
        assert_eq!((limits.max_bytes, limits.max_lines), (4096, 24));
    }
}
