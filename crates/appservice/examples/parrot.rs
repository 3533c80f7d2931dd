//! A parrot: ghosts repeat what is said, but for words that are too hard.
//!
//! A whole program with a key of its own in the configuration, which takes effect when the configuration is read again
//! (`kill -HUP`). What was too hard is set aside: `parrot parked` lists it, and `parrot replay --all` has it said once
//! the word was learned. Who may see its figures sees at `/vocabulary` what was too hard at the start, and its doctor
//! knows what a parrot can be ill of.

use bridgehead_appservice::{
    axum::{Router, routing::get},
    config::{Config, JsonSchema, schemars},
    prelude::*,
    program::{Current, Finding, Now},
};
use serde::{Deserialize, Serialize};

/// A parrot that repeats what is said.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Parrot {
    /// Words that the parrot cannot say.
    hard_words: Vec<String>,
}

impl Config for Parrot {
    const LIVE: &'static [&'static str] = &["hard_words"];
}

fn parrot(settings: &Parrot) -> Service {
    let hard_words = settings.hard_words.clone();
    Service::new("parrot")
        .users("_parrot_{name}")
        .aliases("#parrot_{topic}")
        .limits(|limits| limits.attempts = 1)
        .on(|member: Member, room: Room, bot: Bot| async move {
            if member.is_own && member.membership == "invite" {
                bot.join(&room).await?;
            }
            Ok::<_, Error>(())
        })
        .on(repeat)
        .on_reload(relearn)
        .operator_pages(vocabulary(hard_words.clone()))
        .doctor(move || {
            let found = examine(&hard_words);
            async { vec![found] }
        })
}

fn vocabulary(hard_words: Vec<String>) -> Router {
    Router::new().route("/vocabulary", get(async move || hard_words.join(" ")))
}

/// A parrot that has forgotten everything is none.
async fn relearn(_: Handle, settings: Now<Parrot>) -> Result<Vec<String>, HandlerError> {
    match settings.hard_words.iter().any(String::is_empty) {
        true => Err(HandlerError::new(
            "hard_words: an empty word is in every text: take it out",
        )),
        false => Ok(vec![format!(
            "the parrot knows {} hard words",
            settings.hard_words.len()
        )]),
    }
}

fn examine(hard_words: &[String]) -> Finding {
    match hard_words.iter().any(|word| word.chars().count() == 1) {
        true => Finding::bad(
            "vocabulary",
            "it says next to nothing, for a single letter is in every text",
            "parrot.toml: hard_words: take the letter out",
        ),
        false => Finding::good("vocabulary", "there is something that it can say"),
    }
}

async fn repeat(
    text: Text,
    room: Room,
    ghosts: Ghosts,
    config: State<Current<Parrot>>,
) -> Result<(), HandlerError> {
    if let Some(word) = config
        .get()
        .hard_words
        .iter()
        .find(|word| text.body.contains(*word))
    {
        return Err(HandlerError::new(format!("`{word}` is too hard to say")));
    }
    let ghost = ghosts.named(text.sender_local())?;
    ghost.send(&room, text.body).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    Service::main_with("parrot", parrot).await
}
