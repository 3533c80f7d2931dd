//! Refusals whose number says it all: tables.

mod channels;
mod messages;
mod standing;

use self::{
    channels::CHANNELS,
    messages::MESSAGES,
    standing::{CONNECTION, NICKS, RIGHTS},
};
use super::explain::{Explanation, Refusal};

/// What is refused; `None` where the number refuses nothing, or is not known.
pub(super) fn explain(numeric: u16, refusal: &Refusal<'_>) -> Option<Explanation> {
    let mut tables = [MESSAGES, CHANNELS, NICKS, RIGHTS, CONNECTION]
        .into_iter()
        .flatten();
    let (_, what, cure) = tables.find(|(known, ..)| *known == numeric)?;
    Some(refusal.explained(what, cure))
}

/// A number, what was refused, and what can be done; empty where nothing can be.
type Sentence = (u16, &'static str, &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_stands_there_twice() {
        let all = [MESSAGES, CHANNELS, NICKS, RIGHTS, CONNECTION]
            .into_iter()
            .flatten();
        let mut numbers: Vec<u16> = all.map(|(number, ..)| *number).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }
}
