//! What an author says of a bridge.

use std::{any::TypeId, fmt, sync::Arc, time::Duration};

use bridgehead_registration::{NamespaceTemplate, TemplateError};

use super::{
    Answer, CommandAsk, CommandError, Commands, Fate, Level, Network, Portals, Relay, RemoteId,
    StatusOptions, Voice, ghosts,
    live::{Factory, Held, Live, Part},
    naming::Named,
    network::{self, Undone},
    portal::{self, Portal},
    status,
};
use crate::{
    HandlerError, Service,
    core::Limits,
    format::compose::EditStyle,
    handler::{AliasAsk, AnyHandler, Context, GhostPlan, Handler, RoomPlan, UserAsk, Verdict},
};

/// For how long, and for how many, it is remembered which message is which.
const KEEP: (Duration, usize) = (Duration::from_secs(90 * 24 * 3600), 1_000_000);

/// How long an event waits for a network that is away.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A bridge to a network, as its author declares it; given to [`Service::bridge`].
///
/// ```no_run
/// # use bridgehead_appservice::{Service, bridge::{Bridge, Network}};
/// # fn declare<N: Network>(irc: N) -> Service {
/// Service::new("irc").bridge(
///     Bridge::new(irc)
///         .users("_irc_{network}_{nick}")
///         .aliases("#irc_{network}_{channel}")
///         .prefix("!irc"),
/// )
/// # }
/// ```
#[must_use = "a bridge does nothing until it is given to `Service::bridge`"]
pub struct Bridge<N: Network> {
    pub(crate) network: Arc<N>,
    pub(crate) users: Vec<Named<NamespaceTemplate>>,
    pub(crate) aliases: Vec<Named<NamespaceTemplate>>,
    pub(crate) voice: Voice,
    pub(crate) relay: Option<Relay>,
    pub(crate) status: StatusOptions,
    pub(crate) edit_style: EditStyle,
    pub(crate) keep: (Duration, usize),
    pub(crate) on_demand: bool,
    /// How long events wait for a network that is away.
    pub(crate) patience: Duration,
    pub(crate) handlers: Vec<AnyHandler<Fate>>,
    prefix: Option<String>,
    has_commands: bool,
    mistakes: Vec<String>,
}

impl<N: Network> fmt::Debug for Bridge<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bridge").field(&N::NAME).finish()
    }
}

impl<N: Network> Bridge<N> {
    /// A bridge to this network.
    pub fn new(network: N) -> Self {
        Self {
            network: Arc::new(network),
            users: Vec::new(),
            aliases: Vec::new(),
            voice: Voice::default(),
            relay: None,
            status: StatusOptions::default(),
            edit_style: EditStyle::Star,
            keep: KEEP,
            on_demand: true,
            patience: PATIENCE,
            handlers: Vec::new(),
            prefix: None,
            has_commands: true,
            mistakes: Vec::new(),
        }
    }

    /// The network's users have ghosts with ids of this template, which has as many fields as [`Network::User`] has
    /// values: `_irc_{network}_{nick}`.
    pub fn users(self, template: &str) -> Self {
        self.users_of(&[], template)
    }

    /// Those users whose first values are these have ids of another template, which has a field for each of their other
    /// values: `.users_of(&["libera"], "irc_{nick}")`. So a bridge can go on under names that another one has given. No id
    /// may fit two templates.
    pub fn users_of(mut self, first: &[&str], template: &str) -> Self {
        put(
            &mut self.users,
            (first, template),
            &mut self.mistakes,
            NamespaceTemplate::users,
        );
        self
    }

    /// The network's rooms have aliases of this template, which has as many fields as [`Network::Room`] has values:
    /// `#irc_{network}_{channel}`. Whoever joins one gets the portal.
    pub fn aliases(self, template: &str) -> Self {
        self.aliases_of(&[], template)
    }

    /// Those rooms whose first values are these have aliases of another template, which has a field for each of their
    /// other values.
    pub fn aliases_of(mut self, first: &[&str], template: &str) -> Self {
        put(
            &mut self.aliases,
            (first, template),
            &mut self.mistakes,
            NamespaceTemplate::aliases,
        );
        self
    }

    /// Who speaks in Matrix for the network's users; each a ghost of their own, unless said otherwise.
    pub fn voice(mut self, voice: Voice) -> Self {
        self.voice = voice;
        self
    }

    /// People of Matrix without an account on the network are spoken for. Unless this is said, the network is given
    /// what they say as it is.
    pub fn relay(mut self, relay: Relay) -> Self {
        self.relay = Some(relay);
        self
    }

    /// What senders are told of how their messages fare.
    pub fn status(mut self, status: StatusOptions) -> Self {
        self.status = status;
        self
    }

    /// How edits are said in words on networks that have none; `* new text` unless said otherwise.
    pub fn edits_as(mut self, style: EditStyle) -> Self {
        self.edit_style = style;
        self
    }

    /// How long it is remembered which message is which on both sides, and of how many at most: 90 days and a
    /// million, unless said otherwise. What is forgotten can be edited, answered, reacted to and taken back no more.
    pub fn remember_messages(mut self, age: Duration, number: usize) -> Self {
        self.keep = (age, number.max(1));
        self
    }

    /// How long an event waits for the network while it is away ([`SendError::away`](super::SendError::away)), from when
    /// the service has received it: a day, unless said otherwise, and never longer than
    /// [`Limits::give_up_after`](crate::Limits::give_up_after). Then its sender is told, and may ask for another attempt.
    pub fn wait_for_network(mut self, at_most: Duration) -> Self {
        self.patience = at_most;
        self
    }

    /// Portals are made only when they are asked for, and not when somebody of the network speaks where there is
    /// none; what is said there is dropped.
    pub fn portals_when_asked(mut self) -> Self {
        self.on_demand = false;
        self
    }

    /// What commands begin with in rooms with others; `!` and the network's name unless said otherwise.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// The commands `link`, `unlink` and `retry` are left out.
    pub fn without_commands(mut self) -> Self {
        self.has_commands = false;
        self
    }

    /// An author's own way for some events of portals: its extractors say which, and where it takes one, the kit does
    /// nothing of its own with it. What those do who are [`Level::Blocked`](super::Level::Blocked) is not given to it. It has to say how the event fared: a [`Fate`] (what
    /// [`Portals::deliver`] gives back), or what [`Network::send`] returns; with nothing, it does not compile:
    ///
    /// ```compile_fail,E0277
    /// # use bridgehead_appservice::bridge::{Bridge, Foreign, Network};
    /// fn declare<N: Network>(bridge: Bridge<N>) -> Bridge<N> {
    ///     bridge.on(|event: Foreign<N>| async move { println!("{}: silence", event.kind) })
    /// }
    /// ```
    pub fn on<Args: 'static>(mut self, handler: impl Handler<Args, Fate>) -> Self {
        let name = format!("bridge {} #{}", N::NAME, self.handlers.len() + 1);
        self.handlers.push(AnyHandler::new(&name, handler));
        self
    }

    /// What is wrong with the declaration.
    fn check(&self) -> Vec<String> {
        let mut mistakes = self.mistakes.clone();
        let mut must_have = |named: &Named<NamespaceTemplate>, needed: usize, what: &str| {
            let has = named.template.field_names().count();
            let wanted = needed.saturating_sub(named.first.len());
            if has != wanted {
                mistakes.push(format!(
                    "the template `{}` has {has} fields, and {what} of {} are made of {wanted} values",
                    named.template.as_str(),
                    N::TITLE
                ));
            }
        };
        for named in &self.users {
            must_have(named, N::User::FIELDS, "users");
        }
        for named in &self.aliases {
            must_have(named, N::Room::FIELDS, "rooms");
        }
        if self.users.is_empty() && self.voice.has_ghosts() {
            mistakes.push(format!(
                "the bridge to {} has no template for its ghosts: declare `.users(…)`, or another `.voice(…)`",
                N::TITLE
            ));
        }
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if N::NAME.is_empty() || !N::NAME.chars().all(is_plain) {
            mistakes.push(format!(
                "`{}` is no network's name: lower-case letters, digits and `-` make one",
                N::NAME
            ));
        }
        mistakes
    }

    /// The commands that every bridge has, with something behind their names.
    fn commands(&self, suffix: &str) -> Commands {
        let prefix = self.prefix.clone();
        let prefix = prefix.unwrap_or_else(|| format!("!{}", N::NAME));
        let commands = Commands::new(&prefix);
        if !self.has_commands {
            return commands;
        }
        commands
            .command(
                &format!("link{suffix}"),
                &format!("<room>: links this room to a room of {}", N::TITLE),
                link::<N>,
            )
            .command(
                &format!("unlink{suffix}"),
                &format!("ends this room's link to {}", N::TITLE),
                unlink::<N>,
            )
            .command(
                &format!("retry{suffix}"),
                &format!("tries again what did not reach {}", N::TITLE),
                retry::<N>,
            )
            .into_kits()
    }
}

/// Adds a template, in the place of another for the same.
fn put(
    names: &mut Vec<Named<NamespaceTemplate>>,
    (first, template): (&[&str], &str),
    mistakes: &mut Vec<String>,
    read: impl Fn(&str) -> Result<NamespaceTemplate, TemplateError>,
) {
    let first: Vec<String> = first.iter().map(|&value| value.to_owned()).collect();
    match read(template) {
        Ok(template) => {
            names.retain(|named| named.first != first);
            names.push(Named { first, template });
        }
        Err(error) => mistakes.push(error.to_string()),
    }
}

impl Service {
    /// The service is a bridge to this network. One service may be a bridge to several networks of different types.
    pub fn bridge<N: Network>(mut self, bridge: Bridge<N>) -> Self {
        self.mistakes.extend(bridge.check());
        if self.bridges.iter().any(|other| other.name == N::NAME) {
            self.mistakes
                .push(format!("there are two bridges to `{}`", N::NAME));
        }
        // The first bridge's commands have the short names.
        let suffix = match self.bridges.is_empty() {
            true => String::new(),
            false => format!("-{}", N::NAME),
        };
        let templates = |names: &[Named<NamespaceTemplate>]| {
            let templates = names.iter().map(|named| named.template.clone());
            templates.collect::<Vec<_>>()
        };
        self.namespaces.users.extend(templates(&bridge.users));
        self.namespaces.aliases.extend(templates(&bridge.aliases));
        self.commands.merge(bridge.commands(&suffix));
        self.kits.push(AnyHandler::new(
            &format!("bridge {}", N::NAME),
            network::on_event::<N>,
        ));
        self.handlers.alias.push(AnyHandler::new(
            &format!("bridge {}", N::NAME),
            on_alias::<N>,
        ));
        self.handlers.user.push(AnyHandler::new(
            &format!("bridge {}", N::NAME),
            on_user::<N>,
        ));
        let bridge = Arc::new(bridge);
        let make = move |server_name: &str, limits: &Limits| {
            let part: Arc<dyn Part> = Live::new(bridge.clone(), server_name, limits)?;
            Ok(part)
        };
        self.bridges.push(Factory {
            network: TypeId::of::<N>(),
            name: N::NAME,
            make: Arc::new(make),
        });
        self
    }

    /// The commands that the service takes, beside those of its bridges. One of the same name takes the place of a
    /// bridge's.
    pub fn commands(mut self, commands: Commands) -> Self {
        self.commands.merge(commands);
        self
    }

    /// A command; see [`Commands::command`].
    pub fn command<Args: 'static>(
        mut self,
        name: &str,
        help: &str,
        handler: impl Handler<Args, Answer>,
    ) -> Self {
        let one = Commands::default().command(name, help, handler);
        self.commands.merge(one);
        self
    }

    /// Who may use the service.
    pub fn permissions(mut self, permissions: super::Permissions) -> Self {
        self.mistakes.extend(permissions.mistakes());
        self.permissions = permissions;
        self
    }

    /// The kit's own handlers, which come before the author's.
    pub(crate) fn kits_handlers(&self) -> Vec<AnyHandler<Verdict>> {
        let first = [
            AnyHandler::new("management", super::management::on_event),
            AnyHandler::new("commands", super::commands::on_event),
        ];
        first.into_iter().chain(self.kits.clone()).collect()
    }
}

fn said(undone: Undone) -> HandlerError {
    match undone {
        Undone::Failed(error) => error.into(),
        undone => HandlerError::new(undone.to_string()),
    }
}

/// Somebody asks for an alias: the portal is made and linked here, so there is nothing more to make.
async fn on_alias<N: Network>(
    context: Context,
    Held(live): Held<N>,
    ask: AliasAsk,
) -> Result<Option<RoomPlan>, HandlerError> {
    let made = portal::ensure_for_alias(&live, &context.core, &ask.alias).await;
    Ok(made.map_err(said)?.map(|_| RoomPlan::made()))
}

/// Somebody asks for a ghost.
async fn on_user<N: Network>(
    context: Context,
    Held(live): Held<N>,
    ask: UserAsk,
) -> Result<Option<GhostPlan>, HandlerError> {
    let Some(user) = live.user_of(&ask.user_id) else {
        return Ok(None);
    };
    let Some(info) = live.network().describe_user(&user).await? else {
        return Ok(None);
    };
    let info = ghosts::uploaded(&context.core, None, info).await?;
    Ok(Some(ghosts::plan(&info)))
}

async fn link<N: Network>(ask: CommandAsk, portals: Portals<N>) -> Result<String, HandlerError> {
    let words: Vec<&str> = ask.args.iter().map(String::as_str).collect();
    let Some(room) = N::Room::from_values(&words).filter(|_| words.len() == N::Room::FIELDS) else {
        let error = CommandError::Other(format!(
            "a room of {} is named by {} words",
            N::TITLE,
            N::Room::FIELDS
        ));
        return Err(error.into());
    };
    match portals.link(Some(&ask.sender), &ask.room_id, &room).await {
        Ok(_) => Ok(format!("This room is linked to {} now.", words.join(" "))),
        Err(portal::LinkRefused::Failed(error)) => Err(error.into()),
        Err(refused) => Err(HandlerError::from(refused)),
    }
}

async fn unlink<N: Network>(
    ask: CommandAsk,
    portal: Option<Portal<N>>,
    portals: Portals<N>,
) -> Result<Answer, HandlerError> {
    let Some(portal) = portal else {
        return Ok(Answer::text(&format!(
            "This room is not linked to {}.",
            N::TITLE
        )));
    };
    if ask.level < Level::Admin && portal.data.creator.as_ref() != Some(&ask.sender) {
        portal::check_power(&portals.core, &ask.sender, &ask.room_id).await?;
    }
    let reason = format!("unlinked by {}", ask.sender);
    portals.unbridge(&portal, Some(&reason)).await?;
    Ok(Answer::none())
}

async fn retry<N: Network>(
    ask: CommandAsk,
    context: Context,
    portal: Portal<N>,
    Held(live): Held<N>,
) -> Result<String, HandlerError> {
    let tried = status::retry_all(&live, &context, &portal, &ask.event).await?;
    Ok(match tried {
        0 => format!("Nothing of yours waits for {}.", N::TITLE),
        1 => "One message was tried again.".to_owned(),
        many => format!("{many} messages were tried again."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::Nowhere;

    fn mistakes(bridge: Bridge<Nowhere>) -> String {
        Service::new("test").bridge(bridge).check().join("\n")
    }

    #[test]
    fn what_is_declared_is_looked_at() {
        let good = || Bridge::new(Nowhere).users("_no_{name}");
        assert_eq!(mistakes(good()), "");
        for (bridge, said) in [
            (Bridge::new(Nowhere), "has no template for its ghosts"),
            (
                good().users("_no_{a}_{b}"),
                "has 2 fields, and users of nowhere are made of 1 values",
            ),
            (
                good().aliases("#no_{a}_{b}"),
                "and rooms of nowhere are made of 1 values",
            ),
            (good().users("_no_{"), "_no_{"),
            (good().prefix(" "), "prefix is empty"),
        ] {
            let mistakes = mistakes(bridge);
            assert!(mistakes.contains(said), "{said}: {mistakes}");
        }
    }

    #[test]
    fn two_bridges_need_two_names() {
        let bridge = || Bridge::new(Nowhere).users("_no_{name}");
        let service = Service::new("test").bridge(bridge()).bridge(bridge());
        let mistakes = service.check().join("\n");
        assert!(mistakes.contains("two bridges to `nowhere`"), "{mistakes}");
        // The commands of the second have longer names, and so are no second ones.
        assert!(!mistakes.contains("two commands"), "{mistakes}");
    }
}
