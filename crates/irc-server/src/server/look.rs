//! What is in the server, and what was sent to it.

use crate::{ChannelView, Logged, PersonView, Server};

impl Server {
    /// A channel as it is now.
    pub async fn channel(&self, name: &str) -> Option<ChannelView> {
        let name = name.to_owned();
        self.with(move |state| ChannelView::of(state, &name)).await
    }

    /// The names of all channels, in order.
    pub async fn channels(&self) -> Vec<String> {
        self.with(|state| {
            state
                .channels
                .values()
                .map(|channel| channel.name.clone())
                .collect()
        })
        .await
    }

    /// Somebody who is registered, as they are now.
    pub async fn whois(&self, nick: &str) -> Option<PersonView> {
        let nick = nick.to_owned();
        self.with(move |state| PersonView::of(state, state.holder(&nick)?))
            .await
    }

    /// The nicks of all who are registered, in order.
    pub async fn nicks(&self) -> Vec<String> {
        self.with(|state| {
            let clients = state
                .clients
                .values()
                .filter(|client| client.is_registered());
            let mut nicks: Vec<String> = clients.map(|client| client.nick.clone()).collect();
            nicks.sort();
            nicks
        })
        .await
    }

    /// Everything that each connection and each person sent, in order.
    pub async fn log(&self) -> Vec<Logged> {
        self.with(|state| state.log.iter().cloned().collect()).await
    }

    /// Forgets what the log holds.
    pub async fn clear_log(&self) {
        self.with(|state| state.log.clear()).await;
    }
}
