//! Rooms that are there already, linked to channels: by who has the power in the room, and is an operator of the channel,
//! or has one's consent.

use std::time::Duration;

use bridgehead_appservice::{
    Content, Handle as Service,
    bridge::{CommandAsk, Commands, LinkRefused, Portal, Portals},
    format::{Rich, content::Kind},
    id::{RoomId, UserId},
};

use super::{Told, about::About, other};
use crate::{
    Irc,
    ids::Place,
    network::{CONSENT_PATIENCE, Command, Handle, Question, Upkeep},
};

/// How long it may take from the question to an operator until there is an answer.
const ANSWERED_IN: Duration = CONSENT_PATIENCE.saturating_add(Duration::from_secs(120));
/// How long it may take then to link the room.
const LINKED_IN: Duration = Duration::from_secs(120);

pub(super) fn commands(commands: Commands) -> Commands {
    commands.command(
        "link",
        "[network] <channel> [key] [--operator=<nick>]: links this room to a channel; an operator of it is asked, if you \
         are none",
        link,
    )
}

async fn link(
    ask: CommandAsk,
    irc: Portals<Irc>,
    portal: Option<Portal<Irc>>,
    service: Service,
) -> Told {
    if let Some(portal) = portal {
        return Err(other(format!(
            "this room is linked to {} already: `unlink` that first",
            portal.remote.target_name()
        )));
    }
    let about = About::new(&ask, irc.network(), None)?;
    let place = about.channel(0)?;
    about.may_be_bridged(&place)?;
    if let Some(other_room) = irc
        .of(&place)
        .await
        .map_err(|error| other(error.to_string()))?
    {
        return Err(other(format!(
            "{} has a room already ({}), and a channel has one alone: `unlink` it there, or go there",
            place.target_name(),
            irc.alias_of(&place)
                .map_or_else(|| other_room.matrix.to_string(), |alias| alias.to_string()),
        )));
    }
    let key = about.words().get(1).cloned();
    match irc.link(Some(&ask.sender), &ask.room_id, &place).await {
        Ok(_) => {
            if let Some(key) = key {
                let channel = place.target_name().to_owned();
                about.carry_out(Command::Key { channel, key }).await?;
            }
            Ok(linked(&place))
        }
        Err(LinkRefused::NotAllowed(_)) => {
            let asking = Asking {
                service,
                network: about.network.clone(),
                asker: ask.sender.clone(),
                room: ask.room_id.clone(),
                place: place.clone(),
                key,
            };
            let operator = ask.flag::<String>("operator")?;
            tokio::spawn(asking.run(operator));
            Ok(format!(
                "You are no operator of {} on IRC. An operator is asked; they have {} minutes, and I tell you what they \
                 say.",
                place.target_name(),
                CONSENT_PATIENCE.as_secs() / 60
            ))
        }
        Err(refused) => Err(other(refused.to_string())),
    }
}

/// What comes of something, if that is known in time.
async fn in_time<T>(time: Duration, done: impl Future<Output = T>) -> Result<T, String> {
    let done = tokio::time::timeout(time, done).await;
    done.map_err(|_| "it takes too long".to_owned())
}

fn linked(place: &Place) -> String {
    format!("This room is linked to {} now.", place.target_name())
}

/// An operator is asked, and the room is linked when they agree. Gone with the service: then it has to be asked again.
struct Asking {
    service: Service,
    network: Handle,
    asker: UserId,
    room: RoomId,
    place: Place,
    key: Option<String>,
}

impl Asking {
    async fn run(self, operator: Option<String>) {
        let told = tokio::select! {
            () = self.service.stopped() => return,
            told = self.ask_and_link(operator) => told,
        };
        let words = match told {
            Ok(words) => words,
            Err(words) => format!("{} is not linked: {words}.", self.place.target_name()),
        };
        if let Err(error) = self.tell(&words).await {
            tracing::warn!(room.id = %self.room, %error, "what came of a question is not told");
        }
    }

    async fn ask_and_link(&self, operator: Option<String>) -> Result<String, String> {
        let question = Question {
            channel: self.place.target_name().to_owned(),
            operator,
            key: self.key.clone(),
        };
        let asked = Command::AskOperators(question);
        let agreed = self.network.command(&self.asker, asked);
        let agreed = in_time(ANSWERED_IN, agreed).await??;
        match in_time(LINKED_IN, self.link()).await.flatten() {
            Ok(()) => Ok(format!("{agreed} {}", linked(&self.place))),
            Err(why) => {
                self.give_up().await;
                Err(why)
            }
        }
    }

    /// Links the room, as has been agreed.
    async fn link(&self) -> Result<(), String> {
        let portals = self.service.portals::<Irc>();
        let portals = portals.map_err(|error| error.to_string())?;
        portals.network().agree(&self.asker, &self.place);
        let linked_now = portals
            .link(Some(&self.asker), &self.room, &self.place)
            .await;
        portals.network().disagree(&self.asker, &self.place);
        linked_now.map(drop).map_err(|refused| refused.to_string())
    }

    /// Nothing has come of what was agreed: the bridge has no business in the channel, unless somebody else has got it a
    /// room meanwhile.
    async fn give_up(&self) {
        let Ok(portals) = self.service.portals::<Irc>() else {
            return;
        };
        portals.network().disagree(&self.asker, &self.place);
        if let Ok(None) = portals.of(&self.place).await {
            let unwatch = Upkeep::Unwatch(self.place.clone());
            self.network.upkeep(unwatch).await;
        }
    }

    async fn tell(&self, words: &str) -> Result<(), bridgehead_appservice::Error> {
        let content = Content::message(Kind::Notice, &Rich::plain(words));
        let bot = self.service.bot()?;
        bot.send(&self.room, content).await?;
        Ok(())
    }
}
