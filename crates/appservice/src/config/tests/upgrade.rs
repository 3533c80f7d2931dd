//! Moving keys in an operator's file.

use proptest::prelude::*;

use super::*;

fn moved(from: &'static str, to: &'static str) -> Moved {
    Moved { from, to }
}

fn check(text: &str, steps: &[Moved], wanted: &str) {
    let upgraded = upgrade(text, steps).expect("TOML");
    assert_eq!(upgraded.text, wanted, "of:\n{text}");
    assert_eq!(upgraded.left, Vec::<String>::new(), "{text}");
    let again = upgrade(&upgraded.text, steps).expect("TOML");
    assert_eq!(again.text, upgraded.text, "a second time changes nothing");
    assert_eq!(again.moved, Vec::<String>::new());
}

#[test]
fn a_key_is_renamed_where_it_stands() {
    check(
        "# top\nold   =  1 # why\nb = 2",
        &[moved("old", "new")],
        "# top\nnew   =  1 # why\nb = 2\n",
    );
    check(
        "[s]\n  'old' = [\n 1, # one\n 2]\n",
        &[moved("s.old", "s.new")],
        "[s]\n  new = [\n 1, # one\n 2]\n",
    );
    check(
        "s . \"o ld\".x = 1\n",
        &[moved("s", "t")],
        "t.\"o ld\".x = 1\n",
    );
}

#[test]
fn a_key_takes_its_comment_to_its_new_section() {
    check(
        "# The file.\n\n# My port,\n# chosen with care.\nport = 5 # five\n\n# Servers.\n[server]\n# fast\nrate = 1\n\n[z]\na = 1\n",
        &[moved("port", "server.port")],
        "# The file.\n\n\n# Servers.\n[server]\n# fast\nrate = 1\n# My port,\n# chosen with care.\nport = 5 # five\n\n[z]\na = 1\n",
    );
    check(
        "[a]\nx = \"\"\"m\nn\"\"\" # t\n[b]\n[c]\nx = 1",
        &[moved("a.x", "b.y")],
        "[b]\ny = \"\"\"m\nn\"\"\" # t\n[c]\nx = 1\n",
    );
    check(
        "a = 1\nb = 2",
        &[moved("a", "new.deep.a")],
        "b = 2\n\n[new.deep]\na = 1\n",
    );
    check(
        "new.b = 2\na = 1\n",
        &[moved("a", "new.a")],
        "new.b = 2\nnew.a = 1\n",
    );
}

#[test]
fn a_key_may_leave_every_section() {
    check(
        "x = 1\n\n# about s\n[s]\n# why\nkey = 2\nother = 3\n",
        &[moved("s.key", "key")],
        "x = 1\n# why\nkey = 2\n\n# about s\n[s]\nother = 3\n",
    );
    check(
        "# about s\n[s]\nkey = 2\nother = 3\n",
        &[moved("s.key", "key")],
        "key = 2\n\n# about s\n[s]\nother = 3\n",
    );
}

#[test]
fn a_section_is_renamed_with_all_that_is_below() {
    check(
        "[old] # head\na = 1\n[old.sub.x]\nb = 2\n[ other ]\nold = 3\n",
        &[moved("old", "new.er")],
        "[new.er] # head\na = 1\n[new.er.sub.x]\nb = 2\n[ other ]\nold = 3\n",
    );
    check("[a.b]\n[a]\n", &[moved("a.b", "n")], "[n]\n");
    check("b.c = 1\na.b = 2", &[moved("b.c", "n")], "n = 1\na.b = 2\n");
    check(
        "# one\na.b = 1\na.c = 2\n[s]",
        &[moved("a", "s.n")],
        "[s]\n\n[s.n]\n# one\nb = 1\nc = 2\n",
    );
    check("[s]\n[s.b]\nb = 0", &[moved("s.b.b", "n")], "n = 0\n\n");
    check(
        "[p]\nold.a = 1\n[p.old.sub]\nb = 2\n",
        &[moved("p.old", "p.new")],
        "[p]\nnew.a = 1\n[p.new.sub]\nb = 2\n",
    );
}

#[test]
fn several_steps_follow_each_other() {
    check(
        "port = 1\nhost = \"x\"\n",
        &[
            moved("port", "net.port"),
            moved("host", "net.host"),
            moved("net", "link"),
        ],
        "\n[link]\nport = 1\nhost = \"x\"\n",
    );
}

#[test]
fn what_cannot_be_moved_is_left_and_named() {
    for text in [
        "old = { x = 1 }\n",
        "[[old]]\nx = 1\n[[old]]\nx = 2\n",
        "old.x = 1\nnew = 2\n",
    ] {
        let steps = [moved("old.x", "new"), moved("gone", "away")];
        let steps = if text.starts_with("[[") {
            [moved("old", "new"), steps[1]]
        } else {
            steps
        };
        let upgraded = upgrade(text, &steps).expect("TOML");
        assert_eq!(upgraded.text, text);
        assert_eq!(upgraded.left, [steps[0].from]);
        assert_eq!(upgraded.moved, Vec::<String>::new());
    }
    let error = upgrade("a = \n", &[]).err().map(|error| error.to_string());
    assert_eq!(error, None, "nothing to do, so nothing is read");
    let error = upgrade("a = \n", &[moved("a", "b")]).expect_err("no TOML");
    assert!(error.to_string().starts_with("not TOML: "), "{error}");
}

#[test]
fn what_was_upgraded_needs_no_warning_any_more() {
    let text = "network = \"x\"\nport = 5\n[connection]\nspeed = 1.5\n[secondary]\nport = 6\n";
    let before = read(text, &[]).expect("right");
    let upgraded = upgrade(text, Irc::MOVED).expect("TOML");
    assert_eq!(upgraded.moved, ["port", "connection.speed", "secondary"]);
    let after = read(&upgraded.text, &[]).unwrap_or_else(|m| panic!("{m}\n{}", upgraded.text));
    assert_eq!(after.config, before.config);
    assert_eq!(after.warnings, []);
}

/// A file of a few keys and sections, written in many ways.
fn file() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[ab] = [0-9]( # [a-z]{1,5})?",
        "(a\\.b|b\\.c|'a'|\"b\" \\. c) = (\"x\"|\\[\n1,\n2]|'''\n'''|\\{ c = 1 \\})",
        "(  )?\\[(a|b|a\\.b|s|s\\.b)\\]",
        "\\[\\[(l|s)\\]\\]",
        "# [a-z=\\[]{0,8}",
        "",
    ];
    proptest::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]
    #[test]
    fn nothing_is_lost_and_nothing_else_changes(
        text in file(), from in "[abs](\\.[abc]){0,2}", to in "(n|[abs]\\.n|n\\.m)",
    ) {
        let (from, to): (&'static str, &'static str) = (from.leak(), to.leak());
        let Ok(before) = text.parse::<toml::Table>() else {
            return Ok(());
        };
        let upgraded = upgrade(&text, &[moved(from, to)]).expect("TOML");
        let after: toml::Table = upgraded.text.parse().expect("still TOML");
        let at = |path: &str| {
            let before = toml::Value::Table(before.clone());
            path.split('.').try_fold(before, |value, name| value.get(name).cloned())
        };
        let has_room = match to.rsplit_once('.').map(|(section, _)| at(section)) {
            Some(Some(section)) => section.is_table(),
            Some(None) | None => true,
        };
        let is_plain = !text.contains(['{']) && !text.contains("[[");
        if upgraded.moved.is_empty() {
            prop_assert_eq!(&upgraded.text, &text);
            prop_assert!(at(from).is_none() || !has_room || !is_plain, "{} was left", from);
        } else {
            prop_assert_ne!(&after, &before);
        }
        let comments = |text: &str| {
            let mut comments: Vec<String> = text
                .lines()
                .filter_map(|line| Some(line.split_once('#')?.1.to_owned()))
                .collect();
            comments.sort();
            comments
        };
        prop_assert_eq!(comments(&upgraded.text), comments(&text));
    }
}
