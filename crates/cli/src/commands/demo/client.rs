//! The little of the client-server API that the demo's user needs.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// A logged-in user.
pub(super) struct Client {
    http: reqwest::Client,
    base_url: String,
    token: String,
}

impl Client {
    pub(super) async fn log_in(base_url: &str, user: &str, password: &str) -> anyhow::Result<Self> {
        let mut client = Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            base_url: base_url.to_owned(),
            token: String::new(),
        };
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user },
            "password": password,
        });
        let answer = client.call(http::Method::POST, "login", &body).await?;
        client.token = text(&answer, "access_token")?;
        Ok(client)
    }

    pub(super) async fn create_room(&self, alias: &str) -> anyhow::Result<String> {
        let body = json!({ "room_alias_name": alias, "preset": "public_chat" });
        text(
            &self.call(http::Method::POST, "createRoom", &body).await?,
            "room_id",
        )
    }

    pub(super) async fn join(&self, alias: &str) -> anyhow::Result<String> {
        let path = format!("join/{}", alias.replace('#', "%23").replace(':', "%3A"));
        text(
            &self.call(http::Method::POST, &path, &json!({})).await?,
            "room_id",
        )
    }

    pub(super) async fn say(&self, room: &str, words: &str) -> anyhow::Result<String> {
        let txn = rand::random::<u64>();
        let path = format!("rooms/{room}/send/m.room.message/{txn}");
        let body = json!({ "msgtype": "m.text", "body": words });
        text(
            &self.call(http::Method::PUT, &path, &body).await?,
            "event_id",
        )
    }

    async fn call(&self, method: http::Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}/_matrix/client/v3/{path}", self.base_url);
        let request = self
            .http
            .request(method, &url)
            .bearer_auth(&self.token)
            .json(body);
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

fn text(answer: &Value, key: &str) -> anyhow::Result<String> {
    let value = answer[key]
        .as_str()
        .with_context(|| format!("no `{key}` in {answer}"))?;
    Ok(value.to_owned())
}
