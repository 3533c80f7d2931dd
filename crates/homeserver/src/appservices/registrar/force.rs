//! Puts a set of registrations in force: rows, namespaces, delivery tasks, and the swap.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bridgehead_store::{AppserviceRow, AuditRow, OldTokenRow, RegistrationRow, Tx};
use ruma::{OwnedUserId, ServerName};

use super::{
    By, Entry, Known, KnownAll, Problem, Registrar, RegistrarError, Work,
    entry::{api_file, old_token_purpose},
    files::Wish,
};
use crate::{
    app::App,
    appservices::{
        Appservice, DeliveryHandle, HttpPush, Links, Registry, Wire, WireConfig,
        namespaces::{AsIndex, CompileError, Namespaces},
        registration::{AsUrl, Fault, Registration, RegistrationError, find_conflicts},
        run_delivery,
        wire::OldHsToken,
    },
    secret::Secret,
};

/// How long a delivery task may take to end once its service is gone; it needs a second.
const RETIRE_WITHIN: Duration = Duration::from_secs(10);
/// How long a websocket of a service that is gone may take to end.
const OUTLET_GRACE: Duration = Duration::from_secs(2);

/// Work that belongs to a change, done in its unit of work.
pub(super) type Extra = Box<dyn FnOnce(&mut Tx<'_>) -> bridgehead_store::Result<()> + Send>;

/// What is special about a change.
#[derive(Default)]
pub(super) struct Change {
    /// Told of the change by its own acts: no act of the server is written down for it.
    pub(super) on: Option<String>,
    /// A registration of the operator API that is to go.
    pub(super) gone: Option<String>,
    pub(super) extra: Option<Extra>,
}

/// What is to be in force.
pub(super) struct Resolved {
    pub(super) entries: Vec<Entry>,
    by_file: HashMap<PathBuf, Entry>,
    pub(super) refused: HashMap<PathBuf, Vec<RegistrationError>>,
}

/// What the database says after a change.
struct Stored {
    rows: Vec<(AppserviceRow, u64)>,
    old_tokens: Vec<OldTokenRow>,
}

/// What a unit of work needs of an entry.
struct ToStore {
    row: RegistrationRow,
    file: Option<String>,
}

/// Chooses what is to be in force: what is there already goes before what is new, and what clashes
/// stays as it was.
pub(super) fn resolve(
    api: &BTreeMap<String, Entry>,
    wishes: Vec<Wish>,
    server_name: &ServerName,
) -> Resolved {
    let mut accepted = Accepted::default();
    for entry in api.values() {
        // They were checked when they came; two never have one id.
        accepted.push(entry);
    }
    let mut by_file = HashMap::new();
    let mut refused = HashMap::new();
    let order: Vec<PathBuf> = wishes.iter().map(|wish| wish.file.clone()).collect();
    let (settled, new): (Vec<_>, Vec<_>) = wishes.into_iter().partition(Wish::is_settled);
    for wish in settled.into_iter().chain(new) {
        let Wish { file, entry, good } = wish;
        match accepted.check(&entry.registration, server_name) {
            Ok(()) => {
                accepted.push(&entry);
                by_file.insert(file, entry);
            }
            Err(errors) => {
                refused.insert(file.clone(), errors);
                if let Some(good) = good
                    && accepted.check(&good.registration, server_name).is_ok()
                {
                    accepted.push(&good);
                    by_file.insert(file, good);
                }
            }
        }
    }
    let of_files = order.iter().filter_map(|file| by_file.get(file).cloned());
    let entries = of_files.chain(api.values().cloned()).collect();
    Resolved {
        entries,
        by_file,
        refused,
    }
}

/// Registrations that may stand beside each other.
#[derive(Default)]
struct Accepted {
    by_id: HashMap<String, Arc<Registration>>,
    by_token: HashMap<[u8; 32], Arc<Registration>>,
}

impl Accepted {
    fn push(&mut self, entry: &Entry) {
        let registration = &entry.registration;
        self.by_id
            .insert(registration.id.clone(), registration.clone());
        self.by_token
            .insert(registration.as_token_hash, registration.clone());
    }

    fn check(
        &self,
        new: &Registration,
        server_name: &ServerName,
    ) -> Result<(), Vec<RegistrationError>> {
        sender_of(new, server_name).map_err(|error| vec![error])?;
        let other = self
            .by_id
            .get(&new.id)
            .or_else(|| self.by_token.get(&new.as_token_hash));
        match other {
            None => Ok(()),
            Some(other) => Err(find_conflicts(&[(**other).clone(), new.clone()])),
        }
    }
}

/// The service's own user.
pub(super) fn sender_of(
    registration: &Registration,
    server_name: &ServerName,
) -> Result<OwnedUserId, RegistrationError> {
    let sender = format!("@{}:{server_name}", registration.sender_localpart);
    OwnedUserId::try_from(sender.as_str()).map_err(|_| RegistrationError {
        fault: Fault::Other,
        file: registration.source.file.clone(),
        line: None,
        column: None,
        reason: format!("`{sender}` is not a legal user id"),
        remedy: "Shorten sender_localpart".to_owned(),
    })
}

impl Registrar {
    /// Puts in force what the files and the operator API want now. Nothing changes when it fails.
    pub(super) async fn put_in_force(
        &self,
        app: &Arc<App>,
        work: &mut Work,
        change: Change,
    ) -> Result<(), RegistrarError> {
        let resolved = resolve(&work.api, work.files.wishes(), &app.server_name);
        let namespaces = compile(app, &resolved.entries).await?;
        let stored = store(app, &resolved.entries, change).await?;
        self.swap(app, &resolved.entries, stored, namespaces).await;
        work.files.settle(&resolved.by_file, resolved.refused);
        work.unfinished = false;
        self.show_problems(work);
        Ok(())
    }

    /// Makes what is wrong with the files visible.
    fn show_problems(&self, work: &Work) {
        let by_id = self.known.load().by_id.clone();
        let unopened = work.unopened.iter().filter(|id| !by_id.contains_key(*id));
        let mut problems = work.files.problems();
        problems.extend(unopened.map(|id| unopened_problem(id)));
        self.known.store(Arc::new(KnownAll { by_id, problems }));
    }

    /// From here on nothing can fail.
    async fn swap(
        &self,
        app: &Arc<App>,
        entries: &[Entry],
        stored: Stored,
        namespaces: Namespaces,
    ) {
        let before = app.registry();
        let mut services = Vec::with_capacity(entries.len());
        let mut by_id = HashMap::with_capacity(entries.len());
        let mut relinked = Vec::new();
        let mut new = Vec::new();
        for (index, (entry, (row, revision))) in entries.iter().zip(&stored.rows).enumerate() {
            let old_tokens = self.old_tokens_of(entry.id(), &stored.old_tokens);
            let running = before.by_nid(row.nid);
            let delivery = match &running {
                Some(running) => {
                    let way = (&*running.registration, self.old_hashes(entry.id()));
                    if is_reached_otherwise(way, (&*entry.registration, old_tokens.as_slice())) {
                        let dialect = running.delivery.dialect();
                        let links = links(app, &entry.registration, dialect, old_tokens.clone());
                        relinked.push((running.delivery.clone(), links));
                    }
                    running.delivery.clone()
                }
                None => {
                    let links = links(app, &entry.registration, row.dialect, old_tokens.clone());
                    let handle =
                        Arc::new(DeliveryHandle::new(row.nid, links, &app.config.appservices));
                    let deadline = app.config.appservices.request_timeout;
                    handle.outlet.set_deadline(deadline);
                    new.push(handle.clone());
                    handle
                }
            };
            services.push(Arc::new(Appservice {
                registration: entry.registration.clone(),
                nid: row.nid,
                index: AsIndex(u16::try_from(index).unwrap_or(u16::MAX)),
                sender: sender_of(&entry.registration, &app.server_name)
                    .expect("entries with another sender were refused"),
                delivery,
            }));
            by_id.insert(entry.id().to_owned(), known(entry, *revision, old_tokens));
        }
        let old_tokens = stored
            .old_tokens
            .iter()
            .map(|row| (row.as_token_hash, row.service_id.clone(), row.until_ms))
            .collect();
        let registry = Registry::assemble(before.generation + 1, services, namespaces)
            .with_old_tokens(app.clock.clone(), old_tokens);
        let problems = self.known.load().problems.clone();
        self.known.store(Arc::new(KnownAll { by_id, problems }));
        let registry = Arc::new(registry);
        app.engine.registry.store(registry.clone());
        for (handle, links) in relinked {
            handle.set_links(links);
        }
        for gone in before.services() {
            if registry.by_nid(gone.nid).is_none() {
                self.retire(gone).await;
            }
        }
        for handle in new {
            self.run(app, handle);
        }
    }

    /// Starts a new service's delivery.
    fn run(&self, app: &Arc<App>, handle: Arc<DeliveryHandle>) {
        let Some(end) = self.end.get() else {
            return;
        };
        let nid = handle.nid;
        let task = tokio::spawn(run_delivery(app.engine.clone(), handle, end.clone()));
        self.deliveries.lock().insert(nid, task);
    }

    /// Ends the delivery of a service that is gone.
    async fn retire(&self, service: &Appservice) {
        service.delivery.retire();
        service.delivery.outlet.close(OUTLET_GRACE).await;
        let task = self.deliveries.lock().remove(&service.nid);
        let Some(task) = task else { return };
        if tokio::time::timeout(RETIRE_WITHIN, task).await.is_err() {
            tracing::error!(
                appservice.id = %service.registration.id,
                "the delivery of a removed service does not end; this is a bug"
            );
        }
    }

    fn old_hashes(&self, id: &str) -> Vec<[u8; 32]> {
        let known = self.known.load();
        known
            .by_id
            .get(id)
            .map(|known| known.old_tokens.clone())
            .unwrap_or_default()
    }

    /// What the service may still know the server by.
    fn old_tokens_of(&self, id: &str, rows: &[OldTokenRow]) -> Vec<([u8; 32], OldHsToken)> {
        rows.iter()
            .filter(|row| row.service_id == id)
            .filter_map(|row| {
                let plain = self.key.open(&old_token_purpose(id), &row.hs_token)?;
                let token = std::str::from_utf8(&plain).ok()?;
                let token = OldHsToken {
                    token: Secret::new(token.to_owned()),
                    until_ms: row.until_ms,
                };
                Some((row.as_token_hash, token))
            })
            .collect()
    }
}

fn known(entry: &Entry, revision: u64, old_tokens: Vec<([u8; 32], OldHsToken)>) -> Known {
    Known {
        revision,
        source: entry.source(),
        text: entry.text.clone(),
        old_tokens: old_tokens.into_iter().map(|(hash, _)| hash).collect(),
    }
}

/// Whether requests to the service have to go another way than before.
fn is_reached_otherwise(
    (before, old_before): (&Registration, Vec<[u8; 32]>),
    (after, old_after): (&Registration, &[([u8; 32], OldHsToken)]),
) -> bool {
    before.url != after.url
        || before.hs_token != after.hs_token
        || before.bridgehead != after.bridgehead
        || !old_before.iter().eq(old_after.iter().map(|(hash, _)| hash))
}

async fn compile(app: &Arc<App>, entries: &[Entry]) -> Result<Namespaces, RegistrarError> {
    let registrations: Vec<_> = entries
        .iter()
        .map(|entry| entry.registration.clone())
        .collect();
    let server_name = app.server_name.clone();
    let compiling = app
        .blocking
        .run(move || Namespaces::compile(&server_name, &registrations));
    let compiled: Result<Namespaces, CompileError> = compiling.await.map_err(|error| {
        RegistrarError::Store(bridgehead_store::Error::Unavailable {
            reason: error.to_string(),
        })
    })?;
    Ok(compiled?)
}

/// One unit of work: numbers, revisions, and what was done by whom.
async fn store(
    app: &Arc<App>,
    entries: &[Entry],
    change: Change,
) -> Result<Stored, RegistrarError> {
    let to_store: Vec<ToStore> = entries
        .iter()
        .map(|entry| ToStore {
            row: RegistrationRow {
                id: entry.id().to_owned(),
                revision: 0,
                sender: format!(
                    "@{}:{}",
                    entry.registration.sender_localpart, app.server_name
                ),
                digest: entry.digest.to_vec(),
                sealed: entry.sealed.as_ref().map(|sealed| sealed.to_vec()),
                changed_at: 0,
            },
            file: entry
                .sealed
                .is_none()
                .then(|| entry.registration.source.file.display().to_string()),
        })
        .collect();
    let now_ms = app.now_ms();
    Ok(app
        .store
        .write(move |tx| write(tx, to_store, change, now_ms))
        .await?)
}

fn write(
    tx: &mut Tx<'_>,
    entries: Vec<ToStore>,
    change: Change,
    now_ms: i64,
) -> bridgehead_store::Result<Stored> {
    for row in tx.registrations()? {
        let stays = entries.iter().any(|entry| entry.row.id == row.id);
        // A text of the operator API that cannot be opened now may be opened another day.
        let kept = row.sealed.is_some() && change.gone.as_deref() != Some(&*row.id);
        if row.digest.is_empty() || stays || kept {
            continue;
        }
        tx.remove_registration(&row.id, now_ms)?;
        if change.gone.as_deref() != Some(&*row.id) {
            let detail = "its file is gone".to_owned();
            tx.insert_audit(&by_server("remove", row.id, detail, now_ms))?;
        }
    }
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = entry.row.id.clone();
        let row = tx.ensure_appservice(&id)?;
        let before = tx.registration(&id)?.filter(|row| !row.digest.is_empty());
        let revision = tx.put_registration(&entry.row, now_ms)?;
        let action = match before {
            None => Some("add"),
            Some(before) if before.digest != entry.row.digest => Some("change"),
            Some(_) => None,
        };
        if let (Some(action), Some(file)) = (action, entry.file)
            && change.on.as_deref() != Some(&*id)
        {
            tx.insert_audit(&by_server(action, id, format!("file {file}"), now_ms))?;
        }
        rows.push((row, revision));
    }
    if let Some(extra) = change.extra {
        extra(tx)?;
    }
    Ok(Stored {
        rows,
        old_tokens: tx.old_tokens(now_ms)?,
    })
}

fn by_server(action: &str, service_id: String, detail: String, at_ms: i64) -> AuditRow {
    AuditRow {
        audit_id: 0,
        at_ms,
        who: "server".to_owned(),
        action: action.to_owned(),
        service_id: Some(service_id),
        reason: None,
        detail: Some(detail),
    }
}

/// An operator's act on a service.
pub(super) fn act(
    by: &By,
    action: &str,
    service_id: &str,
    detail: Option<String>,
    at_ms: i64,
) -> AuditRow {
    AuditRow {
        audit_id: 0,
        at_ms,
        who: by.who.clone(),
        action: action.to_owned(),
        service_id: Some(service_id.to_owned()),
        reason: by.reason.clone(),
        detail,
    }
}

/// The ways to a service that has an address.
fn links(
    app: &App,
    registration: &Registration,
    dialect: u8,
    old_tokens: Vec<([u8; 32], OldHsToken)>,
) -> Links {
    let Some(AsUrl::Http(base)) = &registration.url else {
        return Links::default();
    };
    let config = &app.config.appservices;
    let pair = Wire::pair(WireConfig {
        base: base.clone(),
        hs_token: registration.hs_token.clone(),
        old_tokens: old_tokens.into_iter().map(|(_, token)| token).collect(),
        always_query_token: registration.bridgehead.legacy_query_token == Some(true),
        connect_timeout: config.connect_timeout,
        request_timeout: config.request_timeout,
        reprobe_after: config.legacy_reprobe,
        dialect,
        outgoing: app.outgoing.clone(),
    });
    match pair {
        Ok((push, queries)) => Links {
            push: Some(Arc::new(HttpPush {
                wire: push,
                clock: app.clock.clone(),
            })),
            queries: Some(Arc::new(queries)),
        },
        Err(error) => {
            // TLS could not be set up; the same for all services, and told at start.
            tracing::error!(%error, appservice.id = %registration.id, "no HTTP client could be made");
            Links::default()
        }
    }
}

/// A registration of the operator API that is not in force.
fn unopened_problem(id: &str) -> Problem {
    Problem {
        file: api_file(),
        errors: vec![RegistrationError {
            fault: Fault::Other,
            file: api_file(),
            line: None,
            column: None,
            reason: format!("the sealed registration of `{id}` cannot be opened"),
            remedy: "Restore secrets.key from the backup that belongs to the database, or add the registration again".to_owned(),
        }],
    }
}
