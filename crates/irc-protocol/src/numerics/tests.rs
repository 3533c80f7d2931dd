use proptest::prelude::*;

use super::*;
use crate::Line;

/// What a line refuses, in one text.
fn said(line: &str) -> String {
    let line = Line::parse(line.as_bytes()).expect("a line");
    Explanation::of_line(&line).map_or_else(String::new, |explanation| explanation.to_string())
}

#[test]
fn refusals_are_put_in_words() {
    for (line, expected) in [
        (
            ":srv 401 me ann :No such nick/channel",
            "ann is not online on IRC. Check the name, or wait until they are back.",
        ),
        (
            ":srv 473 me #chan :Cannot join channel (+i) - you must be invited",
            "#chan takes only people who were invited. Ask an operator of the channel for an invitation.",
        ),
        (
            ":srv 433 * ann :Nickname is already in use.",
            "Somebody else is called ann. Choose another nick; if it is yours, log in to your account and take it back.",
        ),
        (
            ":srv 470 me #a ##b :Forwarding to another channel",
            "#a sends people on to ##b. Look for the conversation in ##b.",
        ),
        (
            ":srv 441 me ann #chan :They aren't on that channel",
            "ann is not in #chan.",
        ),
        (
            ":srv 442 me :odd",
            "Your IRC client is not in the channel. Join it first.",
        ),
        (
            ":srv 482 me #chan :You're not a channel operator",
            "Only operators of #chan may do that, or the one whom it is about stands higher. Ask one of the channel's \
             operators to do it, or to make you one.",
        ),
        (
            ":srv 475 me :Cannot join",
            "The channel has a key (a password), and it was missing or wrong. Ask somebody in the channel for the key, and \
             join with it.",
        ),
        (
            ":srv 465 me :K-lined \x02spam\x02",
            "You are banned from this server: K-lined spam. Ask the network's staff why.",
        ),
        (
            ":srv 599 me x :Something \x0304odd\x03",
            "The IRC server refused it: “Something odd”.",
        ),
        (":srv 598", "The IRC server refused it: “598”."),
    ] {
        assert_eq!(said(line), expected, "{line}");
    }
}

/// Of `#c`: a number, the server's words, and how their meaning begins.
fn check(cases: &[(u16, &str, &str)]) {
    for (numeric, text, start) in cases {
        let explanation = explain(*numeric, &["me", "#c", text]).expect("a refusal");
        assert!(
            explanation.what.starts_with(start),
            "{numeric} {text}: {explanation}"
        );
    }
}

#[test]
fn the_servers_words_say_why_one_may_not_speak() {
    const LOGGED_IN: &str = "#c takes messages only from people who are logged in";
    const MEMBERS: &str = "#c takes messages only from those who are in it";
    const BANNED: &str = "You are banned or quieted in #c";
    check(&[
        // Solanum says no more than that.
        (
            404,
            "Cannot send to nick/channel",
            "#c did not take the message: ",
        ),
        // InspIRCd.
        (
            404,
            "You cannot send external messages to this channel whilst the +n (noextmsg) mode is set.",
            MEMBERS,
        ),
        (
            404,
            "You cannot send messages to this channel whilst the +m (moderated) mode is set.",
            "#c is moderated",
        ),
        (
            404,
            "You cannot send messages to this channel whilst banned.",
            BANNED,
        ),
        (
            404,
            "Can't send NOTICE to channel (+T is set)",
            "#c takes no notices",
        ),
        (
            404,
            "Can't send CTCP to channel (+C is set)",
            "#c takes no CTCP",
        ),
        (
            404,
            "Can't send colors to channel (+c is set)",
            "#c takes no colors",
        ),
        (
            404,
            "You cannot send messages to this channel whilst a m: (mute) extban is set matching you.",
            BANNED,
        ),
        (
            404,
            "You cannot send messages to this channel whilst the +M (regmoderated) mode is set.",
            LOGGED_IN,
        ),
        (
            404,
            "You cannot send notices to this channel whilst the +T (nonotice) mode is set.",
            "#c takes no notices",
        ),
        (
            404,
            "You cannot send CTCPs to this channel whilst the +C (noctcp) mode is set.",
            "#c takes no CTCP",
        ),
        (
            404,
            "You cannot send messages containing formatting characters to this channel whilst the +c (blockcolor) mode is set.",
            "#c takes no colors",
        ),
        (
            404,
            "Your message to this channel contained a banned phrase and was blocked.",
            "A filter stopped the message",
        ),
        (
            404,
            "You must wait 5 seconds after joining to send to the channel (+d is set)",
            "#c lets nobody speak right after",
        ),
        // UnrealIRCd.
        (404, "You need voice (+v) (#c)", "#c is moderated"),
        (404, "You are banned (#c)", BANNED),
        (404, "No external channel messages (#c)", MEMBERS),
        (
            404,
            "You must have a registered nick (+r) to talk on this channel (#c)",
            LOGGED_IN,
        ),
        // ngIRCd.
        (
            477,
            "Cannot send to channel (+M) -- You need to be identified to a registered account to message this channel",
            LOGGED_IN,
        ),
        (
            401,
            "No such nick or channel name",
            "There is no channel #c on IRC.",
        ),
        // Undernet.
        (
            489,
            "You're neither voiced nor channel operator",
            "#c is moderated",
        ),
    ]);
}

#[test]
fn the_servers_words_say_why_somebody_takes_no_message() {
    check(&[
        (
            531,
            "You cannot send messages to this user whilst they have the +R (regdeaf) mode set.",
            "#c takes messages only from people who are logged in",
        ),
        (
            531,
            "You cannot send messages to this user whilst they have the +z (sslqueries) mode set.",
            "#c takes messages only over encrypted connections",
        ),
        (
            531,
            "You cannot send DCCs to users.",
            "#c does not take this message: You cannot",
        ),
    ]);
}

#[test]
fn the_servers_words_say_why_one_may_not_join() {
    const LOGGED_IN: &str = "#c takes only people who are logged in";
    const ENCRYPTED: &str = "#c takes only people whose connection";
    check(&[
        // ngIRCd.
        (
            471,
            "Cannot join channel (+R) -- Registered users only",
            LOGGED_IN,
        ),
        (
            471,
            "Cannot join channel (+z) -- SSL connections only",
            ENCRYPTED,
        ),
        (
            471,
            "Cannot join channel (+O) -- IRC opers only",
            "#c takes only operators of the network",
        ),
        (
            471,
            "Cannot join channel (+l) -- Channel is full, try later",
            "#c is full",
        ),
        (
            477,
            "Channel doesn't support modes",
            "Channels such as #c have no modes.",
        ),
        (
            484,
            "Your connection is restricted",
            "The server restricts your connection",
        ),
        // Solanum.
        (
            477,
            "Cannot join channel (+r) - you need to be logged into your NickServ account",
            LOGGED_IN,
        ),
        (
            480,
            "Cannot join channel (+j) - throttle exceeded, try again later",
            "Too many people joined #c",
        ),
        // InspIRCd and UnrealIRCd.
        (
            489,
            "Cannot join channel; TLS users only (+z is set)",
            ENCRYPTED,
        ),
        (
            480,
            "Cannot knock on #c, the channel is not invite only",
            "#c cannot be asked for an invitation",
        ),
    ]);
}

#[test]
fn what_refuses_nothing_is_not_explained() {
    for line in [
        ":srv 001 me :Welcome",
        ":srv 671 me ann :is using a secure connection",
        ":srv 710 me #chan ann!a@h :has asked for an invite.",
        ":srv 711 me #chan :Your KNOCK has been delivered.",
        ":srv 717 me ann :has been informed that you messaged them.",
        ":srv 900 me me!u@h acct :You are now logged in as acct",
        ":srv 903 me :SASL authentication successful",
        ":ann!a@h PRIVMSG #chan :hello",
        ":srv NOTE * X :hello",
    ] {
        assert_eq!(said(line), "", "{line}");
    }
}

#[test]
fn what_clients_meet_is_known() {
    let known: &[u16] = &[
        401, 402, 403, 404, 405, 406, 407, 411, 412, 413, 416, 417, 421, 422, 432, 433, 435, 436,
        437, 438, 439, 441, 442, 443, 447, 461, 462, 463, 464, 465, 466, 467, 470, 471, 472, 473,
        474, 475, 476, 477, 478, 479, 480, 481, 482, 484, 485, 486, 489, 492, 495, 499, 502, 513,
        515, 520, 524, 531, 572, 691, 696, 712, 713, 714, 715, 716, 723, 734, 902, 904, 905, 906,
        907, 908, 926, 972,
    ];
    for numeric in known {
        let explanation = explain(*numeric, &["me", "subject", "other", "text"]).expect("known");
        assert!(
            !explanation.what.contains("refused it"),
            "{numeric}: {explanation}"
        );
        let of_nothing = explain(*numeric, &[]).expect("known").to_string();
        assert!(
            !of_nothing.contains("  ") && !of_nothing.contains(": ."),
            "{of_nothing}"
        );
        assert!(
            of_nothing.starts_with(|c: char| c.is_uppercase()),
            "{of_nothing}"
        );
    }
}

#[test]
fn fails_are_put_in_words() {
    assert_eq!(
        said("FAIL REDACT REDACT_WINDOW_EXPIRED #chan 123 :Too late"),
        "The message is too old to be deleted on IRC."
    );
    assert_eq!(
        said("FAIL * ACCOUNT_REQUIRED_TO_CONNECT :Log in"),
        "The network lets nobody in without an account. Store the account and its password with the bridge, and connect \
         again."
    );
    assert_eq!(
        explain_fail("JOIN", "ACCOUNT_REQUIRED", "").what,
        "The channel takes only people who are logged in to an account of the network."
    );
    assert_eq!(
        said("FAIL BOX BOXES_INVALID STACK :Odd boxes"),
        "The IRC server refused it: “Odd boxes”."
    );
    assert_eq!(
        said("FAIL BOX BOXES_INVALID"),
        "The IRC server refused it: “BOXES_INVALID”."
    );
}

#[test]
fn names_with_braces_stay_as_they_are() {
    let explanation = explain(433, &["*", "{nick}", "in use"]).expect("known");
    assert!(
        explanation.what.ends_with("called {nick}."),
        "{explanation}"
    );
}

proptest! {
    #[test]
    fn every_refusal_is_explained(numeric in 400_u16..600, params in prop::collection::vec("[#{}a-z\x02 ]{0,9}", 0..5)) {
        let params: Vec<&str> = params.iter().map(String::as_str).collect();
        let explanation = explain(numeric, &params).expect("an explanation");
        prop_assert!(explanation.what.ends_with('.'));
        prop_assert!(!explanation.to_string().contains('\x02'));
    }
}
