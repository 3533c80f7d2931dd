//! Somebody on Matrix: as much of the client-server API as the demonstration needs.

use std::time::Instant;

use anyhow::{Context as _, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use super::PATIENCE;

/// How long one look may wait for news, ms.
const LOOK_MS: &str = "1000";

/// A logged-in user, with all that they have seen of their rooms.
pub(super) struct Person {
    http: reqwest::Client,
    base_url: String,
    token: String,
    since: Option<String>,
    /// Events in the order in which they came.
    seen: Vec<Value>,
    sent: u32,
}

impl Person {
    pub(super) async fn log_in(base_url: &str, user: &str, password: &str) -> anyhow::Result<Self> {
        let mut person = Self {
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(PATIENCE)
                .build()?,
            base_url: base_url.to_owned(),
            token: String::new(),
            since: None,
            seen: Vec::new(),
            sent: 0,
        };
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user },
            "password": password,
        });
        let answer = person.call(Method::POST, "login", &[], Some(&body)).await?;
        person.token = text(&answer, "access_token")?;
        Ok(person)
    }

    /// Joins by alias; gives back the room.
    pub(super) async fn join(&self, alias: &str) -> anyhow::Result<String> {
        let path = format!("join/{}", utf8_percent_encode(alias, NON_ALPHANUMERIC));
        let answer = self
            .call(Method::POST, &path, &[], Some(&json!({})))
            .await?;
        text(&answer, "room_id")
    }

    /// Sends a message of this content; gives back its id.
    pub(super) async fn send(&mut self, room: &str, content: &Value) -> anyhow::Result<String> {
        self.sent += 1;
        let room = utf8_percent_encode(room, NON_ALPHANUMERIC);
        let path = format!("rooms/{room}/send/m.room.message/{}", self.sent);
        let answer = self.call(Method::PUT, &path, &[], Some(content)).await?;
        text(&answer, "event_id")
    }

    /// All events so far.
    pub(super) fn seen(&self) -> &[Value] {
        &self.seen
    }

    /// Looks until an event has come that is meant.
    pub(super) async fn sees(
        &mut self,
        what: &str,
        is_meant: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.iter().any(&is_meant) {
            anyhow::ensure!(Instant::now() < deadline, "on Matrix nobody sees {what}");
            self.look().await?;
        }
        Ok(())
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let mut query = vec![("timeout", LOOK_MS.to_owned())];
        query.extend(self.since.clone().map(|since| ("since", since)));
        let news = self.call(Method::GET, "sync", &query, None).await?;
        self.since = Some(text(&news, "next_batch")?);
        for kind in ["join", "leave"] {
            let rooms = news["rooms"][kind].as_object();
            for room in rooms.into_iter().flat_map(|rooms| rooms.values()) {
                let events = room["timeline"]["events"].as_array();
                self.seen.extend(events.into_iter().flatten().cloned());
            }
        }
        Ok(())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}/_matrix/client/v3/{path}", self.base_url);
        let mut url = reqwest::Url::parse(&url)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self
            .http
            .request(method, url.clone())
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("calling {url}"))?;
        let status = response.status();
        let answer: Value = response.json().await?;
        if !status.is_success() {
            bail!("{url} answered {status}: {answer}");
        }
        Ok(answer)
    }
}

/// What an event is for a reader: who, and what; `None` for what no client shows.
pub(super) fn shown(event: &Value) -> Option<String> {
    let sender = event["sender"].as_str()?;
    let content = &event["content"];
    match event["type"].as_str()? {
        "m.room.message" => {
            let edited = &content["m.new_content"];
            let (content, mark) = match edited.is_object() {
                true => (edited, "(edited) "),
                false => (content, ""),
            };
            let words = content["formatted_body"]
                .as_str()
                .or(content["body"].as_str())?;
            let line = match content["msgtype"].as_str()? {
                "m.emote" => format!("* {sender} {words}"),
                "m.notice" => format!("-{sender}- {words}"),
                _ => format!("{sender}: {mark}{words}"),
            };
            Some(line)
        }
        "m.room.member" => {
            let whom = event["state_key"].as_str()?;
            let reason = content["reason"].as_str();
            let reason = reason
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default();
            match content["membership"].as_str()? {
                "join" => Some(format!("→ {whom} has joined")),
                "leave" if whom == sender => Some(format!("← {whom} has left{reason}")),
                "leave" => Some(format!("← {sender} has removed {whom}{reason}")),
                _ => None,
            }
        }
        "m.room.topic" => Some(format!(
            "{sender} sets the topic: {}",
            content["topic"].as_str()?
        )),
        _ => None,
    }
}

fn text(answer: &Value, key: &str) -> anyhow::Result<String> {
    let value = answer[key]
        .as_str()
        .with_context(|| format!("no `{key}` in {answer}"))?;
    Ok(value.to_owned())
}
