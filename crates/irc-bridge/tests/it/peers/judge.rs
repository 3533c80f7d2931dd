//! Who says what a channel was told: a real client that listens there.

use super::{
    ii::{Ii, Shown},
    raw::RawClient,
};
use anyhow::{Context as _, ensure};

/// Somebody silent in a channel who can say what was said there, by whom and in which order.
pub(crate) struct Judge {
    ii: Ii,
    channel: String,
}

impl Judge {
    /// Enters a channel; what is said from now on counts.
    pub(crate) async fn listen(port: u16, nick: &str, channel: &str) -> anyhow::Result<Self> {
        let mut ii = Ii::start(port, nick).await?;
        ii.join(channel).await?;
        let channel = channel.to_owned();
        Ok(Self { ii, channel })
    }

    /// How often somebody was seen to come into the channel.
    pub(crate) fn entries(&mut self, nick: &str) -> anyhow::Result<usize> {
        let shown = self.ii.shown(&self.channel)?;
        let is_entry = |shown: &&Shown| matches!(shown, Shown::Note(note) if note.contains(nick) && note.contains("has joined"));
        Ok(shown.iter().filter(is_entry).count())
    }

    /// All that was said so far, in order, as nick and text. Notices are not among it: ii does not tell whose they are.
    pub(crate) fn said(&mut self) -> anyhow::Result<Vec<(String, String)>> {
        let shown = self.ii.shown(&self.channel)?;
        Ok(shown.iter().filter_map(said).collect())
    }

    /// All that was said, once it is at least so many lines.
    pub(crate) async fn said_at_least(
        &mut self,
        count: usize,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let what = format!("{count} lines in {}", self.channel);
        let has_them = |shown: &[Shown]| shown.iter().filter_map(said).count() >= count;
        let shown = self.ii.wait_until(&self.channel, &what, has_them).await?;
        Ok(shown.iter().filter_map(said).collect())
    }

    /// All that was said up to this and with it, once it was.
    pub(crate) async fn said_until(
        &mut self,
        by: &str,
        text: &str,
    ) -> anyhow::Result<Vec<(String, String)>> {
        self.ii
            .wait_for(&self.channel, &Shown::said(by, text))
            .await?;
        let mut all = self.said()?;
        let last = all.iter().rposition(|said| said.0 == by && said.1 == text);
        all.truncate(last.context("what was just said")? + 1);
        Ok(all)
    }
}

fn said(shown: &Shown) -> Option<(String, String)> {
    match shown {
        Shown::Said { by, text } => Some((by.clone(), text.clone())),
        Shown::Note(_) => None,
    }
}

/// What has to work on every server: a channel, a private word, and a judge who heard it all.
pub(crate) async fn two_people_talk(port: u16) -> anyhow::Result<()> {
    let mut judge = Judge::listen(port, "judge", "#talk").await?;
    let mut alice = Ii::start(port, "alice").await?;
    alice.join("#talk").await?;
    let mut bob = Ii::start(port, "bob").await?;
    bob.join("#talk").await?;
    alice
        .say("#talk", "hello  bob, schön dich \u{2}zu\u{2} sehen")
        .await?;
    let hello = Shown::said("alice", "hello  bob, schön dich \u{2}zu\u{2} sehen");
    bob.wait_for("#talk", &hello).await?;
    for number in 1..=20 {
        bob.say("#talk", &format!("line {number}")).await?;
    }
    alice
        .wait_for("#talk", &Shown::said("bob", "line 20"))
        .await?;
    let heard = judge.said_at_least(21).await?;
    let wanted = (1..=20).map(|number| ("bob".to_owned(), format!("line {number}")));
    ensure!(
        heard[0].0 == "alice" && heard[1..].iter().cloned().eq(wanted),
        "{heard:?}"
    );
    ensure!(
        judge.said_until("bob", "line 1").await?.len() == 2,
        "not up to there"
    );

    bob.open("alice").await?;
    alice.tell("bob", "psst").await?;
    alice.tell("bob", "once more").await?;
    bob.wait_for("alice", &Shown::said("alice", "psst")).await?;
    bob.wait_for("alice", &Shown::said("alice", "once more"))
        .await?;
    actions_and_notices(port, &mut bob).await
}

async fn actions_and_notices(port: u16, bob: &mut Ii) -> anyhow::Result<()> {
    let mut carol = RawClient::welcomed(port, "carol").await?;
    carol.join("#talk").await?;
    carol.say("PRIVMSG #talk :\u{1}ACTION waves\u{1}").await;
    bob.wait_for("#talk", &Shown::said("carol", "\u{1}ACTION waves\u{1}"))
        .await?;
    carol.say("NOTICE #talk :mind the step").await;
    let notice = Shown::Note("\"mind the step\")".to_owned());
    bob.wait_for("#talk", &notice).await?;
    ensure!(
        bob.shown("#talk")?.last() == Some(&notice),
        "the notice is not the last"
    );
    Ok(())
}
