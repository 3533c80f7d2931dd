//! Which lines are for a connection itself, where another one tells of its channels.

use bridgehead_irc_protocol::{
    Isupport,
    session::{Event, Heard},
};

/// Whether a line is about the connection's own user, and not about a channel or somebody in it. What is said to some of
/// a channel alone is about those who get it.
pub(super) fn concerns(heard: &Heard, isupport: &Isupport) -> bool {
    let line = &heard.line;
    let mapping = isupport.case_mapping();
    // By now it may have another nick.
    let is_me = |name: &str| mapping.is_same(name, &heard.me);
    match line.command.as_str() {
        "PRIVMSG" | "NOTICE" if is_for_some(&line.text(0), isupport) => true,
        "PRIVMSG" | "NOTICE" | "TAGMSG" | "INVITE" | "MODE" | "REDACT" => is_me(&line.text(0)),
        "JOIN" | "PART" | "NICK" | "CHGHOST" | "SETNAME" | "ACCOUNT" | "AWAY" => {
            is_me(line.from_name())
        }
        "KICK" => is_me(&line.text(1)),
        "QUIT" | "TOPIC" => false,
        // Who is in a channel, and what it is like, the observer knows.
        "353" | "366" | "332" | "333" | "331" | "324" | "329" | "367" | "368" | "346" | "347"
        | "348" | "349" | "728" | "729" => false,
        _ => true,
    }
}

/// Whether a connection has come into a channel.
pub(crate) fn is_entry(event: &Event) -> bool {
    let Event::Line(heard) = event else {
        return false;
    };
    let batch = heard.batch.as_ref();
    let is_history = batch.is_some_and(|batch| batch.kind.ends_with("chathistory"));
    heard.is_own && heard.line.command == "JOIN" && !is_history
}

/// Whether those of a channel are meant who have a prefix (`@#chan`, or `@+#chan`).
fn is_for_some(target: &str, isupport: &Isupport) -> bool {
    let statuses = isupport.get("STATUSMSG").unwrap_or_default();
    let name = target.trim_start_matches(|c| statuses.contains(c));
    name.len() < target.len() && isupport.is_channel(name)
}

#[cfg(test)]
mod tests {
    use bridgehead_irc_protocol::session::{Session, Settings};

    use super::*;
    use crate::clock::now;

    /// What a session makes of lines that come at once.
    fn heard(lines: &str) -> Vec<Heard> {
        let nicks = vec!["anna".to_owned()];
        let mut session = Session::new(
            Settings {
                nicks,
                ..Settings::default()
            },
            now(),
        );
        session.receive(b":srv 001 anna :Welcome\r\n:srv 376 anna :End\r\n", now());
        session.receive(lines.as_bytes(), now());
        let events = std::iter::from_fn(|| session.poll_event());
        let heard = events.filter_map(|event| match event {
            Event::Line(heard) if heard.line.numeric().is_none() => Some(heard),
            _ => None,
        });
        heard.collect()
    }

    #[test]
    fn what_came_for_a_nick_right_before_it_was_changed_is_for_its_owner() {
        let heard = heard(
            ":bob!b@h PRIVMSG anna :psst\r\n\
             :bob!b@h PRIVMSG Guest1 :not yet\r\n\
             :anna!a@h NICK Guest1\r\n\
             :bob!b@h PRIVMSG anna :too late\r\n\
             :bob!b@h PRIVMSG Guest1 :psst again\r\n",
        );
        let isupport = Isupport::default();
        let concerned: Vec<bool> = heard
            .iter()
            .map(|heard| concerns(heard, &isupport))
            .collect();
        assert_eq!(concerned, [true, false, true, false, true]);
        let nicks: Vec<&str> = heard.iter().map(|heard| &*heard.me).collect();
        assert_eq!(nicks, ["anna", "anna", "anna", "Guest1", "Guest1"]);
    }
}
