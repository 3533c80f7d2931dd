//! One namespace pattern: does it compile, can it match anything, and how would it be written right.
//!
//! Patterns match as Python's `re.match` does: from the id's start, case-sensitively, not necessarily to the end.

use super::NamespaceKind;

/// A compiled pattern may take this much memory; `\w{1000}` and the like are refused.
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Steps that a pattern with look-around or backreferences may take on one id before it counts as not matching.
const BACKTRACK_LIMIT: usize = 100_000;

/// How a pattern is matched.
#[derive(Debug)]
pub enum PatternMatcher {
    /// An ordinary pattern: joins the automaton of its kind.
    Plain,
    /// Look-around or backreferences: matched by itself.
    Backtracking(Backtracking),
}

/// A pattern that is matched with bounded backtracking, from the id's start.
#[derive(Debug)]
pub struct Backtracking(Box<fancy_regex::Regex>);

impl Backtracking {
    /// Whether the pattern matches the id.
    ///
    /// # Errors
    /// That it took too many steps, in one line. It then counts as not matching.
    pub fn matches(&self, id: &str) -> Result<bool, String> {
        self.0
            .is_match(id)
            .map_err(|error| one_line(&error.to_string()))
    }

    /// The pattern, anchored at the start.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Anchors a pattern at the start of the id.
pub fn anchored(pattern: &str) -> String {
    format!("^(?:{pattern})")
}

/// Compiles a pattern, or says in one line why it cannot be.
pub fn compile(pattern: &str) -> Result<PatternMatcher, String> {
    // Bare as well: `a)|(?:b` is only well-formed between the parentheses that anchoring adds.
    match build_plain(pattern) {
        Ok(()) => build_plain(&anchored(pattern))
            .map(|()| PatternMatcher::Plain)
            .map_err(|error| plain_reason(&error)),
        Err(regex::Error::Syntax(text)) if needs_backtracking(&text) => build_fancy(pattern)
            .map(|regex| PatternMatcher::Backtracking(Backtracking(Box::new(regex)))),
        Err(error) => Err(plain_reason(&error)),
    }
}

/// Compiles an anchored pattern that the linear engine cannot express.
fn build_fancy(pattern: &str) -> Result<fancy_regex::Regex, String> {
    let build = |text: &str| {
        fancy_regex::RegexBuilder::new(text)
            .backtrack_limit(BACKTRACK_LIMIT)
            .delegate_size_limit(MAX_PATTERN_BYTES)
            .build()
            .map_err(|error| one_line(&error.to_string()))
    };
    build(pattern)?;
    build(&anchored(pattern))
}

fn build_plain(pattern: &str) -> Result<(), regex::Error> {
    regex::RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN_BYTES)
        .build()
        .map(drop)
}

fn needs_backtracking(syntax_error: &str) -> bool {
    // `(?>` and possessive quantifiers read as a flag or a repetition error.
    [
        "look-around",
        "backreferences",
        "unrecognized flag",
        "unrecognized escape",
    ]
    .iter()
    .any(|hint| syntax_error.contains(hint))
}

fn plain_reason(error: &regex::Error) -> String {
    match error {
        regex::Error::Syntax(text) => {
            let last = text.lines().last().unwrap_or_default();
            last.trim().trim_start_matches("error: ").to_owned()
        }
        regex::Error::CompiledTooBig(limit) => {
            format!("it needs more than {limit} bytes when compiled")
        }
        other => one_line(&other.to_string()),
    }
}

fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
        .trim_end_matches('.')
        .to_owned()
}

/// Whether some id of this kind could match. Errs on the side of yes.
pub(super) fn can_match_sigil(pattern: &str, kind: NamespaceKind) -> bool {
    let sigil = u8::try_from(kind.sigil()).expect("sigils are ASCII");
    match fancy_regex::RegexOptionsBuilder::new().start_bytes(pattern) {
        Ok(Some(first_bytes)) => first_bytes.contains(sigil),
        Ok(None) | Err(_) => true,
    }
}

/// The pattern with its sigil put in, if that makes it one that can match.
pub(super) fn mended(pattern: &str, kind: NamespaceKind) -> Option<String> {
    let rest = pattern.strip_prefix('^').unwrap_or(pattern);
    let anchor = &pattern[..pattern.len() - rest.len()];
    let sigil = kind.sigil();
    let mended = if has_alternatives(rest) {
        format!("{anchor}{sigil}(?:{rest})")
    } else {
        format!("{anchor}{sigil}{rest}")
    };
    (compile(&mended).is_ok() && can_match_sigil(&mended, kind)).then_some(mended)
}

fn has_alternatives(pattern: &str) -> bool {
    fancy_regex::Expr::parse_tree(pattern)
        .is_ok_and(|tree| matches!(tree.expr, fancy_regex::Expr::Alt(_)))
}
