//! What a message of Matrix becomes on IRC, with what is known around it: who is called what, what it answers, how long
//! it may be, what the network takes beside lines.

mod around;
mod relay;
mod reply;
mod tags;

use bridgehead_appservice::{
    bridge::{Outgoing, SendError},
    media::{MediaError, Upload},
};
use bridgehead_irc_protocol::{
    Source, encoding, formatting,
    line::MAX_LINE_BYTES,
    session::SayCommand,
    split::{Budget, MIN_BYTES, split},
};

pub(crate) use self::tags::reacts_by_tags;
use self::{
    around::Surroundings,
    tags::{is_kept_silent, tagged},
};
use crate::{
    Irc,
    ids::Place,
    network::Handle,
    text::to_irc::{Limits, Page, Plan, Said, Verb},
};

/// Nick, user name and host are never longer. What is cut for these is cut the same way for everybody, at each attempt.
const LONGEST_NICK: usize = 30;
const LONGEST_USER: usize = 11;
const LONGEST_HOST: usize = 63;

/// How something is said on IRC.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) command: SayCommand,
    /// Line by line, in the encoding of the place.
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) tags: Vec<(String, String)>,
    /// Whether the lines are one message.
    pub(crate) is_one: bool,
    /// The name that the bridge speaks under.
    pub(crate) relayed_as: Option<String>,
    /// How many lines of it are not said, and why there is no page for them.
    pub(crate) unsaid: Option<(usize, String)>,
}

/// How something is said on IRC; `None` where nothing is to be said.
pub(crate) async fn render(
    outgoing: &Outgoing<Irc>,
    handle: &Handle,
) -> Result<Option<Rendered>, SendError> {
    if let Some(tagged) = tagged(outgoing, handle) {
        return Ok(Some(tagged));
    }
    if is_kept_silent(outgoing, handle) {
        return Ok(None);
    }
    let around = Surroundings::of(outgoing, handle).await?;
    let Some(said) = around.said(outgoing, handle)? else {
        return Ok(None);
    };
    let command = match said.verb {
        Verb::Notice => SayCommand::Notice,
        Verb::Say | Verb::Act => SayCommand::Privmsg,
    };
    let limits = Limits {
        payload_bytes: payload_bytes(command, &outgoing.room),
        max_lines: handle.settings.limits.max_lines,
    };
    let mut unsaid = None;
    let lines = match said.plan(&limits) {
        Plan::Lines(lines) => lines,
        Plan::Paste(paste) => match publish(outgoing, handle, &paste.page).await? {
            Ok(url) => paste.lines(&url),
            Err(why) => {
                let (first, left) = said.first_lines(&limits);
                unsaid = (left > 0).then_some((left, why));
                first
            }
        },
    };
    let encoding = handle.settings.send_encoding_of(outgoing.room.as_channel());
    let (whole, is_one) = at_once(&said, lines.clone(), &around, handle);
    let (lines, is_one) = match encoding == encoding_rs::UTF_8 || whole == lines {
        true => (whole, is_one),
        // The session, which cuts what is said at once, knows where characters begin in UTF-8 alone.
        false => (lines, false),
    };
    let lines = lines
        .iter()
        .flat_map(|line| encoded(said.verb, line, (encoding, limits.payload_bytes)));
    Ok(Some(Rendered {
        command,
        lines: lines.collect(),
        tags: around.tags(handle),
        is_one,
        relayed_as: around.relayed_as,
        unsaid,
    }))
}

/// A line in the encoding of its place; in several, where it takes more room there than in UTF-8, by which it was cut.
fn encoded(
    verb: Verb,
    line: &str,
    (encoding, bytes): (&'static encoding_rs::Encoding, usize),
) -> Vec<Vec<u8>> {
    let encode = |line: &String| {
        let payload = verb.payload(line);
        encoding::encode(&payload, encoding).0.into_owned()
    };
    let mut pieces = vec![line.to_owned()];
    let mut room = line.len();
    loop {
        let encoded: Vec<Vec<u8>> = pieces.iter().map(encode).collect();
        let fits = encoded.iter().all(|piece| piece.len() <= bytes);
        if fits || encoding == encoding_rs::UTF_8 || room <= MIN_BYTES {
            return encoded;
        }
        room = (room * 3 / 4).max(MIN_BYTES);
        pieces = split(line, room);
    }
}

/// The lines, and whether they go as one message: where the network has that, and nothing of the lines is lost by it.
fn at_once(
    said: &Said,
    cut: Vec<String>,
    around: &Surroundings,
    handle: &Handle,
) -> (Vec<String>, bool) {
    let limits = handle.directory.read().offers().multiline;
    let Some((max_bytes, max_lines)) = limits.filter(|_| around.relayed_as.is_none()) else {
        return (cut, false);
    };
    let whole = said.lines();
    let bytes: usize = cut.iter().map(|line| line.len() + 1).sum();
    let fits = cut.len() > 1 && cut.len() <= max_lines && bytes <= max_bytes;
    if !fits || said.verb == Verb::Act {
        return (cut, false);
    }
    // The session cuts long lines so that they are put together again; those who see the pieces alone would lose their
    // looks behind the first.
    let is_plain = |line: &String| formatting::strip(line).len() == line.len();
    match whole.concat() == cut.concat() && whole.iter().all(is_plain) {
        true => (whole, true),
        false => (cut.clone(), whole == cut),
    }
}

/// A text as lines of a place, without any formatting.
pub(crate) fn lines(text: &str, place: &Place) -> Vec<String> {
    let bytes = payload_bytes(SayCommand::Privmsg, place);
    // A program's question or answer begins with this, and nobody is to fake one.
    let text = text.replace('\x01', "");
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.flat_map(|line| split(line, bytes)).collect()
}

fn payload_bytes(command: SayCommand, place: &Place) -> usize {
    let longest = Source {
        name: "n".repeat(LONGEST_NICK),
        user: Some("u".repeat(LONGEST_USER)),
        host: Some("h".repeat(LONGEST_HOST)),
    };
    Budget::new(MAX_LINE_BYTES, &longest).payload_bytes(command.name(), place.target_name())
}

/// Puts a page where anybody may read it. Gives back where it is, or why there is none; what passes is tried again.
async fn publish(
    outgoing: &Outgoing<Irc>,
    handle: &Handle,
    page: &Page,
) -> Result<Result<String, String>, SendError> {
    if !handle.has_links {
        return Ok(Err("this bridge has no links to long messages".to_owned()));
    }
    let media = outgoing.media();
    let upload = Upload::new(page.body.clone(), "text/plain; charset=utf-8").named("message.txt");
    let published = match media.upload(upload).await {
        Err(MediaError::Homeserver(error)) if error.may_pass() => {
            return Err(SendError::retry(format!("a long message waits: {error}")));
        }
        uploaded => uploaded.and_then(|uri| media.public_url(&uri, "message.txt")),
    };
    Ok(published.map_err(|error| {
        tracing::warn!(%error, "a long message has no page");
        format!("there is no page for it: {error}")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_takes_more_room_in_its_encoding_becomes_several() {
        for (label, text) in [("iso-2022-jp", "a\u{3042}"), ("gb18030", "\u{5d0}\u{5d1}")] {
            let name = label.as_bytes();
            let encoding = encoding_rs::Encoding::for_label(name).expect("an encoding");
            for (verb, bytes) in [(Verb::Say, 400), (Verb::Act, 410)] {
                let text = text.repeat(100);
                let lines = encoded(verb, &text, (encoding, bytes));
                assert!(lines.len() > 1, "{label}");
                assert!(lines.iter().all(|line| line.len() <= bytes), "{label}");
                let read = |line: &Vec<u8>| encoding.decode(line).0.into_owned();
                let said: String = lines.iter().map(read).collect();
                let marks = ["\u{1}ACTION ", "\u{1}"];
                let said = marks.iter().fold(said, |said, mark| said.replace(mark, ""));
                assert_eq!(said, text, "{label}");
            }
        }
        let lines = encoded(Verb::Say, "short", (encoding_rs::UTF_8, 400));
        assert_eq!(lines, [b"short"]);
    }
}
