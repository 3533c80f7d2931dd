//! The way from the service to the homeserver: is it there, does it know the service, is its clock right, what can it
//! do, does it keep media.

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Known, Patient, Report};
use crate::{
    client::{escape, retry_after::http_date_ms},
    config::Config,
    program::{
        Result,
        api::Answer,
        operator::{Operator, drift},
    },
    surroundings::{Clock as _, SystemClock},
};

/// Clocks may be apart by so much: signed links and waits go by them.
const SKEW_MS: i64 = 30_000;

/// What is uploaded: small, and always the same, so homeservers that store by contents keep one.
const SAMPLE: &[u8] = b"doctor";

impl<C: Config> Patient<'_, C> {
    /// The homeserver is there and speaks Matrix, and its clock is right. `false`: there is no use in going on.
    pub(super) async fn versions(&self, report: &mut Report) -> bool {
        let address = self.site.keys().homeserver.address.as_str();
        let answer = match self.anybody.get("/_matrix/client/versions").await {
            Ok(answer) => answer,
            Err(error) => {
                let cure = format!(
                    "{}: start the homeserver, or correct the address",
                    self.key("homeserver.address")
                );
                report.bad("homeserver", format!("{address}: {error}"), cure);
                return false;
            }
        };
        let versions = answer.body.get("versions").and_then(Value::as_array);
        let Some(newest) = versions
            .and_then(|versions| versions.last())
            .and_then(Value::as_str)
        else {
            report.bad(
                "homeserver",
                format!(
                    "{address} answers, and not like a homeserver ({})",
                    answer.told()
                ),
                format!("{}: correct the address", self.key("homeserver.address")),
            );
            return false;
        };
        report.good(
            "homeserver",
            format!("{address} is there, up to Matrix {newest}"),
        );
        clock(&answer, report);
        true
    }

    /// The homeserver knows the token, and who it belongs to; and it is called as the service believes.
    pub(super) async fn token(&self, report: &mut Report) -> Known {
        let localpart = &self.registration.sender_localpart;
        let body = json!({ "type": "m.login.application_service", "username": localpart, "inhibit_login": true });
        // What this answers is seen by the next question.
        self.homeserver
            .post("/_matrix/client/v3/register", &body)
            .await
            .ok();
        let answer = match self
            .homeserver
            .get("/_matrix/client/v3/account/whoami")
            .await
        {
            Ok(answer) => answer,
            Err(error) => {
                report.bad(
                    "as_token",
                    error.to_string(),
                    self.key("homeserver.address"),
                );
                return Known::No;
            }
        };
        if answer.status == StatusCode::UNAUTHORIZED {
            let cure = format!(
                "{}: let the homeserver read this file (`register` tells how), or put into it the token that the \
                 homeserver has",
                self.place("as_token")
            );
            report.bad(
                "as_token",
                format!("the homeserver does not know it: {}", answer.told()),
                cure,
            );
            return Known::No;
        }
        let user = answer
            .body
            .get("user_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some((name, server)) = user.strip_prefix('@').and_then(|user| user.split_once(':'))
        else {
            let cure = "the homeserver's log may tell more";
            report.bad(
                "as_token",
                format!("the homeserver says: {}", answer.told()),
                cure,
            );
            return Known::No;
        };
        report.good("as_token", format!("the homeserver knows it as {user}"));
        if server != self.site.server_name() {
            let cure = format!(
                "{}: write \"{server}\", run `register`, and let the homeserver read the registration again",
                self.key("homeserver.server_name")
            );
            report.bad(
                "name",
                format!(
                    "the homeserver is called {server}, not {}",
                    self.site.server_name()
                ),
                cure,
            );
            return Known::OfAnotherName;
        }
        if name != localpart {
            let cure = format!(
                "{}: let the homeserver read this file again",
                self.place("sender_localpart")
            );
            report.bad(
                "name",
                format!("the homeserver has the sender {name}, the file {localpart}"),
                cure,
            );
        }
        Known::Yes
    }

    /// What the homeserver can do; nothing of it is wrong.
    pub(super) async fn capabilities(&self, report: &mut Report) {
        let Ok(answer) = self.homeserver.get("/_matrix/client/v3/capabilities").await else {
            return;
        };
        let versions = answer.body.pointer("/capabilities/m.room_versions/default");
        if let Some(version) = versions.and_then(Value::as_str) {
            report.note("capabilities", format!("new rooms have version {version}"));
        }
    }

    /// What is uploaded can be fetched.
    pub(super) async fn media(&self, report: &mut Report) {
        if let Err(problem) = self.try_media().await {
            report.bad(
                "media",
                problem,
                "see the homeserver's media settings, and what stands between: it must let through \
                 /_matrix/media and /_matrix/client/v1/media",
            );
        } else {
            report.good("media", "what is uploaded can be fetched");
        }
    }

    async fn try_media(&self) -> Result<(), String> {
        let path = "/_matrix/media/v3/upload?filename=doctor.txt";
        let sent = self
            .homeserver
            .send(Method::POST, path, "text/plain", Some(SAMPLE.into()))
            .await;
        let sent = sent.map_err(|error| format!("cannot upload: {error}"))?;
        let uri = sent.body.get("content_uri").and_then(Value::as_str);
        let Some((server, id)) = uri.and_then(|uri| uri.strip_prefix("mxc://")?.split_once('/'))
        else {
            return Err(format!("cannot upload: {}", sent.told()));
        };
        let place = format!("{}/{}", escape(server), escape(id));
        for base in [
            "/_matrix/client/v1/media/download",
            "/_matrix/media/v3/download",
        ] {
            let fetched = self.homeserver.get(&format!("{base}/{place}")).await;
            let fetched = fetched.map_err(|error| format!("cannot download: {error}"))?;
            if fetched.status == StatusCode::NOT_FOUND && fetched.errcode() != "M_NOT_FOUND" {
                continue;
            }
            return match &*fetched.bytes {
                SAMPLE => Ok(()),
                _ if fetched.status.is_success() => {
                    Err("the download is not what was uploaded".to_owned())
                }
                _ => Err(format!("cannot download: {}", fetched.told())),
            };
        }
        Err("the homeserver knows no way to download".to_owned())
    }

    /// What the homeserver's operator API says about the registration, where there is one.
    pub(super) async fn in_force(&self, report: &mut Report) -> Result<()> {
        let Some(operator) = Operator::of(&self.site.keys().homeserver)? else {
            return Ok(());
        };
        let id = &self.registration.id;
        let in_force = match operator.get(id).await {
            Ok(Some(in_force)) => in_force,
            Ok(None) => {
                report.bad(
                    "in force",
                    format!("the homeserver has no service `{id}`"),
                    "run `register --apply`",
                );
                return Ok(());
            }
            Err(failure) => {
                report.bad(
                    "in force",
                    failure.to_string(),
                    self.key("homeserver.admin_address"),
                );
                return Ok(());
            }
        };
        let differences = drift(&self.registration, &in_force, self.site.server_name())?;
        if differences.is_empty() {
            report.good(
                "in force",
                "the homeserver has the registration as the file has it",
            );
        }
        let cure = match &in_force.file {
            Some(file) => format!(
                "copy {} to {file} at the homeserver",
                self.registration.source.file.display()
            ),
            None => "run `register --apply`".to_owned(),
        };
        for line in differences {
            report.bad(
                "in force",
                format!("the homeserver has it otherwise (- there, + in the file): {line}"),
                &*cure,
            );
        }
        Ok(())
    }
}

fn clock(answer: &Answer, report: &mut Report) {
    let date = answer
        .headers
        .get(header::DATE)
        .and_then(|date| date.to_str().ok());
    let Some(theirs) = date.and_then(http_date_ms) else {
        report.skipped("clock", "the homeserver does not tell the time");
        return;
    };
    let apart = SystemClock.now_ms() - theirs;
    if apart.abs() <= SKEW_MS {
        report.good("clock", "the homeserver's is the same");
        return;
    }
    let seconds = apart.abs() / 1000;
    let which = if apart > 0 { "ahead of" } else { "behind" };
    report.bad(
        "clock",
        format!("this machine's is {seconds} s {which} the homeserver's"),
        "set both by a time server (NTP)",
    );
}
