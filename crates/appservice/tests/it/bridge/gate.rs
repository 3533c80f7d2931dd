//! The bridge to the village.

use bridgehead_appservice::{
    HandlerError,
    bridge::{
        Action, Member, Network, Outgoing, Receipt, Remote, RemoteMessage, RoomChange, RoomInfo,
        SendError, Signal, UserInfo,
    },
    id::UserId,
};

use super::village::{Line, Village};

/// What the villages are called: a service may be a bridge to several.
const NAMES: [(&str, &str); 2] = [("village", "the village"), ("city", "the city")];

/// The bridge's side of a village.
pub(crate) struct GateOf<const N: usize> {
    pub(crate) village: Village,
}

/// The bridge's side of the village.
pub(crate) type Gate = GateOf<0>;

impl<const N: usize> GateOf<N> {
    async fn tell(&self, remote: &Remote<Self>, line: &Line) -> Result<(), HandlerError> {
        match line.clone() {
            Line::Said {
                id,
                place,
                who,
                text,
                answers,
            } => {
                let mut message = RemoteMessage::new(id, place, who, text);
                message.reply_to = answers;
                remote.message(message).await?;
            }
            Line::Changed {
                id,
                place,
                who,
                text,
            } if !is_guest(&who) => {
                let edit = RemoteMessage::new(id.clone(), place, who, text);
                remote.edit(&id, edit).await?;
            }
            Line::TakenBack { id, place, who } if !is_guest(&who) => {
                remote.redact(&place, &id, Some(&who), None).await?;
            }
            Line::Nodded {
                id,
                place,
                who,
                how,
                on,
            } if !is_guest(&who) => {
                if on {
                    remote.react(&place, &id, &who, &how).await?;
                } else {
                    remote.unreact(&place, &id, &who, &how).await?;
                }
            }
            Line::Came { place, who } if !is_guest(&who) => remote.join(&place, &who).await?,
            Line::Went { place, who } if !is_guest(&who) => {
                remote.part(&place, &who, None).await?;
            }
            Line::Renamed { from, to } => remote.renamed(&from, &to).await?,
            Line::Sign { place, who, text } => {
                let change = RoomChange::new().topic(text);
                // Whoever has put it up, all are told, also the one who has.
                let by = (!is_guest(&who)).then_some(who);
                remote.change(&place, by.as_ref(), change).await?;
            }
            Line::Closed { place, why } => remote.gone(&place, &why).await?,
            _ => {}
        }
        Ok(())
    }

    fn said(&self, outgoing: &Outgoing<Self>, text: &str, answers: Option<String>) -> Vec<String> {
        let known = self.village.state.lock().keys.get(&outgoing.key).cloned();
        if let Some(known) = known {
            return known;
        }
        let who = guest(&outgoing.speaker.user_id);
        // In the city everything is said line by line.
        let lines: Vec<&str> = match N {
            0 => vec![text],
            _ => text.lines().collect(),
        };
        let say = |line: &&str| {
            let answers = answers.as_deref();
            self.village.answer(&outgoing.room, &who, line, answers)
        };
        let ids: Vec<String> = lines.iter().map(say).collect();
        let mut state = self.village.state.lock();
        state.keys.insert(outgoing.key.clone(), ids.clone());
        ids
    }
}

impl<const N: usize> GateOf<N> {
    fn sign(&self, sign: String) {
        self.village.state.lock().signs.push(sign);
    }

    /// What is not done in the village is seen all the same.
    fn refuse(&self, sign: String) -> Result<Receipt, SendError> {
        self.sign(sign);
        Err(SendError::unsupported("nobody does that in the village"))
    }
}

/// What somebody of Matrix is called in the village.
fn guest(user: &UserId) -> String {
    format!("guest {}", user.localpart())
}

fn is_guest(who: &str) -> bool {
    who.starts_with("guest ")
}

impl<const N: usize> Network for GateOf<N> {
    type Room = String;
    type User = String;

    const NAME: &'static str = NAMES[N].0;
    const TITLE: &'static str = NAMES[N].1;
    const ECHOES: bool = true;
    // The city has little of what the village has.
    const EDITS: bool = N == 0;
    const REDACTIONS: bool = N == 0;
    const REACTIONS: bool = N == 0;
    const TOPICS: bool = true;
    const MEMBERSHIP: bool = true;
    const TYPING: bool = true;
    const RECEIPTS: bool = true;

    async fn run(&self, remote: Remote<Self>) -> Result<(), HandlerError> {
        {
            let mut state = self.village.state.lock();
            state.connections += 1;
            if state.is_cut_off {
                return Err(HandlerError::new("the road is flooded"));
            }
        }
        self.village.hold("run");
        remote.connected();
        for place in remote.rooms().await? {
            self.village.state.lock().watched.insert(place);
        }
        loop {
            self.village.hold("run");
            if self.village.state.lock().is_cut_off {
                return Err(HandlerError::new("the road is flooded"));
            }
            while let Some(line) = self.village.next() {
                self.tell(&remote, &line).await?;
                self.village.done(&line);
            }
            self.village.news.notified().await;
        }
    }

    async fn send(&self, outgoing: Outgoing<Self>) -> Result<Receipt, SendError> {
        if self.village.state.lock().is_closed {
            return Err(SendError::retry("the gate is shut"));
        }
        let place = outgoing.room.clone();
        let who = guest(&outgoing.speaker.user_id);
        match &outgoing.action {
            Action::Message { content, reply_to } => {
                let text = match content.rich().filter(|_| N == 1) {
                    Some(rich) => rich.to_plain(),
                    None => content.describe().unwrap_or_default(),
                };
                let forbidden = self.village.state.lock().forbidden.clone();
                if let Some(word) = forbidden.iter().find(|word| text.contains(*word)) {
                    return Err(SendError::reject(format!("nobody says `{word}` here")));
                }
                let answers = reply_to.as_ref().and_then(|to| to.ids.first().cloned());
                let ids = self.said(&outgoing, &text, answers);
                return Ok(Receipt::parts(ids, Default::default()));
            }
            Action::Edit { target, content } => {
                let text = content.describe().unwrap_or_default();
                self.village.change(&place, &who, &target.ids[0], &text);
            }
            Action::Redact { target, .. } => self.village.take_back(&place, &who, &target.ids[0]),
            Action::React { target, .. } => self.village.nod(&place, &who, &target.ids[0], true),
            Action::Unreact { reaction } => {
                let target = &reaction.reaction.as_ref().expect("a reaction").target;
                self.village.nod(&place, &who, &target[0], false);
            }
            Action::Topic(topic) => self.village.put_up(&place, &who, topic),
            Action::Join => self.village.come(&place, &who),
            Action::Leave { by, .. } => {
                if let Some(by) = by {
                    self.sign(format!("{who} put out by {}", by.localpart()));
                }
                self.village.go(&place, &who);
            }
            Action::Invite { user } => return self.refuse(format!("{who} invites {user}")),
            Action::Remove { user, is_ban, .. } => {
                let how = if *is_ban { "bans" } else { "kicks" };
                return self.refuse(format!("{who} {how} {user}"));
            }
            Action::Unban {
                whom: Member::User(user),
            } => return self.refuse(format!("{who} lets {user} in again")),
            Action::Unban {
                whom: Member::Person(person),
            } => self.sign(format!("{who} lets {} in again", guest(person))),
            _ => return Err(SendError::unsupported("nobody does that in the village")),
        }
        Ok(Receipt::new())
    }

    async fn has_account(&self, _: &UserId, _: &String) -> bool {
        self.village.hold("has_account");
        false
    }

    async fn describe_user(&self, user: &String) -> Result<Option<UserInfo>, HandlerError> {
        self.village.state.lock().asked_after.push(user.clone());
        self.village.hold("describe_user");
        let mut name = user.clone();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Ok((user != "nobody").then(|| UserInfo::named(&name)))
    }

    async fn describe_room(&self, room: &String) -> Result<Option<RoomInfo<Self>>, HandlerError> {
        if let Some((person, who)) = room.split_once(" and ") {
            let person = UserId::new(person, "localhost")?;
            return Ok(Some(RoomInfo::direct(&person, who.to_owned())));
        }
        let state = self.village.state.lock();
        if !state.places.contains(room) {
            return Ok(None);
        }
        Ok(Some(match state.secret.contains(room) {
            true => RoomInfo::private(room),
            false => RoomInfo::public(room).about("a place in the village"),
        }))
    }

    async fn watch(&self, room: &String, is_linked: bool) -> Result<(), HandlerError> {
        let curious = {
            let mut state = self.village.state.lock();
            match is_linked {
                true => state.watched.insert(room.clone()),
                false => state.watched.remove(room),
            };
            state.curious.get(room).cloned().filter(|_| is_linked)
        };
        if let Some(who) = curious {
            self.village.come(room, &who);
        }
        Ok(())
    }

    async fn person_of(&self, user: &String) -> Option<UserId> {
        self.village.state.lock().persons.get(user).cloned()
    }

    async fn undelivered(&self, room: &String, id: &str, _: &str) {
        let mut state = self.village.state.lock();
        state.lost.push(format!("{id} in {room}"));
    }

    async fn signal(&self, signal: Signal<Self>) {
        let line = match signal {
            Signal::Typing { room, people } => {
                let names: Vec<_> = people.iter().map(UserId::localpart).collect();
                format!("{} writing in {room}", names.join(", "))
            }
            Signal::Read {
                room,
                person,
                message,
            } => {
                let ids = message.ids.join(", ");
                format!("{} has read {ids} in {room}", person.localpart())
            }
            _ => return,
        };
        self.village.state.lock().signs.push(line);
    }

    async fn direct_room(
        &self,
        person: &UserId,
        user: &String,
    ) -> Result<Option<String>, HandlerError> {
        Ok((user != "hermit").then(|| format!("{} and {user}", person.localpart())))
    }
}
