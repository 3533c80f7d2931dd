//! What people of Matrix do to others: put them out of channels, keep them out, let them in again, give them power, and
//! say who may come and speak.
//!
//! It is done by whoever can do more there, the person's own connection or the bridge's. What is refused is told to who
//! has asked for it.

use bridgehead_irc_protocol::{Line, ModeChange, channels::Channel, session::Priority};
use tokio::sync::oneshot;

use super::{
    Hub, Owner,
    client::Asked,
    command::{Report, one_line},
    standing::level_of,
    words::readable,
};

impl Hub {
    /// Puts somebody out of a channel; for good, where that is asked for.
    pub(super) fn remove(
        &mut self,
        owner: &Owner,
        (channel, nick): (&str, &str),
        (reason, is_ban): (Option<String>, bool),
        reply: oneshot::Sender<Report>,
    ) {
        let as_whom = self.strongest(owner, channel);
        let mut lines = Vec::new();
        if is_ban {
            let mask = self.mask_for(channel, nick);
            let ban = ModeChange::set('b', Some(&mask));
            lines.extend(self.mode_lines(channel, &[ban]));
            self.keep_mask(channel, nick, &mask);
        }
        let known = self
            .watcher(channel)
            .and_then(|live| live.view.channel(channel));
        let is_there = known.is_some_and(|known| known.member(nick).is_some());
        if is_there || !is_ban {
            let reason = reason.as_deref().map(one_line).unwrap_or_default();
            lines.push(Line::new("KICK", [channel, nick, reason]));
        }
        self.ask_all(&as_whom, lines, reply);
    }

    /// Lets somebody in again.
    pub(super) fn let_back(
        &mut self,
        owner: &Owner,
        (channel, nick): (&str, &str),
        reply: oneshot::Sender<Report>,
    ) {
        let masks = self.masks_of(channel, nick);
        let changes: Vec<ModeChange> = masks
            .iter()
            .map(|mask| ModeChange::unset('b', Some(mask)))
            .collect();
        let folded = self.directory.read().case_mapping().fold(channel);
        self.forget_mask(&folded, nick);
        self.change_modes(owner, channel, &changes, reply);
    }

    /// Changes modes because Matrix is so: it is no news there when they are heard.
    pub(super) fn change_modes(
        &mut self,
        owner: &Owner,
        channel: &str,
        changes: &[ModeChange],
        reply: oneshot::Sender<Report>,
    ) {
        let as_whom = self.strongest(owner, channel);
        let lines = self.mode_lines(channel, changes);
        self.ask_all(&as_whom, lines, reply);
    }

    /// The same by the bridge, and nobody waits for it.
    pub(super) fn change_modes_quietly(&mut self, channel: &str, changes: &[ModeChange]) {
        let lines = self.mode_lines(channel, changes);
        if let Some(live) = self.client(&Owner::Bot).live.as_mut() {
            for line in lines {
                live.upkeep(line);
            }
        }
    }

    /// What is to be changed of a channel because people of Matrix let others join freely, or by invitation only.
    ///
    /// # Errors
    /// Why that cannot be.
    pub(super) fn closing(
        &self,
        channel: &str,
        is_closed: bool,
    ) -> Result<Option<ModeChange>, String> {
        let Some(known) = self.room_rules(channel) else {
            return Ok(None);
        };
        match (is_closed, known.has_mode('i')) {
            (true, false) => Ok(Some(ModeChange::set('i', None))),
            (false, _) if known.has_mode('k') => Err(format!(
                "{channel} has a key, and nobody comes in without: an operator takes it away on IRC by \
                 `/mode {channel} -k KEY`"
            )),
            (false, true) => Ok(Some(ModeChange::unset('i', None))),
            _ => Ok(None),
        }
    }

    /// The same because they let only some speak, or all, where they have changed that.
    pub(super) fn moderating(
        &self,
        channel: &str,
        speech: Option<(i64, i64)>,
    ) -> Option<ModeChange> {
        let (before, now) = speech?;
        let voice = level_of(Some('v'));
        let (was_moderated, is_moderated) = (before >= voice, now >= voice);
        let folded = self.directory.read().case_mapping().fold(channel);
        let known = self
            .room_rules(channel)
            .filter(|_| self.has_voices(&folded))?;
        if was_moderated == is_moderated || known.has_mode('m') == is_moderated {
            return None;
        }
        Some(match is_moderated {
            true => ModeChange::set('m', None),
            false => ModeChange::unset('m', None),
        })
    }

    /// A channel as it is, if its rules are those of its room.
    fn room_rules(&self, channel: &str) -> Option<Channel<'_>> {
        let folded = self.directory.read().case_mapping().fold(channel);
        self.own_rules(&folded)?;
        self.watcher(channel)?.view.channel(channel)
    }

    /// The commands for these changes, which are expected from now on.
    fn mode_lines(&mut self, channel: &str, changes: &[ModeChange]) -> Vec<Line> {
        let Some(isupport) = self.watcher(channel).map(|live| live.link.facts().isupport) else {
            return Vec::new();
        };
        self.expect(channel, changes);
        let commands = ModeChange::commands(&isupport, changes).into_iter();
        let lines = commands
            .map(|command| Line::new("MODE", std::iter::once(channel.to_owned()).chain(command)));
        lines.collect()
    }

    /// Gives commands one after another; what is told is the first no, or that it is done.
    pub(super) fn ask_all(
        &mut self,
        owner: &Owner,
        lines: Vec<Line>,
        reply: oneshot::Sender<Report>,
    ) {
        let Some(live) = self
            .client(owner)
            .live
            .as_mut()
            .filter(|live| live.is_ready)
        else {
            reply.send(Err("There is no connection.".to_owned())).ok();
            return;
        };
        if lines.is_empty() {
            let words = "Nothing is known of the channel at the moment.".to_owned();
            reply.send(Err(words)).ok();
            return;
        }
        let mut answers = Vec::new();
        for line in lines {
            let (told, answer) = oneshot::channel();
            live.ask(line, Priority::Moderation, Asked::Answer(told));
            answers.push(answer);
        }
        // Ends with the connection at the latest, for that drops what it was asked.
        tokio::spawn(async move {
            let mut report = Ok("Done.".to_owned());
            for answer in answers {
                let told = match answer.await {
                    Ok(Ok(lines)) => Ok(readable(&lines)),
                    Ok(Err(words)) => Err(words),
                    Err(_) => Err("The connection has ended meanwhile.".to_owned()),
                };
                if report.is_ok() {
                    report = told;
                }
            }
            reply.send(report).ok();
        });
    }
}
