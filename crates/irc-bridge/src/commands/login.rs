//! Passwords and certificates. What has a password in it is taken back from the room by the kit, and is repeated nowhere.

use bridgehead_appservice::{
    Secret,
    bridge::{CommandAsk, CommandError, Commands, Portal, Portals},
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
        .secret()
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

async fn store(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    if !ask.is_management {
        return Err(other(
            "Others could read that: tell me alone, and another password.".to_owned(),
        ));
    }
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let account = about.word(0, "account")?;
    let password = password(&about)?;
    let is_sound = |text: &str| text.len() <= MAX_BYTES && !text.contains(['\0', '\r', '\n']);
    if !is_sound(account) || !is_sound(&password) || account.contains(' ') {
        return Err(other(format!(
            "an account and a password are one line, of at most {MAX_BYTES} bytes each"
        )));
    }
    let command = Command::StoreLogin {
        account: account.to_owned(),
        password: Secret::new(password),
    };
    about.carry_out(command).await
}

fn password(about: &About<'_>) -> Result<String, CommandError> {
    let parsed = about.word(1, "password")?;
    let is_last = about.words().len() == 2;
    password_of(about.rest(1), (parsed, is_last)).ok_or_else(|| {
        let words =
            "something stands behind the password's quotation marks: put all of it between them";
        other(words.to_owned())
    })
}

/// The password, to the end of the line: what was written, or if that begins with a quotation mark, the word up to the
/// next one; `None` where more stands behind that. `\"` and `\'` are the marks themselves.
fn password_of(written: &str, (parsed, is_last): (&str, bool)) -> Option<String> {
    match written.starts_with(['"', '\'']) {
        true => is_last.then(|| parsed.to_owned()),
        false => Some(written.replace("\\\"", "\"").replace("\\'", "'")),
    }
}

async fn remove(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    about.carry_out(Command::RemoveLogin).await
}

async fn certificate(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    about.carry_out(Command::MakeCertificate).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_all_that_was_written() {
        for (written, parsed, is_last, password) in [
            ("sesame", "sesame", true, Some("sesame")),
            ("don't tell", "don't", false, Some("don't tell")),
            ("open sesame", "open", false, Some("open sesame")),
            ("pa\"ss\"word", "password", true, Some("pa\"ss\"word")),
            ("back\\slash", "backslash", true, Some("back\\slash")),
            ("one\\\"mark", "one\"mark", true, Some("one\"mark")),
            ("\"two words\"", "two words", true, Some("two words")),
            ("'two words'", "two words", true, Some("two words")),
            ("\"two words\" and", "two words", false, None),
        ] {
            let found = password_of(written, (parsed, is_last));
            assert_eq!(found.as_deref(), password, "{written}");
        }
    }
}
