//! Polls (MSC3381), for whoever tells of them and for whoever votes: both go by the same numbers.

use serde_json::{Map, Value};

use super::Content;
use crate::format::tidy;

/// The keys of a poll, its newest name first.
const STARTS: [&str; 3] = ["m.poll", "m.poll.start", "org.matrix.msc3381.poll.start"];

/// The most answers that are read; MSC3381 has 20.
const MAX_ANSWERS: usize = 20;

/// A poll.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// What is asked, in one line.
    pub question: String,
    /// What can be answered, in the order of their numbers; 20 at most. One without a text is none.
    pub answers: Vec<PollAnswer>,
    /// Which kind of poll it says that it is, such as `m.disclosed`.
    pub kind: Option<String>,
}

/// An answer of a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollAnswer {
    /// What it is called in votes; without that, nobody can vote for it.
    pub id: Option<String>,
    /// What it says, in one line.
    pub text: String,
}

impl Poll {
    /// The poll in one line, its answers numbered from 1.
    #[must_use]
    pub fn describe(&self) -> String {
        let numbered = self.answers.iter().enumerate();
        let numbered = numbered.map(|(index, answer)| format!(" {}) {}", index + 1, answer.text));
        format!("[poll: {}{}]", self.question, numbered.collect::<String>())
    }
}

impl Content {
    /// The poll that this begins, under any of its names; `None` if it is none, or asks nothing.
    #[must_use]
    pub fn poll(&self) -> Option<Poll> {
        let start = STARTS
            .iter()
            .find_map(|name| self.fields.get(*name)?.as_object())?;
        let answers = start.get("answers").and_then(Value::as_array);
        let answers = answers.into_iter().flatten().filter_map(answer);
        let kind = start.get("kind").and_then(Value::as_str);
        Some(Poll {
            question: text_of(start.get("question")?.as_object()?)?,
            answers: answers.take(MAX_ANSWERS).collect(),
            kind: kind.map(str::to_owned),
        })
    }
}

fn answer(answer: &Value) -> Option<PollAnswer> {
    let fields = answer.as_object()?;
    let id = fields.get("m.id").or_else(|| fields.get("id"));
    Some(PollAnswer {
        id: id.and_then(Value::as_str).map(str::to_owned),
        text: text_of(fields)?,
    })
}

/// The text of an extensible event's part, under its names old and new; none where there are no words.
fn text_of(part: &Map<String, Value>) -> Option<String> {
    let forms = part.get("m.text").and_then(Value::as_array);
    let stable = || {
        let mut forms = forms.into_iter().flatten();
        forms.find_map(|form| form.get("body")?.as_str())
    };
    let plain = ["m.text", "org.matrix.msc1767.text", "body"]
        .iter()
        .find_map(|name| part.get(*name)?.as_str());
    let text = tidy::one_line(plain.or_else(stable)?);
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_answer_has_its_number_or_is_none() {
        let mut answers: Vec<Value> = (1..=25)
            .map(|n| json!({ "id": format!("a{n}"), "m.text": format!("answer {n}") }))
            .collect();
        answers.insert(1, json!({ "id": "empty", "m.text": "  " }));
        answers.insert(2, json!("no answer"));
        let poll = json!({ "m.poll": {
            "question": { "m.text": [{ "body": "Which\none?" }] }, "answers": answers, "kind": "m.disclosed",
        } });
        let poll = Content::new("m.poll.start", poll).poll().expect("a poll");
        assert_eq!(poll.answers.len(), 20);
        assert_eq!(poll.kind.as_deref(), Some("m.disclosed"));
        assert_eq!(poll.answers[1].id.as_deref(), Some("a2"));
        let told = poll.describe();
        assert!(
            told.starts_with("[poll: Which one? 1) answer 1 2) answer 2 3)"),
            "{told}"
        );
        assert!(told.ends_with(" 20) answer 20]"), "{told}");
    }

    #[test]
    fn what_asks_nothing_is_no_poll() {
        for fields in [
            json!({}),
            json!({ "m.poll": {} }),
            json!({ "m.poll": { "question": { "m.text": " " }, "answers": [] } }),
            json!({ "m.poll": "text" }),
        ] {
            assert_eq!(Content::new("m.poll.start", fields).poll(), None);
        }
    }
}
