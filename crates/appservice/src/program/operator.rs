//! The operator API of homeservers that have one (`/_bridgehead/v1`): registrations put in place while the homeserver
//! runs.

use bridgehead_registration::{Registration, RegistrationDraft, Secret, parse, with_tokens};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Failure, Result,
    api::{Answer, Api},
};
use crate::{client::escape, config::HomeserverConfig};

/// Where the API is.
const BASE: &str = "/_bridgehead/v1/appservices";

/// What the audit log says about who did it.
const REASON: &str = "register --apply of the service itself";

/// A homeserver's operator API.
pub(super) struct Operator(Api);

/// A registration as the homeserver has it.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    /// The text; its tokens read `***`.
    pub(super) yaml: String,
    pub(super) revision: u64,
    /// The file that it comes from, where it does not come from this API.
    pub(super) file: Option<String>,
}

impl Operator {
    /// The API that the configuration names; `None` where it names none.
    pub(super) fn of(config: &HomeserverConfig) -> Result<Option<Self>> {
        let Some(address) = &config.admin_address else {
            return Ok(None);
        };
        let api = Api::new(address.as_str(), config.admin_token.get());
        api.map(|api| Some(Self(api))).map_err(Failure::setup)
    }

    /// The registration in force under this id.
    pub(super) async fn get(&self, id: &str) -> Result<Option<InForce>> {
        let answer = self
            .ask(
                Method::GET,
                &format!("{BASE}/{}/registration", escape(id)),
                None,
            )
            .await?;
        if answer.status == StatusCode::NOT_FOUND && answer.errcode() == "M_NOT_FOUND" {
            return Ok(None);
        }
        let body = good(&answer)?;
        let text =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let (Some(yaml), Some(revision)) = (
            text(body, "yaml"),
            body.get("revision").and_then(Value::as_u64),
        ) else {
            return Err(Failure::tried(
                "homeserver.admin_address: the answer there makes no sense: is it a Bridgehead's operator API?",
            ));
        };
        let file = body.get("source").and_then(|source| text(source, "path"));
        Ok(Some(InForce {
            yaml,
            revision,
            file,
        }))
    }

    /// Puts a new registration in force; gives back its revision.
    pub(super) async fn add(&self, yaml: &Secret) -> Result<u64> {
        let body = json!({ "yaml": yaml.expose(), "reason": REASON });
        let answer = self.ask(Method::POST, BASE, Some(&body)).await?;
        revision(&answer)
    }

    /// Puts a registration in the place of the one of this revision; gives back its own.
    pub(super) async fn replace(&self, id: &str, yaml: &Secret, before: u64) -> Result<u64> {
        let body = json!({ "yaml": yaml.expose(), "revision": before, "reason": REASON });
        let path = format!("{BASE}/{}/registration", escape(id));
        let answer = self.ask(Method::PUT, &path, Some(&body)).await?;
        revision(&answer)
    }

    /// Takes a registration away.
    pub(super) async fn remove(&self, id: &str) -> Result<()> {
        let answer = self
            .ask(Method::DELETE, &format!("{BASE}/{}", escape(id)), None)
            .await?;
        good(&answer).map(drop)
    }

    /// What the homeserver's own examination of its way to the service finds: failures with their cures.
    pub(super) async fn examine(&self, id: &str) -> Result<Vec<(String, String)>> {
        let path = format!("{BASE}/{}/doctor", escape(id));
        let answer = self.ask(Method::POST, &path, Some(&json!({}))).await?;
        let steps = good(&answer)?.get("steps").and_then(Value::as_array);
        let failed = steps
            .into_iter()
            .flatten()
            .filter(|step| step["outcome"] == "failed");
        Ok(failed
            .map(|step| {
                let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
                (
                    format!("{}: {}", text("name"), text("detail")),
                    text("cure"),
                )
            })
            .collect())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.0
            .ask(method, path, body)
            .await
            .map_err(|error| Failure::tried(format!("homeserver.admin_address: {error}")))
    }
}

fn good(answer: &Answer) -> Result<&Value> {
    match answer.status {
        status if status.is_success() => Ok(&answer.body),
        StatusCode::UNAUTHORIZED => Err(Failure::tried(
            "homeserver.admin_token: the homeserver does not take it; its first start writes `operator.token` into its \
             data folder, or make one with `bridgehead operator add`",
        )),
        StatusCode::FORBIDDEN => Err(Failure::tried(format!(
            "homeserver.admin_token: this operator may not do it: {}",
            answer.told()
        ))),
        _ => Err(Failure::tried(format!(
            "the homeserver refuses: {}",
            answer.told()
        ))),
    }
}

fn revision(answer: &Answer) -> Result<u64> {
    let revision = good(answer)?.get("revision").and_then(Value::as_u64);
    revision.ok_or_else(|| Failure::tried("the homeserver's answer has no revision"))
}

/// What the homeserver has otherwise than the file, one line each. The tokens, which it does not tell, are left out.
pub(super) fn drift(
    own: &Registration,
    in_force: &InForce,
    server_name: &str,
) -> Result<Vec<String>> {
    let unreadable =
        |_| Failure::tried("the registration in force at the homeserver cannot be read");
    let (as_token, hs_token) = (own.as_token.expose(), own.hs_token.expose());
    let filled = with_tokens(&in_force.yaml, as_token, hs_token);
    let filled = filled.ok_or_else(|| unreadable(()))?;
    let (theirs, _) = parse("in force".as_ref(), filled.as_bytes()).map_err(|_| unreadable(()))?;
    let generated = RegistrationDraft::from(own)
        .regenerate(&theirs, server_name)
        .map_err(|_| unreadable(()))?;
    Ok(generated.changes.iter().map(ToString::to_string).collect())
}
