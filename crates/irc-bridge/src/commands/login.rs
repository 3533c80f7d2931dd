//! Passwords and certificates. What has a password in it is taken back from the room by the bridge, and is repeated
//! nowhere.

use bridgehead_appservice::{
    Bot, Secret,
    bridge::{CommandAsk, Commands, Portal, Portals},
};

use super::{Told, about::About, other};
use crate::{Irc, network::Command};

/// Bytes of an account's name or of a password: what fits a line with SASL's and `NickServ`'s words around it.
const MAX_BYTES: usize = 200;

pub(super) fn commands(commands: Commands) -> Commands {
    commands
        .command(
            "storepass",
            "[network] <account> <password>: logs you in to your account from now on; the password is kept encrypted, \
             and your message is removed",
            store,
        )
        .command(
            "removepass",
            "[network]: forgets your password, or your certificate",
            remove,
        )
        .command(
            "certfp",
            "[network]: makes a certificate by which you are logged in without a password",
            certificate,
        )
}

async fn store(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>, bot: Bot) -> Told {
    // Whatever comes of it, nobody is to read it there.
    let removed = bot
        .redact(
            &ask.room_id,
            &ask.event.id,
            Some("there is a password in it"),
        )
        .await;
    let left = match removed {
        Ok(_) => "",
        Err(_) => {
            " I may not remove your message: remove it yourself, for there is a password in it."
        }
    };
    if !ask.is_management {
        return Err(other(format!(
            "Others could read that: tell me alone, and another password.{left}"
        )));
    }
    let stored = stored(&ask, irc.network(), portal.as_ref()).await;
    let words = |text: String| format!("{text}{left}");
    stored
        .map(words)
        .map_err(|error| other(words(error.to_string())))
}

async fn stored(ask: &CommandAsk, irc: &Irc, portal: Option<&Portal<Irc>>) -> Told {
    let about = About::new(ask, irc, portal)?;
    let account = about.word(0, "account")?;
    let parsed = about.word(1, "password")?;
    // It is what was written, unless it stands between quotation marks.
    let written = about.rest(1);
    let password = match written.contains(['"', '\'']) {
        true => parsed,
        false => written,
    };
    let is_sound = |text: &str| text.len() <= MAX_BYTES && !text.contains(['\0', '\r', '\n']);
    if !is_sound(account) || !is_sound(password) || account.contains(' ') {
        return Err(other(format!(
            "an account and a password are one line, of at most {MAX_BYTES} bytes each"
        )));
    }
    let command = Command::StoreLogin {
        account: account.to_owned(),
        password: Secret::new(password.to_owned()),
    };
    about.carry_out(command).await
}

async fn remove(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    about.carry_out(Command::RemoveLogin).await
}

async fn certificate(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    about.carry_out(Command::MakeCertificate).await
}
