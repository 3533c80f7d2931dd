//! What servers answer, for people to read.

use std::time::Duration;

use bridgehead_irc_protocol::{Line, formatting};

/// Lines of an answer that are shown.
const MAX_LINES: usize = 100;

/// An answer as the server words it, without what only programs read. In Markdown, so that it stands as it is.
pub(super) fn readable(lines: &[Line]) -> String {
    let texts = lines.iter().filter(|line| !is_end(line)).map(|line| {
        let from = usize::from(line.numeric().is_some());
        let params = (from..line.params.len()).map(|at| line.text(at).into_owned());
        let text = params.collect::<Vec<_>>().join(" ");
        match line.numeric() {
            Some(_) => text,
            None => format!("{} {text}", line.command),
        }
    });
    let texts: Vec<String> = texts.collect();
    match texts.is_empty() {
        true => "Done.".to_owned(),
        false => fenced(&texts),
    }
}

/// Whether a line says nothing but that a list is over.
fn is_end(line: &Line) -> bool {
    matches!(
        line.numeric(),
        Some(315 | 318 | 323 | 366 | 368 | 369 | 374 | 376)
    )
}

/// Texts of others as they are: no Markdown of theirs counts, and no fence ends early.
fn fenced(texts: &[String]) -> String {
    let shown = texts.iter().take(MAX_LINES);
    let shown: Vec<String> = shown
        .map(|text| formatting::strip(text).replace("```", "'''"))
        .collect();
    let rest = texts.len().saturating_sub(MAX_LINES);
    let rest = match rest {
        0 => String::new(),
        rest => format!("\n… and {rest} lines more"),
    };
    format!("```\n{}{rest}\n```", shown.join("\n"))
}

/// Who somebody is, in sentences.
pub(super) fn whois(lines: &[Line]) -> String {
    let sentences = lines.iter().filter_map(sentence);
    let mut seen = std::collections::BTreeSet::new();
    let sentences = sentences.filter(|sentence| seen.insert(sentence.clone()));
    let sentences: Vec<String> = sentences.map(|text| format!("- {text}")).collect();
    match sentences.is_empty() {
        true => "The server knows nothing of them.".to_owned(),
        false => sentences.join("\n"),
    }
}

/// What one line of `WHOIS` says (RFC 2812, 5.1, and what servers have added).
fn sentence(line: &Line) -> Option<String> {
    let numeric = line.numeric()?;
    let text = |at: usize| quoted(&line.text(at));
    let nick = text(1);
    Some(match numeric {
        311 => format!(
            "{nick} is {}, who calls themselves {}.",
            quoted(&format!("{}@{}", line.text(2), line.text(3))),
            text(5)
        ),
        312 => format!("They are connected to {} ({}).", text(2), text(3)),
        313 => "They are an operator of the network.".to_owned(),
        317 => idle(line),
        319 => format!("They are in {}.", channels(&line.text(2))),
        301 => format!("They are away: {}.", text(2)),
        330 => format!("They are logged in as {}.", text(2)),
        307 => "They are logged in to the account of their nick.".to_owned(),
        335 => "They are a bot.".to_owned(),
        338 if line.params.len() > 3 => format!("They really are at {}.", text(2)),
        671 => "Their connection is encrypted.".to_owned(),
        // The end, and that the server does not know them, which is a refusal.
        318 | 369 | 401 => return None,
        276 | 300..=399 | 600..=799 => {
            let last = line.params.len().checked_sub(1).filter(|at| *at > 1)?;
            let words = (2..=last).map(|at| line.text(at).into_owned());
            format!("{}.", quoted(&words.collect::<Vec<_>>().join(" ")))
        }
        _ => return None,
    })
}

/// A word of somebody else's, as it is.
fn quoted(text: &str) -> String {
    let text = formatting::strip(text).replace('`', "'");
    format!("`{}`", text.trim())
}

fn channels(list: &str) -> String {
    let channels = list.split_whitespace().map(quoted);
    channels.collect::<Vec<_>>().join(", ")
}

fn idle(line: &Line) -> String {
    let seconds = line.text(2).parse().map(Duration::from_secs);
    match seconds {
        Ok(idle) => format!("They have said nothing for {}.", in_words(idle)),
        Err(_) => "They have been silent.".to_owned(),
    }
}

fn in_words(time: Duration) -> String {
    let (count, unit) = match time.as_secs() {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7_200 => (seconds / 60, "minute"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    match count {
        1 => format!("1 {unit}"),
        many => format!("{many} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        let lines = texts.iter().map(|text| Line::parse(text.as_bytes()));
        lines.collect::<Result<_, _>>().expect("lines")
    }

    #[test]
    fn who_somebody_is_stands_in_sentences() {
        // As InspIRCd 3 says it.
        let told = whois(&lines(&[
            ":hub.test 311 me bob bob 127.0.0.1 * :Bob the *Builder*",
            ":hub.test 319 me bob :#a @#b",
            ":hub.test 312 me bob hub.test :peer of a test",
            ":hub.test 330 me bob bobby :is logged in as",
            ":hub.test 671 me bob :is using a secure connection",
            ":hub.test 276 me bob :has client certificate fingerprint abc",
            ":hub.test 317 me bob 125 1700000000 :seconds idle, signon time",
            ":hub.test 318 me bob :End of /WHOIS list.",
        ]));
        assert_eq!(
            told,
            "- `bob` is `bob@127.0.0.1`, who calls themselves `Bob the *Builder*`.\n\
             - They are in `#a`, `@#b`.\n\
             - They are connected to `hub.test` (`peer of a test`).\n\
             - They are logged in as `bobby`.\n\
             - Their connection is encrypted.\n\
             - `has client certificate fingerprint abc`.\n\
             - They have said nothing for 2 minutes."
        );
    }

    #[test]
    fn any_other_answer_stands_as_it_was_said() {
        let told = readable(&lines(&[
            ":x 351 me InspIRCd-3. hub.test :*bold* ```",
            ":x 366 me #a :End",
        ]));
        assert_eq!(told, "```\nInspIRCd-3. hub.test *bold* '''\n```");
        assert_eq!(readable(&[]), "Done.");
    }

    #[test]
    fn a_long_answer_has_an_end() {
        let many: Vec<Line> = (0..500)
            .map(|_| lines(&[":x 322 me #a 1 :t"])[0].clone())
            .collect();
        let told = readable(&many);
        assert_eq!(told.lines().count(), MAX_LINES + 3);
        assert!(told.contains("400 lines more"), "{told}");
    }
}
