//! Which lines refuse something, and what.

use crate::{CaseMapping, Line};

/// What may stand before a channel's name for those in it who are meant alone.
const STATUSES: [char; 5] = ['~', '&', '@', '%', '+'];
/// Numerics beyond 400–599 that refuse something.
const REFUSALS: [u16; 19] = [
    263, 696, 697, 704, 707, 714, 716, 734, 742, 748, 902, 904, 905, 926, 936, 937, 972, 974, 979,
];
/// Numerics that refuse a text and name no target.
const NAMELESS: [u16; 6] = [411, 412, 413, 414, 417, 451];
/// Numerics that refuse a text to the target that they name.
const REFUSE_TEXT: [u16; 40] = [
    263, 401, 402, 403, 404, 405, 406, 407, 408, 415, 416, 437, 439, 442, 446, 475, 477, 479, 481,
    482, 486, 488, 489, 492, 494, 495, 499, 505, 510, 520, 521, 531, 573, 574, 707, 716, 742, 926,
    936, 979,
];

/// Numerics that refuse a text, and nothing else.
const REFUSE_TEXT_ALONE: [u16; 13] = [
    404, 407, 408, 411, 412, 413, 414, 415, 486, 492, 494, 531, 716,
];
/// Numerics that refuse a text and commands about a channel: where both are under way it was the command, for who may
/// not speak is told so otherwise.
const REFUSE_BOTH: [u16; 10] = [403, 405, 437, 439, 442, 475, 477, 479, 481, 489];
/// Numerics that refuse what only operators may do, such as to speak to operators alone (STATUSMSG).
const NO_OPERATOR: [u16; 3] = [482, 485, 499];

/// Whether a line refuses a text, and nothing else.
pub(super) fn refuses_text_alone(numeric: u16) -> bool {
    REFUSE_TEXT_ALONE.contains(&numeric)
}

/// Whether a line that may refuse a text refuses a command first, where one is under way.
pub(super) fn refuses_commands_first(line: &Line) -> bool {
    line.numeric()
        .is_some_and(|numeric| REFUSE_BOTH.contains(&numeric))
}

/// Whether a line refuses something.
#[must_use]
pub fn is_refusal(line: &Line) -> bool {
    match line.numeric() {
        Some(numeric) => {
            (400..600).contains(&numeric) && numeric != 422 || REFUSALS.contains(&numeric)
        }
        None => line.command == "FAIL",
    }
}

/// Whether a line refuses a text that was said to somebody.
pub(super) fn refuses_text(line: &Line, command: &str, target: &str, case: CaseMapping) -> bool {
    let is_named = |name: &str| line.text(1).eq_ignore_ascii_case(name);
    match line.numeric() {
        Some(421 | 461) => is_named(command),
        Some(263) if is_named(command) => true,
        Some(numeric) if NAMELESS.contains(&numeric) => true,
        Some(numeric) if NO_OPERATOR.contains(&numeric) => {
            target.starts_with(STATUSES) && names(line, target, case)
        }
        Some(numeric) if REFUSE_TEXT.contains(&numeric) => names(line, target, case),
        Some(_) => false,
        None => line.command == "FAIL" && line.text(0).eq_ignore_ascii_case(command),
    }
}

/// Whether a line refuses this text that was said to somebody, as far as the line says so.
#[must_use]
pub fn is_refused(
    line: &Line,
    (command, target): (&str, &str),
    text: &[u8],
    case: CaseMapping,
) -> bool {
    refuses_text(line, command, target, case) && suits(line, text)
}

/// Whether a refusal fits a text, by what the server says of why.
pub(super) fn suits(line: &Line, text: &[u8]) -> bool {
    let why = String::from_utf8_lossy(line.last()).to_lowercase();
    let is_format = |byte: &u8| matches!(byte, 0x02..=0x04 | 0x0f | 0x11 | 0x16 | 0x1d..=0x1f);
    match line.numeric() {
        // Nothing to send.
        Some(412) => text.iter().all(|byte| *byte <= b' '),
        Some(408) => text.iter().any(is_format),
        _ if why.contains("color") || why.contains("colour") => text.iter().any(is_format),
        _ if why.contains("ctcp") => text.first() == Some(&0x01),
        _ => true,
    }
}

/// Whether a line names somebody or something between the client's nick and its text.
pub(super) fn names(line: &Line, name: &str, case: CaseMapping) -> bool {
    let bare = name.trim_start_matches(STATUSES);
    let end = line.params.len().saturating_sub(1).max(2);
    (1..end.min(line.params.len())).any(|at| {
        let param = line.text(at);
        case.is_same(&param, name) || case.is_same(&param, bare)
    })
}

/// The code of a `FAIL`.
pub(super) fn code(line: &Line) -> Option<String> {
    let is_fail = line.command == "FAIL" && line.params.len() > 1;
    is_fail.then(|| line.text(1).into_owned())
}
