//! People of Matrix: user name, nick, address, password.

use bridgehead_appservice::{Secret, bridge::Adopted, id::UserId};
use bridgehead_irc::import::Person;
use tokio_postgres::Row;

use super::Taking;
use crate::{
    Result,
    mai::{database::text, settings::OldNetwork},
};

impl Taking<'_> {
    pub(super) async fn person(&mut self, row: &Row) -> Result<()> {
        let user = text(row, 0).unwrap_or_default();
        let domain = text(row, 1);
        let what = format!("{user} on {}", domain.as_deref().unwrap_or_default());
        let (network, id) = match (self.of(domain), UserId::parse(&user)) {
            (Ok(network), Ok(id)) => (network, id),
            (Err(why), _) => {
                self.refuse("people", &what, why);
                return Ok(());
            }
            (_, Err(_)) => {
                self.refuse("people", &what, "that is no user id".to_owned());
                return Ok(());
            }
        };
        let left = Person {
            username: text(row, 2),
            nick: text(row, 3),
            address: text(row, 4).and_then(|address| address.parse().ok()),
        };
        match self.import.person(&network.name, &id, &left).await? {
            Some(lost) => {
                self.report.note("people", &what, &Adopted::New);
                for one in lost {
                    self.report.left_out(format!("{what}: {one}"));
                }
            }
            None => self.report.note("people", &what, &Adopted::Known),
        }
        if let Some(stored) = text(row, 5).filter(|stored| !stored.is_empty()) {
            self.password((&network, &id), &left, &stored).await?;
        }
        Ok(())
    }

    async fn password(
        &mut self,
        (network, user): (&OldNetwork, &UserId),
        left: &Person,
        stored: &str,
    ) -> Result<()> {
        let what = format!("the password of {user} on {}", network.domain);
        let Some(opener) = self.opener else {
            let why = match &self.taken.key_missing {
                Some(file) => format!(
                    "the key {} is not there: give it with --key",
                    file.display()
                ),
                None => "there is no key to open it: give it with --key".to_owned(),
            };
            self.refuse("passwords", &what, why);
            return Ok(());
        };
        let Some(password) = opener.open(stored) else {
            let why = "it is damaged, or was stored with another key";
            self.refuse("passwords", &what, why.to_owned());
            return Ok(());
        };
        let (account, password) = account(network, user, left, &password);
        let login = (account.as_str(), &password);
        let adopted = self.import.password(&network.name, user, login).await?;
        self.report.note("passwords", what, &adopted);
        Ok(())
    }
}

/// The account that a stored password is for. With SASL it is the user name's; without, it went as the server's password,
/// which may name the account itself.
fn account(
    network: &OldNetwork,
    user: &UserId,
    left: &Person,
    password: &Secret,
) -> (String, Secret) {
    if !network.has_sasl
        && let Some((account, rest)) = password.expose().split_once(':')
        && !account.is_empty()
        && !rest.is_empty()
    {
        return (account.to_owned(), Secret::new(rest.to_owned()));
    }
    let names = match network.has_sasl {
        true => [&left.username, &left.nick],
        false => [&left.nick, &left.username],
    };
    let name = names.into_iter().flatten().next().cloned();
    let name = name.unwrap_or_else(|| user.localpart().to_owned());
    (name, password.clone())
}
