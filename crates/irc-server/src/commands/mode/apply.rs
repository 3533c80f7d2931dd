//! One change of a channel's modes, made where it makes sense.

use bridgehead_irc_protocol::{ModeChange, isupport::ModeKind, mask::Mask};

use crate::state::{State, channel::Entry, client::Client};

/// Why a change cannot be made: a numeric and its parameters.
pub(super) type Refused = (&'static str, Vec<String>);

pub(super) fn refused<T>(numeric: &'static str, params: &[&str]) -> Result<T, Refused> {
    let params = params.iter().map(|param| (*param).to_owned());
    Err((numeric, params.collect()))
}

/// Makes a change and gives it as it was made, or `None` where all was so already.
pub(super) fn apply(
    state: &mut State,
    by: &str,
    name: &str,
    change: ModeChange,
) -> Result<Option<ModeChange>, Refused> {
    match state.isupport.mode_kind(change.mode) {
        ModeKind::Member => member(state, name, change),
        ModeKind::List => list(state, by, name, change),
        ModeKind::Setting | ModeKind::SettingWhenSet => setting(state, name, change),
        ModeKind::Flag => Ok(flag(state, name, change)),
    }
}

fn member(
    state: &mut State,
    name: &str,
    mut change: ModeChange,
) -> Result<Option<ModeChange>, Refused> {
    let nick = change.param.clone().unwrap_or_default();
    let Some(target) = state.holder(&nick) else {
        return refused("401", &[&nick, "No such nick"]);
    };
    change.param = state
        .client(target)
        .map(|client| Client::name(client).to_owned());
    let standing = state
        .channel_mut(name)
        .and_then(|channel| channel.members.get_mut(&target));
    let Some(standing) = standing else {
        return refused("441", &[&nick, name, "They aren't on that channel"]);
    };
    let has_changed = match change.is_set {
        true => standing.insert(change.mode),
        false => standing.remove(&change.mode),
    };
    Ok(has_changed.then_some(change))
}

fn list(
    state: &mut State,
    by: &str,
    name: &str,
    mut change: ModeChange,
) -> Result<Option<ModeChange>, Refused> {
    let typed = change.param.take().unwrap_or_default();
    let mute = state.dialect.mute_prefix.clone();
    let muted =
        mute.and_then(|mute| Some(format!("{mute}{}", Mask::parse(typed.strip_prefix(&mute)?))));
    let entry = Entry {
        mask: muted.unwrap_or_else(|| Mask::parse(&typed).to_string()),
        by: by.to_owned(),
        at_s: state.now_s(),
    };
    let (limit, case_mapping) = (
        state.dialect.limits.list_entries,
        state.dialect.case_mapping,
    );
    let Some(channel) = state.channel_mut(name) else {
        return Ok(None);
    };
    let list = channel.lists.entry(change.mode).or_default();
    let at = list
        .iter()
        .position(|known| case_mapping.is_same(&known.mask, &entry.mask));
    change.param = Some(entry.mask.clone());
    match (change.is_set, at) {
        (true, None) if list.len() >= limit => {
            let mode = change.mode.to_string();
            return refused("478", &[name, &entry.mask, &mode, "Channel list is full"]);
        }
        (true, None) => list.push(entry),
        (false, Some(at)) => change.param = Some(list.remove(at).mask),
        (true, Some(_)) | (false, None) => return Ok(None),
    }
    Ok(Some(change))
}

fn setting(
    state: &mut State,
    name: &str,
    mut change: ModeChange,
) -> Result<Option<ModeChange>, Refused> {
    let Some(channel) = state.channel_mut(name) else {
        return Ok(None);
    };
    let mode = change.mode.to_string();
    if !change.is_set {
        let Some(held) = channel.settings.remove(&change.mode) else {
            return Ok(None);
        };
        // The key is told when it goes, as on every server; a limit is not.
        change.param = (change.mode == 'k').then_some(held);
        return Ok(Some(change));
    }
    let Some(value) = change.param.clone().filter(|value| !value.is_empty()) else {
        return refused("461", &["MODE", "Not enough parameters"]);
    };
    let is_fine = match change.mode {
        'l' => value.parse::<usize>().is_ok_and(|limit| limit > 0),
        'H' => value.contains(':'),
        _ => !value.contains([' ', ',', ':']),
    };
    if !is_fine {
        return refused("696", &[name, &mode, "*", "Invalid mode parameter"]);
    }
    let before = channel.settings.insert(change.mode, value.clone());
    Ok((before.as_ref() != Some(&value)).then_some(change))
}

fn flag(state: &mut State, name: &str, change: ModeChange) -> Option<ModeChange> {
    let channel = state.channel_mut(name)?;
    let has_changed = match change.is_set {
        true => channel.flags.insert(change.mode),
        false => channel.flags.remove(&change.mode),
    };
    has_changed.then_some(change)
}
