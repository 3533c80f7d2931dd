//! A parrot: ghosts repeat what is said, but for words that are too hard.
//!
//! A whole program with a key of its own in the configuration, which takes effect when the configuration is read again
//! (`kill -HUP`). What was too hard is set aside: `parrot parked` lists it, and `parrot replay --all` has it said once
//! the word was learned.

use bridgehead_appservice::{
    config::{Config, JsonSchema, schemars},
    prelude::*,
    program::Current,
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

fn parrot(_: &Parrot) -> Service {
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
