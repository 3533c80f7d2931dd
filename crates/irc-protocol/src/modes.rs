//! Changes of modes, cut into single ones by the server's own rules, and put together again.

use crate::{Isupport, isupport::ModeKind};

/// One mode that is set or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeChange {
    /// Whether it is set.
    pub is_set: bool,
    /// Its letter.
    pub mode: char,
    /// A nick, a mask, a key, a number.
    pub param: Option<String>,
}

impl ModeChange {
    /// A mode that is set.
    #[must_use]
    pub fn set(mode: char, param: Option<&str>) -> Self {
        Self {
            is_set: true,
            mode,
            param: param.map(str::to_owned),
        }
    }

    /// A mode that is taken away.
    #[must_use]
    pub fn unset(mode: char, param: Option<&str>) -> Self {
        Self {
            is_set: false,
            ..Self::set(mode, param)
        }
    }

    /// Cuts `+ov-k nick nick key` into single changes. What asks for a list is left out.
    #[must_use]
    pub fn parse(isupport: &Isupport, modes: &str, params: &[String]) -> Vec<Self> {
        let mut params = params.iter();
        let mut is_set = true;
        let mut changes = Vec::new();
        for mode in modes.chars() {
            let kind = match mode {
                '+' | '-' => {
                    is_set = mode == '+';
                    continue;
                }
                _ => isupport.mode_kind(mode),
            };
            let takes_one = match kind {
                ModeKind::List | ModeKind::Setting | ModeKind::Member => true,
                ModeKind::SettingWhenSet => is_set,
                ModeKind::Flag => false,
            };
            let param = takes_one.then(|| params.next().cloned()).flatten();
            let asks = param.is_none() && matches!(kind, ModeKind::List | ModeKind::Member);
            if !asks {
                changes.push(Self {
                    is_set,
                    mode,
                    param,
                });
            }
        }
        changes
    }

    /// Puts changes together: the parameters of one `MODE` each, with as many as the server takes at once.
    #[must_use]
    pub fn commands(isupport: &Isupport, changes: &[Self]) -> Vec<Vec<String>> {
        let at_once = changes.chunks(isupport.modes_at_once());
        at_once.map(Self::command).collect()
    }

    fn command(changes: &[Self]) -> Vec<String> {
        let mut modes = String::new();
        let mut sign = None;
        for change in changes {
            if sign != Some(change.is_set) {
                modes.push(if change.is_set { '+' } else { '-' });
                sign = Some(change.is_set);
            }
            modes.push(change.mode);
        }
        let params = changes.iter().filter_map(|change| change.param.clone());
        std::iter::once(modes).chain(params).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Vec<ModeChange> {
        let mut words = text.split(' ').map(str::to_owned);
        let modes = words.next().unwrap_or_default();
        let params: Vec<String> = words.collect();
        ModeChange::parse(&Isupport::default(), &modes, &params)
    }

    #[test]
    fn parameters_go_to_their_modes() {
        let expected = [
            ModeChange::set('o', Some("ann")),
            ModeChange::set('m', None),
            ModeChange::unset('k', Some("key")),
            ModeChange::unset('l', None),
            ModeChange::set('b', Some("*!*@host")),
            ModeChange::set('l', Some("5")),
        ];
        assert_eq!(parse("+om-kl+bl ann key *!*@host 5"), expected);
        assert_eq!(
            parse("nt"),
            [ModeChange::set('n', None), ModeChange::set('t', None)]
        );
    }

    #[test]
    fn what_lacks_its_parameter_is_no_change() {
        assert_eq!(parse("+bo"), []);
        assert_eq!(parse("-k"), [ModeChange::unset('k', None)]);
    }

    #[test]
    fn commands_hold_as_many_as_the_server_takes() {
        let changes = parse("+oov-v a b c d");
        let commands = ModeChange::commands(&Isupport::default(), &changes);
        assert_eq!(commands, [vec!["+oov", "a", "b", "c"], vec!["-v", "d"]]);
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_cut_again(
            wanted in prop::collection::vec((any::<bool>(), "[ovbklmnt]", "[a-z]{1,5}"), 0..12),
        ) {
            let isupport = Isupport::default();
            let changes: Vec<ModeChange> = wanted
                .into_iter()
                .map(|(is_set, mode, param)| {
                    let mode = mode.chars().next().unwrap_or('m');
                    let takes = "ovbk".contains(mode) || (mode == 'l' && is_set);
                    ModeChange { is_set, mode, param: takes.then_some(param) }
                })
                .collect();
            let again: Vec<ModeChange> = ModeChange::commands(&isupport, &changes)
                .iter()
                .flat_map(|command| ModeChange::parse(&isupport, &command[0], &command[1..]))
                .collect();
            prop_assert_eq!(again, changes);
        }

        #[test]
        fn any_modes_are_read(modes in ".{0,20}", params in prop::collection::vec(".{0,5}", 0..5)) {
            let changes = ModeChange::parse(&Isupport::default(), &modes, &params);
            prop_assert!(changes.len() <= modes.chars().count());
        }
    }
}
