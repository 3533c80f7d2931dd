//! `register`: the registration brought up to date, with id and tokens kept; compared with others; put in force on a
//! homeserver with an operator API, and taken back when the homeserver does not reach the service then. Tokens in force
//! are the one thing that cannot be taken back, so they are not replaced unless that is asked for.

use bridgehead_registration::{
    AsUrl, Outcome, Registration, RegistrationDraft, Secret, find_conflicts, find_overlaps, load,
    masked, read_bounded, replace_file,
};
use http::StatusCode;

use super::{
    Failure, Result,
    api::Api,
    cli,
    operator::{InForce, Operator, drift},
    site::Site,
    stand_in::{Answerer, Pinged, ping},
    terminal::say,
};
use crate::{Service, config::Config};

/// Does what was asked.
pub(super) async fn register<C: Config>(
    site: &Site<C>,
    service: &Service,
    asked: &cli::Register,
) -> Result<()> {
    if asked.print {
        return print(site);
    }
    if !asked.check.is_empty() {
        return check(site, asked);
    }
    let draft = site.draft(service)?;
    if asked.dry_run {
        return preview(site, &draft);
    }
    if asked.apply {
        return apply(site, &draft, asked).await;
    }
    let written = site.write_registration(&draft)?;
    let file = site.registration_file().display();
    for change in &written.changes {
        say(&change.to_string());
    }
    match written.outcome {
        Outcome::Made => say(&first_steps(site, &written.registration)),
        Outcome::Updated => {
            say(&format!(
                "{file} is brought up to date; its id and tokens are the same."
            ));
            say(&tell_homeserver(site));
        }
        Outcome::Unchanged => say(&format!("{file} is up to date.")),
    }
    Ok(())
}

/// What an operator reads after the first start.
pub(super) fn first_steps<C: Config>(site: &Site<C>, registration: &Registration) -> String {
    let url = registration.url.as_ref();
    let way = match url {
        Some(AsUrl::Websocket(_)) => "The service opens a websocket to the homeserver.".to_owned(),
        Some(url) => format!("The homeserver will reach the service at {}.", url.as_str()),
        None => "The homeserver will send nothing to the service.".to_owned(),
    };
    format!(
        "The service `{}` has its registration now, with fresh tokens: {}\n{way}\n\n{}\n",
        registration.id,
        site.registration_file().display(),
        tell_homeserver(site),
    )
}

fn tell_homeserver<C: Config>(site: &Site<C>) -> String {
    let file = site.registration_file();
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let (file, config) = (file.display(), site.config_file.display());
    format!(
        "Now the homeserver has to read it:\n  \
         Synapse: it does not start if it may not read the file, and this account alone may read a new one. If Synapse\n    \
         runs as another account, give that one a copy, as root, and anew whenever `register` changes the file:\n      \
         install -o matrix-synapse -m 600 {file} /etc/matrix-synapse/\n    \
         or, if it has a group of its own, let the file belong to that: chgrp GROUP {file} && chmod 640 {file}\n    \
         (`register` can change the file then as root, or if this account is in the group too). Then add the path that\n    \
         Synapse reads to `app_service_config_files` in homeserver.yaml, and restart Synapse:\n      \
         app_service_config_files: [{file}]\n  \
         Bridgehead: `register --apply`, with homeserver.admin_address and admin_token_file set in {config};\n    \
         or put the file into a folder that `registrations` in bridgehead.toml names: it is read at once.\n  \
         Others: as they tell about application services.\n\
         The service waits for that, and goes on by itself. `doctor` tells whether all is well."
    )
}

fn print<C: Config>(site: &Site<C>) -> Result<()> {
    let registration = existing(site)?;
    let content = read_bounded(site.registration_file()).map_err(Failure::setup)?;
    let text = String::from_utf8_lossy(&content);
    let tokens = [
        registration.as_token.expose(),
        registration.hs_token.expose(),
    ];
    say(masked(&text, tokens).trim_end());
    Ok(())
}

fn existing<C: Config>(site: &Site<C>) -> Result<Registration> {
    site.read_registration()?.ok_or_else(|| {
        Failure::Setup(format!(
            "there is no {}: `register` makes it",
            site.registration_file().display()
        ))
    })
}

/// Holds the registration against others'.
fn check<C: Config>(site: &Site<C>, asked: &cli::Register) -> Result<()> {
    let mut others = load(&asked.check).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::Tried(lines.join("\n"))
    })?;
    let own = existing(site)?;
    let is_same = |other: &Registration| {
        let canonical = |path: &std::path::Path| std::fs::canonicalize(path).ok();
        canonical(&other.source.file) == canonical(&own.source.file)
    };
    if !others.registrations.iter().any(is_same) {
        others.registrations.push(own);
    }
    let errors = find_conflicts(&others.registrations);
    let mut warnings = others.warnings;
    for overlap in find_overlaps(&others.registrations) {
        if !warnings.contains(&overlap) {
            warnings.push(overlap);
        }
    }
    for error in &errors {
        say(&error.to_string());
    }
    for warning in &warnings {
        say(&warning.to_string());
    }
    if errors.is_empty() && warnings.is_empty() {
        say(&format!(
            "{} registrations: no two are in each other's way",
            others.registrations.len()
        ));
        return Ok(());
    }
    Err(Failure::Told)
}

/// Says what would change.
fn preview<C: Config>(site: &Site<C>, draft: &RegistrationDraft) -> Result<()> {
    let Some(before) = site.read_registration()? else {
        say(&format!(
            "{} would be made, with fresh tokens",
            site.registration_file().display()
        ));
        return Ok(());
    };
    let generated = draft
        .regenerate(&before, site.server_name())
        .map_err(refused)?;
    for change in &generated.changes {
        say(&change.to_string());
    }
    if !generated.is_changed() {
        say(&format!(
            "{} is up to date",
            site.registration_file().display()
        ));
    }
    Ok(())
}

fn refused(errors: Vec<bridgehead_registration::RegistrationError>) -> Failure {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::Setup(lines.join("\n"))
}

/// Puts the registration in force, and writes the file when that has worked. A file that is not there yet is written
/// first: its tokens must not be lost. Tokens in force that are not the file's are only replaced on request.
async fn apply<C: Config>(
    site: &Site<C>,
    draft: &RegistrationDraft,
    asked: &cli::Register,
) -> Result<()> {
    let Some(operator) = Operator::of(&site.keys().homeserver)? else {
        return Err(site.mistake(
            "homeserver.admin_address: missing; `register --apply` needs a homeserver with an operator API and its \
             token (homeserver.admin_token_file). For others, `register` tells what to do",
        ));
    };
    let own = site.read_registration()?;
    let id = own.as_ref().map_or(&draft.id, |own| &own.id);
    let in_force = operator.get(id).await?;
    let has_tokens = match (&in_force, &own) {
        (Some(_), Some(own)) => has_token(site, own).await?,
        (Some(_), None) => false,
        (None, _) => true,
    };
    if !has_tokens && !asked.new_tokens {
        return Err(locked_out(site, id, own.is_some()));
    }
    let before = match own {
        Some(before) => before,
        None => site.write_registration(draft)?.registration,
    };
    let generated = draft
        .regenerate(&before, site.server_name())
        .map_err(refused)?;
    let mut registration = generated.registration;
    registration.source.file = site.registration_file().to_owned();
    for change in &generated.changes {
        say(&change.to_string());
    }
    let in_force = in_force.map(|before| Before { before, has_tokens });
    let applied = put(site, &operator, &registration, (&generated.text, in_force)).await?;
    if !asked.unverified {
        verify(site, &operator, &registration, &applied).await?;
    }
    if generated
        .changes
        .iter()
        .any(bridgehead_registration::Change::is_edit)
    {
        replace_file(site.registration_file(), generated.text.expose()).map_err(|error| {
            Failure::tried(format!(
                "the homeserver has the registration, but {} cannot be written: {error}",
                site.registration_file().display()
            ))
        })?;
    }
    say(&format!(
        "`{}` is in force at the homeserver.",
        registration.id
    ));
    Ok(())
}

/// What the homeserver has in force before `--apply`.
struct Before {
    before: InForce,
    /// With the tokens of the file, which are therefore not lost with it.
    has_tokens: bool,
}

/// What `--apply` has done, so that it can be undone.
enum Applied {
    Nothing,
    Added,
    Replaced { before: Before, revision: u64 },
}

async fn put<C: Config>(
    site: &Site<C>,
    operator: &Operator,
    registration: &Registration,
    (text, in_force): (&Secret, Option<Before>),
) -> Result<Applied> {
    let Some(in_force) = in_force else {
        operator.add(text).await?;
        return Ok(Applied::Added);
    };
    let before = &in_force.before;
    let differences = drift(registration, before, site.server_name())?;
    if differences.is_empty() && in_force.has_tokens {
        say("The homeserver has it already.");
        return Ok(Applied::Nothing);
    }
    if let Some(file) = &before.file {
        return Err(Failure::tried(format!(
            "the homeserver has `{}` from a file of its own, {file}: put {} there, it is read at once",
            registration.id,
            site.registration_file().display(),
        )));
    }
    for line in &differences {
        say(&format!("at the homeserver: {line}"));
    }
    let revision = operator
        .replace(&registration.id, text, before.revision)
        .await?;
    Ok(Applied::Replaced {
        before: in_force,
        revision,
    })
}

/// Whether the homeserver takes the `as_token` of the file. Which one it has, it tells nobody.
async fn has_token<C: Config>(site: &Site<C>, own: &Registration) -> Result<bool> {
    let unknown = |why: String| {
        Failure::tried(format!(
            "homeserver.address: cannot see whether the homeserver has the as_token of {}: {why}",
            site.registration_file().display()
        ))
    };
    let asked = homeserver(site, own)?
        .get("/_matrix/client/v3/account/whoami")
        .await;
    let answer = asked.map_err(|error| unknown(error.to_string()))?;
    match answer.status {
        StatusCode::UNAUTHORIZED => Ok(false),
        // Its user may not be registered yet.
        StatusCode::FORBIDDEN => Ok(true),
        status if status.is_success() => Ok(true),
        _ => Err(unknown(answer.told())),
    }
}

/// Why the registration in force is not replaced: its tokens cannot be had back from the homeserver.
fn locked_out<C: Config>(site: &Site<C>, id: &str, is_there: bool) -> Failure {
    let file = site.registration_file().display();
    let differs = if is_there {
        format!("and not with the as_token of {file}")
    } else {
        format!("and there is no {file} here")
    };
    Failure::tried(format!(
        "the homeserver has `{id}` already, {differs}. A service that runs with the tokens in force would be locked \
         out, and they cannot be put back: copy the registration from where that service is, or say --new-tokens to \
         replace them. Nothing was changed."
    ))
}

fn homeserver<C: Config>(site: &Site<C>, registration: &Registration) -> Result<Api> {
    let address = site.keys().homeserver.address.as_str();
    Api::new(address, Some(&registration.as_token)).map_err(Failure::setup)
}

/// Sees whether the homeserver reaches the service; if not, takes everything back.
async fn verify<C: Config>(
    site: &Site<C>,
    operator: &Operator,
    registration: &Registration,
    applied: &Applied,
) -> Result<()> {
    let listen = &site.keys().listen;
    let answerer = Answerer::find(registration, listen, site.database_file()).await;
    if listen.websocket && answerer.nobody().is_some() {
        say(
            "The homeserver cannot be asked whether it reaches the service: that opens a websocket when it runs.",
        );
        return Ok(());
    }
    let pinged = match answerer.nobody() {
        Some(why) => Pinged::Bad {
            what: why.to_owned(),
            cure: "start the service first; or say --unverified".to_owned(),
        },
        None => ping(&homeserver(site, registration)?, registration).await,
    };
    match pinged {
        Pinged::Good => {
            say("The homeserver reaches the service.");
            Ok(())
        }
        Pinged::Unknown => {
            say("The homeserver knows no ping, so it was not seen whether it reaches the service.");
            Ok(())
        }
        Pinged::Bad { what, cure } => {
            let undone = match undo(operator, registration, applied).await {
                Ok(undone) => undone.to_owned(),
                Err(failure) => format!("And it could not be put back: {failure}"),
            };
            Err(Failure::Tried(format!("{what}\n  {cure}\n{undone}")))
        }
    }
}

async fn undo(
    operator: &Operator,
    registration: &Registration,
    applied: &Applied,
) -> Result<&'static str> {
    match applied {
        Applied::Nothing => Ok("The homeserver's registration was not changed."),
        Applied::Added => {
            operator.remove(&registration.id).await?;
            Ok("The homeserver's new registration was taken away again.")
        }
        Applied::Replaced { before, revision } => {
            let yaml = Secret::new(before.before.yaml.clone());
            operator.replace(&registration.id, &yaml, *revision).await?;
            Ok(if before.has_tokens {
                "The homeserver has its registration from before again, with the file's tokens."
            } else {
                "The homeserver has its registration from before again, but with this file's tokens: those from before \
                 are lost."
            })
        }
    }
}
