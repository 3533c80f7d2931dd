//! What an author declares: names, namespaces, handlers.

use std::{any::TypeId, sync::Arc};

use bridgehead_registration::{Features, Namespace, NamespaceTemplate, RegistrationDraft};
use futures_util::{FutureExt as _, future::BoxFuture};

use crate::{
    Secret,
    bridge::{Commands, Factory, Permissions, provisioning::Provisioning},
    core::{Handlers, Limits, States},
    error::HandlerError,
    handler::{AnyHandler, Declared, GhostPlan, Handler, Protocols, RoomPlan, ThirdParty, Verdict},
    media::MediaProxy,
    metrics::Metrics,
    namespaces::NamespacePlan,
    program::{Finding, Now},
    run::{Handle, OnReload, StartError},
    store::Migration,
};

/// What an author has examined.
pub(crate) type Examination = Arc<dyn Fn() -> BoxFuture<'static, Vec<Finding>> + Send + Sync>;

/// An application service, as its author declares it.
///
/// Nothing happens until it is run: by [`main`](Self::main) as a program, or by [`start`](Self::start) inside one.
/// Mistakes in templates and handlers are told then, all at once.
#[derive(Clone)]
#[must_use = "a service does nothing until it is run"]
pub struct Service {
    pub(crate) name: Arc<str>,
    pub(crate) bot: Option<String>,
    pub(crate) namespaces: NamespacePlan,
    pub(crate) handlers: Handlers,
    pub(crate) states: States,
    pub(crate) migrations: Vec<Migration>,
    pub(crate) third_party: Protocols,
    pub(crate) features: Features,
    pub(crate) routes: axum::Router,
    pub(crate) operator_pages: axum::Router,
    pub(crate) examinations: Vec<Examination>,
    pub(crate) limits: Limits,
    pub(crate) sends_by_device: bool,
    pub(crate) media_proxy: Option<MediaProxy>,
    pub(crate) provisioning: Option<Provisioning>,
    pub(crate) puppet_secret: Option<Secret>,
    pub(crate) trusted_hosts: Vec<String>,
    pub(crate) bridges: Vec<Factory>,
    /// Handlers of the kit's own, for its bridges.
    pub(crate) kits: Vec<AnyHandler<Verdict>>,
    pub(crate) commands: Commands,
    pub(crate) permissions: Permissions,
    pub(crate) on_reload: Option<OnReload>,
    pub(crate) policy_rooms: Vec<String>,
    pub(crate) metrics: Option<Metrics>,
    /// What is wrong with the declaration.
    pub(crate) mistakes: Vec<String>,
}

impl Service {
    /// A service of this name: the id of its registration, and its name in logs and metrics.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            bot: None,
            namespaces: NamespacePlan::default(),
            handlers: Handlers::default(),
            states: States::default(),
            migrations: Vec::new(),
            third_party: Protocols::new(),
            features: Features {
                receive_ephemeral: true,
                ..Features::default()
            },
            routes: axum::Router::new(),
            operator_pages: axum::Router::new(),
            examinations: Vec::new(),
            limits: Limits::default(),
            sends_by_device: true,
            media_proxy: None,
            provisioning: None,
            puppet_secret: None,
            trusted_hosts: Vec::new(),
            bridges: Vec::new(),
            kits: Vec::new(),
            commands: Commands::default(),
            permissions: Permissions::default(),
            on_reload: None,
            policy_rooms: Vec::new(),
            metrics: None,
            mistakes: Vec::new(),
        }
    }

    /// The localpart of the service's own user; the service's name, where it is not said.
    pub fn bot(mut self, localpart: &str) -> Self {
        self.bot = Some(localpart.to_owned());
        self
    }

    /// The service owns the users of this template, such as `_irc_{network}_{nick}`: nobody else may make them, and
    /// the service acts as them.
    pub fn users(mut self, template: &str) -> Self {
        match NamespaceTemplate::users(template) {
            Ok(template) => self.namespaces.users.push(template),
            Err(error) => self.mistakes.push(error.to_string()),
        }
        self
    }

    /// The service owns the aliases of this template, such as `#logged_{topic}`: it is asked about them, and hears
    /// what is said in rooms that have one.
    pub fn aliases(mut self, template: &str) -> Self {
        match NamespaceTemplate::aliases(template) {
            Ok(template) => self.namespaces.aliases.push(template),
            Err(error) => self.mistakes.push(error.to_string()),
        }
        self
    }

    /// The service hears what is said in rooms with users that this pattern matches from their id's start, and owns
    /// none of them.
    pub fn watch_users(mut self, pattern: &str) -> Self {
        self.namespaces.watched_users.push(pattern.to_owned());
        self
    }

    /// The service hears what is said in rooms with an alias that this pattern matches from its start.
    pub fn watch_aliases(mut self, pattern: &str) -> Self {
        self.namespaces.watched_aliases.push(pattern.to_owned());
        self
    }

    /// The service hears what is said in rooms whose id this pattern matches from its start, without joining them.
    pub fn watch_rooms(mut self, pattern: &str) -> Self {
        self.namespaces.watched_rooms.push(pattern.to_owned());
        self
    }

    /// Called for each event that its extractors take, in each room's order. Several handlers are called one after
    /// another; an event is handled when all have succeeded, and if one fails, all are called again.
    ///
    /// What a handler sends is named by the event and the handler's number among those declared with `on`. Declare a new
    /// one behind the others: one before them gives them other numbers, and an event that was half handled by the old
    /// program has what it had sent already sent again by the new one.
    pub fn on<Args: 'static>(mut self, handler: impl Handler<Args, Verdict>) -> Self {
        let name = format!("on #{}", self.handlers.events.len() + 1);
        self.handlers.events.push(AnyHandler::new(&name, handler));
        self
    }

    /// Called once at each start, before the first event.
    pub fn on_start<Args: 'static>(mut self, handler: impl Handler<Args, Verdict>) -> Self {
        self.handlers
            .start
            .push(AnyHandler::new("on_start", handler));
        self
    }

    /// Called when somebody asks for an alias of the service's that no room has. A plan makes the room, with this
    /// alias; `None` says that there is no such room.
    pub fn on_alias<Args: 'static>(
        mut self,
        handler: impl Handler<Args, Option<RoomPlan>>,
    ) -> Self {
        self.handlers
            .alias
            .push(AnyHandler::new("on_alias", handler));
        self
    }

    /// Called when the homeserver asks for a user of the service's that it has not got. A plan makes the ghost;
    /// `None` says that there is no such user.
    pub fn on_user<Args: 'static>(
        mut self,
        handler: impl Handler<Args, Option<GhostPlan>>,
    ) -> Self {
        self.handlers.user.push(AnyHandler::new("on_user", handler));
        self
    }

    /// The service answers for this protocol of another network, such as `irc`: people look up its users and places.
    pub fn third_party(mut self, protocol: &str, network: ThirdParty) -> Self {
        if protocol.is_empty() {
            self.mistakes.push("a protocol has no name".to_owned());
        }
        if self.third_party.insert(protocol.into(), network).is_some() {
            let mistake = format!("the protocol `{protocol}` is declared twice");
            self.mistakes.push(mistake);
        }
        self
    }

    /// Whether the service wants to hear who types, who has read what, and who is there; it does where this is not
    /// said.
    pub fn ephemeral(mut self, wanted: bool) -> Self {
        self.features.receive_ephemeral = wanted;
        self
    }

    /// Whether the service and its ghosts take part in encryption: with its transactions come to-device messages, whose
    /// devices have changed and how many keys are left (MSC2409, MSC3202), and its users have devices without logging
    /// in (MSC4190). It does not where this is not said.
    pub fn encryption(mut self, wanted: bool) -> Self {
        self.features.msc3202 = wanted;
        self.features.msc4190 = wanted;
        self
    }

    /// Whether each of the service's users has a device of its own to send as, where the homeserver offers that
    /// (MSC4326, specification 1.17); it has where this is not said. Synapse then still knows a send after it was
    /// restarted, and does not take it twice. The price: one more request at a user's first send, of which homeservers
    /// in the same rooms are told, as of any new device.
    pub fn send_by_device(mut self, wanted: bool) -> Self {
        self.sends_by_device = wanted;
        self
    }

    /// Something that handlers can take as [`State<S>`](crate::State).
    pub fn state<S: Send + Sync + 'static>(mut self, state: S) -> Self {
        self.states.insert(TypeId::of::<S>(), Arc::new(state));
        self
    }

    /// The author's own tables, made in this order in the service's database.
    pub fn migrations(mut self, migrations: &[Migration]) -> Self {
        self.migrations.extend_from_slice(migrations);
        self
    }

    /// The author's own routes, behind those of the application-service API: a path that is the homeserver's
    /// (`/_matrix/app/…`, and of the protocol's first years `/transactions/…`, `/users/…` and `/rooms/…`) never comes to
    /// them. They may have a fallback, and check by themselves who asks. Their handlers can take [`Bot`](crate::Bot), [`Ghosts`](crate::Ghosts), [`Store`](crate::store::Store) and
    /// [`Handle`](crate::Handle), beside whatever axum gives.
    ///
    /// # Panics
    /// Called more than once with routers that overlap, or that both have a fallback, as [`axum::Router::merge`] does.
    pub fn routes(mut self, routes: axum::Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Pages for those who watch the service, such as who is connected. The program shows them where it shows its
    /// figures: at `metrics.address`, or to whoever has `metrics.token`; nowhere, where neither is configured. Their
    /// handlers can take what those of [`routes`](Self::routes) can. Give them a path of their own: where the kit has a
    /// page, or an author's route is meant, they go after the kit's pages and before the routes.
    ///
    /// # Panics
    /// Called more than once with routers that overlap, as [`axum::Router::merge`] does.
    pub fn operator_pages(mut self, pages: axum::Router) -> Self {
        self.operator_pages = self.operator_pages.merge(pages);
        self
    }

    /// Something that the program's `doctor` examines beside the way to the homeserver and back, such as whether another
    /// network can be reached. It is given two minutes, also where the homeserver cannot be reached, and must leave
    /// nothing behind.
    pub fn doctor<F, Fut>(mut self, examine: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Finding>> + Send + 'static,
    {
        self.examinations.push(Arc::new(move || examine().boxed()));
        self
    }

    /// What is done about a new configuration, when the [program](Self::main_with) has read it again and it is good: on
    /// SIGHUP, or because of [`Handle::reload`](crate::Handle::reload). `C` is the one that `main_with` has. What it says
    /// is told to the operator behind the keys that have changed; when it fails the configuration stays as it was, so it
    /// must have changed nothing then. It is given two minutes. Whether a key counts without a restart is said by
    /// [`Config::LIVE`](crate::config::Config::LIVE) and [`Config::LATER`](crate::config::Config::LATER).
    ///
    /// ```
    /// use bridgehead_appservice::{Handle, HandlerError, Service, bridge::Permissions, program::Now};
    /// # use bridgehead_appservice::config::{Config, JsonSchema, schemars};
    /// # #[derive(Default, serde::Deserialize, serde::Serialize, JsonSchema)]
    /// # #[serde(default)]
    /// # struct Keys { permissions: Permissions }
    /// # impl Config for Keys {}
    ///
    /// async fn apply(service: Handle, keys: Now<Keys>) -> Result<Vec<String>, HandlerError> {
    ///     service.set_permissions(keys.permissions.clone())?;
    ///     Ok(vec!["who may do what counts as it is written now".to_owned()])
    /// }
    ///
    /// let service = Service::new("irc").on_reload(apply);
    /// # drop(service);
    /// ```
    pub fn on_reload<C, F, Fut>(mut self, apply: F) -> Self
    where
        C: Send + Sync + 'static,
        F: Fn(Handle, Now<C>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<String>, HandlerError>> + Send + 'static,
    {
        if self.on_reload.is_some() {
            self.mistakes.push(
                "`on_reload` is declared twice: one alone can say no before anything is changed"
                    .to_owned(),
            );
        }
        self.on_reload = Some(OnReload::new(apply));
        self
    }

    /// Serves media to people without an account, by signed links:
    /// [`MediaRepo::public_url`](crate::media::MediaRepo::public_url).
    pub fn media_proxy(mut self, proxy: MediaProxy) -> Self {
        self.mistakes.extend(proxy.check());
        self.media_proxy = Some(proxy);
        self
    }

    /// Lets programs steer the service over HTTP.
    pub fn provisioning(mut self, api: Provisioning) -> Self {
        self.mistakes.extend(api.check());
        self.provisioning = Some(api);
        self
    }

    /// Encrypts the tokens of [puppets](crate::bridge::puppets) with this secret in place of the registration's `as_token`,
    /// so that they outlast a new one.
    pub fn puppet_secret(mut self, secret: Secret) -> Self {
        self.puppet_secret = Some(secret);
        self
    }

    /// Hosts that may be asked although their addresses are private, each with its port where that is not the usual one,
    /// such as `minio.internal:9000`: where the homeserver redirects to for media.
    pub fn trust_hosts(mut self, hosts: &[&str]) -> Self {
        self.trusted_hosts
            .extend(hosts.iter().map(|host| (*host).to_owned()));
        self
    }

    /// Waits, sizes and counts other than the usual ones.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Counts into these instruments, such as those that several services of one process share
    /// ([`Metrics::for_service`]); without this, into ones of its own.
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// The localpart of the service's own user.
    pub(crate) fn bot_localpart(&self) -> &str {
        self.bot.as_deref().unwrap_or(&self.name)
    }

    /// The registration that this declaration asks for, on a homeserver of this name. `url` is where the homeserver
    /// reaches the service; `None` for one that comes for its transactions itself.
    ///
    /// # Errors
    /// The declaration's mistakes.
    pub fn registration(
        &self,
        url: Option<&str>,
        server_name: &str,
    ) -> Result<RegistrationDraft, StartError> {
        let mistakes = self.check();
        if !mistakes.is_empty() {
            return Err(StartError::Declaration(mistakes));
        }
        let namespaces = self.namespaces.at(server_name, &[]);
        let namespaces = namespaces.map_err(|error| StartError::Setup(error.to_string()))?;
        let (mut users, mut aliases) = namespaces.entries();
        users.extend(watched(&self.namespaces.watched_users));
        aliases.extend(watched(&self.namespaces.watched_aliases));
        Ok(RegistrationDraft {
            id: self.name.to_string(),
            url: url.map(str::to_owned),
            sender_localpart: self.bot_localpart().to_owned(),
            users,
            aliases,
            rooms: watched(&self.namespaces.watched_rooms).collect(),
            protocols: self.third_party.keys().map(ToString::to_string).collect(),
            features: self.features,
            ..RegistrationDraft::default()
        })
    }

    /// All that is wrong with the declaration.
    pub(crate) fn check(&self) -> Vec<String> {
        let declared = Declared {
            states: &self.states,
        };
        let mut mistakes = self.mistakes.clone();
        mistakes.extend(self.commands.mistakes(&declared));
        for (protocol, network) in &self.third_party {
            mistakes.extend(network.check(protocol, &declared));
        }
        let events = self.handlers.events.iter().chain(&self.handlers.start);
        mistakes.extend(events.filter_map(|handler| handler.check(&declared).err()));
        mistakes.extend(
            self.handlers
                .alias
                .iter()
                .filter_map(|handler| handler.check(&declared).err()),
        );
        mistakes.extend(
            self.handlers
                .user
                .iter()
                .filter_map(|handler| handler.check(&declared).err()),
        );
        mistakes
    }
}

/// Namespaces that are heard, and owned by nobody here.
fn watched(patterns: &[String]) -> impl Iterator<Item = Namespace> + '_ {
    patterns.iter().map(|regex| Namespace {
        regex: regex.clone(),
        exclusive: false,
    })
}
