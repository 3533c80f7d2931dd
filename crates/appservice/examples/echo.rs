//! A ghost answers: whoever says something in a room with the bot hears it again, from a ghost of the same name.
//!
//! Invite `@echobot:…` into a room and say something.

use bridgehead_appservice::prelude::*;

pub(crate) fn service() -> Service {
    Service::new("echo")
        .bot("echobot")
        .users("_echo_{name}")
        .on(|member: Member, room: Room, bot: Bot| async move {
            if member.user_id == *bot.id() && member.membership == "invite" {
                bot.join(&room).await?;
            }
            Ok::<_, Error>(())
        })
        .on(|text: Text, room: Room, ghosts: Ghosts| async move {
            // What programs say is not answered, or two of them would talk for ever.
            if !text.is_notice {
                let ghost = ghosts.named(text.sender_local())?;
                ghost.send(&room, text.body).await?;
            }
            Ok::<_, Error>(())
        })
}

#[tokio::main]
async fn main() -> ExitCode {
    service().main().await
}
