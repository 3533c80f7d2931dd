//! What is asked for, and what of the answers is news.

use std::time::{Duration, Instant};

use bridgehead_irc_protocol::{
    CaseMapping, Isupport, Line, Source,
    channels::{Kind, Place as Where, Said, server_time},
};

use super::fetching::{Fetching, MAX_TALKS, Question};
use crate::ids::is_nick;

/// What was said until then was heard.
const SINCE: i64 = 1_000_000;
/// Messages of one talk that are fetched.
const MESSAGES: usize = 6;

fn talk_of(target: &str) -> Option<String> {
    let is_talk = is_nick(target) && !Isupport::default().is_channel(target);
    is_talk.then(|| CaseMapping::Ascii.fold(target))
}

fn last(target: &str, at_ms: i64) -> Line {
    Line::new("CHATHISTORY", ["TARGETS", target, &server_time(at_ms)])
}

fn said(nick: &str, text: &str, at_ms: i64) -> Said {
    Said {
        place: Where::Private,
        who: Source::named(nick),
        is_own: false,
        is_server: false,
        kind: Kind::Text,
        text: text.as_bytes().to_vec(),
        msgid: None,
        time_ms: Some(at_ms),
        account: None,
        reply_to: None,
        label: None,
        relayed_by: None,
        is_bot: false,
    }
}

/// A fetching that has been told that `bob` has said something.
fn fetching_bob() -> Fetching {
    let mut fetching = Fetching::new(SINCE, Instant::now());
    fetching.next(2);
    fetching.listed(&[last("bob", SINCE + 9)], (2, MESSAGES), talk_of);
    fetching
}

/// Answers the question for the next page of Bob with what he has said; what of it is news, and whether the talk is over.
fn answer(fetching: &mut Fetching, all: &[(&str, i64)]) -> (Vec<String>, bool) {
    let question = fetching.next(2);
    assert!(
        matches!(question, Some(Question::Talk { .. })),
        "{question:?}"
    );
    let mut lines = Vec::new();
    for (text, at_ms) in all {
        let mut line = Line::new("PRIVMSG", ["me", text]).from(Source::named("bob"));
        line.tags.set("time", &server_time(*at_ms));
        lines.push(line);
        fetching.hear(&said("bob", text, *at_ms));
    }
    let fetched = fetching.fetched(&lines, 2);
    let news = fetched.news.iter();
    let news = news.map(|said| String::from_utf8_lossy(&said.text).into_owned());
    (news.collect(), fetched.cut.is_some())
}

#[test]
fn talks_are_asked_for_one_after_another_and_channels_are_not() {
    let mut fetching = Fetching::new(SINCE, Instant::now());
    let since_ms = SINCE - 1;
    assert_eq!(fetching.next(4), Some(Question::Talks { since_ms }));
    assert!(fetching.is_asked());
    let lines = [
        last("#tea", SINCE + 1),
        last("Bob", SINCE + 2),
        last("bob", SINCE + 2),
        last("eve", SINCE + 3),
    ];
    assert!(!fetching.listed(&lines, (5, MESSAGES), talk_of));
    for nick in ["Bob", "eve"] {
        let question = Question::Talk {
            nick: nick.to_owned(),
            after_ms: since_ms,
            page: 4,
        };
        assert_eq!(fetching.next(4), Some(question));
        fetching.fetched(&[], 4);
    }
    assert_eq!(fetching.next(4), None);
}

#[test]
fn where_the_answer_is_full_it_is_asked_for_more_but_not_for_ever() {
    let mut fetching = Fetching::new(SINCE, Instant::now());
    let mut asked = 0;
    while let Some(Question::Talks { since_ms }) = fetching.next(2) {
        assert_eq!(since_ms, SINCE - 1 + asked);
        asked += 1;
        let lines = [last("#a", SINCE + asked), last("#b", SINCE + asked)];
        fetching.listed(&lines, (2, MESSAGES), talk_of);
    }
    assert_eq!(asked, 10);
}

#[test]
fn an_answer_without_end_is_bounded() {
    let mut fetching = Fetching::new(SINCE, Instant::now());
    fetching.next(100);
    let lines: Vec<Line> = (0..5_000)
        .map(|at| last(&format!("n{at}"), SINCE + at))
        .collect();
    let are_more = fetching.listed(&lines, (100, MESSAGES), talk_of);
    assert!(are_more);
    let mut talks = 0;
    while fetching.next(100).is_some() {
        talks += 1;
        for at in 0..5_000 {
            fetching.hear(&said("n", "spam", SINCE + at));
        }
        let brought = fetching.fetched(&[], 100).news.len();
        assert!(brought <= 200, "{brought} at once");
    }
    assert_eq!(talks, MAX_TALKS);
}

#[test]
fn pages_are_brought_once_and_in_order_until_the_talk_is_over() {
    let mut fetching = fetching_bob();
    // What was said in the same millisecond as the last that was heard has no id, and was heard.
    let first = [("heard", SINCE), ("a", SINCE + 1)];
    assert_eq!(answer(&mut fetching, &first), (vec!["a".to_owned()], false));
    let second = [("a", SINCE + 1), ("b", SINCE + 1)];
    assert_eq!(
        answer(&mut fetching, &second),
        (vec!["b".to_owned()], false)
    );
    let third = [("c", SINCE + 2)];
    assert_eq!(answer(&mut fetching, &third), (vec!["c".to_owned()], false));
    assert_eq!(fetching.next(2), None);
    assert_eq!(fetching.newest_ms(), SINCE + 2);
}

#[test]
fn a_talk_that_goes_on_for_too_long_is_cut() {
    let mut fetching = fetching_bob();
    for turn in 0..3 {
        let at_ms = SINCE + 10 * (turn + 1);
        let (news, is_cut) = answer(&mut fetching, &[("x", at_ms), ("y", at_ms + 1)]);
        assert_eq!((news.len(), is_cut), (2, turn == 2));
    }
    assert_eq!(fetching.next(2), None);
}

#[test]
fn what_is_said_now_waits_for_what_was_said_before_and_comes_once() {
    let now = Instant::now();
    let mut fetching = fetching_bob();
    assert!(!fetching.hold("eve", (&said("eve", "hi", SINCE + 5), None), now));
    assert!(fetching.hold("bob", (&said("bob", "b", SINCE + 5), None), now));
    assert!(fetching.hold("bob", (&said("bob", "c", SINCE + 6), None), now));
    assert!(fetching.release(false).is_empty());
    fetching.next(9);
    // The history has the first of them already.
    for (text, at_ms) in [("a", SINCE + 4), ("b", SINCE + 5)] {
        fetching.hear(&said("bob", text, at_ms));
    }
    let fetched = fetching.fetched(&[], 9);
    assert_eq!(fetched.news.len(), 2);
    let held: Vec<&[u8]> = fetched
        .held
        .iter()
        .map(|held| &held.said.text[..])
        .collect();
    assert_eq!(held, [b"c"]);
    assert!(fetching.release(true).is_empty());
}

#[test]
fn nobody_waits_for_ever() {
    let now = Instant::now();
    let mut fetching = Fetching::new(SINCE, now);
    assert!(fetching.hold("bob", (&said("bob", "now", SINCE + 5), None), now));
    let later = now + Duration::from_secs(20);
    assert!(!fetching.is_late(now) && fetching.is_late(later));
    assert_eq!(fetching.release(true).len(), 1);
    assert!(!fetching.hold("bob", (&said("bob", "later", SINCE + 6), None), later));
}

#[test]
fn what_was_fetched_before_the_connection_was_lost_is_not_brought_again() {
    let mut fetching = fetching_bob();
    let first = [("a", SINCE + 1), ("b", SINCE + 2)];
    assert_eq!(answer(&mut fetching, &first).0.len(), 2);
    fetching.begin_again(Instant::now());
    fetching.next(2);
    fetching.listed(&[last("bob", SINCE + 9)], (2, MESSAGES), talk_of);
    let second = [("b", SINCE + 2), ("c", SINCE + 3)];
    assert_eq!(answer(&mut fetching, &second).0, ["c"]);
}
