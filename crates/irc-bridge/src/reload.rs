//! The configuration, read again while the bridge runs. What has not changed goes on: nobody is connected anew for what
//! concerns others.

use std::{sync::Arc, time::Duration};

use bridgehead_appservice::{Handle as Service, HandlerError};

use crate::{Irc, Settings, mappings, networks::Networks, removed};

/// How long the connections of a network may take to end, or its loop to hear of other settings.
const HEARD_WITHIN: Duration = Duration::from_secs(20);

/// Has a running bridge go by these settings, which have been checked; says what was done beside what the keys say
/// themselves. The program does this on SIGHUP; who runs the bridge in a process of their own may call it.
///
/// What counts from the next start alone stays as it is: the bridge's user, templates of ids, `ident`, `secrets`,
/// `provisioning` and `media`.
///
/// # Errors
/// When the service ends or its database cannot be read: then nothing has changed.
pub async fn reload(service: &Service, settings: &Settings) -> Result<Vec<String>, HandlerError> {
    let portals = service.portals::<Irc>()?;
    let networks = portals.network().networks().clone();
    let _alone = networks.alone.lock().await;
    // What cannot be read now could not be written later.
    service.store()?.query("SELECT 1", []).await?;
    let old = networks.settings();
    let new = Arc::new(Settings {
        permissions: settings.permissions.clone(),
        networks: settings.networks.clone(),
        ..(*old).clone()
    });
    service.set_permissions(new.permissions.clone())?;
    networks.set_settings(new.clone());
    let mut told = change_networks(&networks, (&old, &new)).await;
    for tidied in [
        removed::forget_others(service).await,
        mappings::keep(service, false).await,
    ] {
        match tidied {
            Ok(sentences) => told.extend(sentences),
            Err(error) => told.push(format!(
                "not all of it could be noted ({error}): start the bridge again when that is mended"
            )),
        }
    }
    Ok(told)
}

/// Takes networks out, tells others of their settings, and begins new ones.
async fn change_networks(networks: &Networks, (old, new): (&Settings, &Settings)) -> Vec<String> {
    let mut told = Vec::new();
    let who_may = old.permissions != new.permissions;
    for name in old.networks.keys() {
        if !new.networks.contains_key(name)
            && let Some(handle) = networks.remove(name)
            && tokio::time::timeout(HEARD_WITHIN, handle.end())
                .await
                .is_err()
        {
            told.push(format!("connections to {name} take long to end; they will"));
        }
    }
    for (name, network) in &new.networks {
        let Some(before) = old.networks.get(name) else {
            networks.add(name, network);
            told.push(format!("{name} is bridged from now on"));
            continue;
        };
        if before == network && !who_may {
            continue;
        }
        if let Some(handle) = networks.change(name, &Arc::new(network.clone()))
            && tokio::time::timeout(HEARD_WITHIN, handle.is_changed(who_may))
                .await
                .is_err()
        {
            told.push(format!(
                "{name} has much to do, and goes by its new settings when that is done"
            ));
        }
    }
    told
}
