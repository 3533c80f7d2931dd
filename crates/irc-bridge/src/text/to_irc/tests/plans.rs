//! What is said, and what goes to a page.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    payload_bytes: 200,
    max_lines: 3,
};

fn plan(content: &Content) -> Plan {
    to_irc(content, &around(Style::Plain))
        .unwrap()
        .plan(&LIMITS)
}

fn lines(count: usize) -> String {
    (1..=count)
        .map(|n| format!("line {n}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_few_lines_are_said() {
    let content = message(json!({ "msgtype": "m.text", "body": lines(3) }));
    assert_eq!(
        plan(&content),
        Plan::Lines(lines(3).lines().map(str::to_owned).collect())
    );
    // Counted after cutting, and cut between words.
    let long = vec!["word"; 100].join(" ");
    let Plan::Lines(said) = plan(&message(json!({ "msgtype": "m.text", "body": long }))) else {
        panic!("three lines");
    };
    assert_eq!(said.len(), 3);
    assert!(
        said.iter()
            .all(|line| line.len() <= 200 && line.ends_with("word")),
        "{said:?}"
    );
}

fn pasted(content: &Content) -> (Vec<String>, Page) {
    let Plan::Paste(paste) = plan(content) else {
        panic!("a page");
    };
    let page = paste.page.clone();
    (paste.lines("https://p.x/1"), page)
}

#[test]
fn many_lines_go_to_a_page_as_a_whole() {
    let body = lines(40);
    let (said, page) = pasted(&message(json!({ "msgtype": "m.text", "body": body })));
    assert_eq!(
        page,
        Page {
            body,
            kind: PageKind::Text
        }
    );
    assert!(
        said[0].starts_with("line 1 line 2") && said[0].ends_with('…'),
        "{said:?}"
    );
    assert_eq!(said[1..], ["[all of it: 40 lines] https://p.x/1"]);
}

#[test]
fn long_code_goes_to_a_page_and_the_text_around_it_does_not() {
    let code = lines(10);
    let content = html(&format!(
        "<p>look:</p><pre><code class='language-rust'>{code}\n</code></pre><p>nice?</p>"
    ));
    let (said, page) = pasted(&content);
    assert_eq!(
        page,
        Page {
            body: code.clone(),
            kind: PageKind::Code(Some("rust".to_owned()))
        }
    );
    assert_eq!(
        said,
        ["look:", "[rust code: 10 lines] https://p.x/1", "nice?"]
    );
    let (said, _) = pasted(&html(&format!("<pre><code>{code}</code></pre>")));
    assert_eq!(said, ["[code: 10 lines] https://p.x/1"]);
    // Two of them are too much for that.
    let block = format!("<pre><code>{code}</code></pre>");
    let (_, page) = pasted(&html(&format!("{block}<p>and</p>{block}")));
    assert_eq!(page.kind, PageKind::Text);
    assert_eq!(page.body.matches("line 10").count(), 2);
}

#[test]
fn each_line_of_a_page_says_who_speaks() {
    let name = "Ann".repeat(20);
    let speaker = Some(Speaker {
        name: &name,
        is_silent: false,
    });
    let around = Around {
        speaker,
        ..around(Style::Plain)
    };
    let content = message(json!({ "msgtype": "m.text", "body": lines(30) }));
    let Plan::Paste(paste) = to_irc(&content, &around).unwrap().plan(&LIMITS) else {
        panic!("a page");
    };
    let head = format!("<{name}> ");
    for line in paste.lines("https://p.x/1") {
        assert!(
            line.starts_with(&head) && line.len() <= LIMITS.payload_bytes,
            "{line}"
        );
    }
}

#[test]
fn without_pages_the_rest_is_counted() {
    let content = message(json!({ "msgtype": "m.text", "body": lines(10) }));
    let said = to_irc(&content, &around(Style::Plain)).unwrap();
    assert_eq!(
        said.first_lines(&LIMITS),
        (
            ["line 1", "line 2", "[… 8 more lines]"]
                .map(str::to_owned)
                .to_vec(),
            8
        )
    );
    let short = message(json!({ "msgtype": "m.text", "body": lines(3) }));
    let said = to_irc(&short, &around(Style::Plain)).unwrap();
    let (lines, unsaid) = said.first_lines(&LIMITS);
    assert_eq!((lines.len(), unsaid), (3, 0));
}

fn fragment() -> impl Strategy<Value = String> {
    let tags = [
        "<b>",
        "</b>",
        "<i>",
        "</i>",
        "<pre><code>",
        "</code></pre>",
        "<blockquote>",
        "</blockquote>",
        "<ul><li>",
        "</li></ul>",
        "<br>",
        "<p>",
        "<h1>",
        "</h1>",
        "<span data-mx-spoiler='\x01r'>",
        "<font color='#f00'>",
        "</font>",
        "</span>",
        "<a href='https://x.org'>",
        "</a>",
        "<img alt='a\r\nb' src='mxc://x/y'>",
        "<a href='https://matrix.to/#/@bob:x'>",
    ];
    prop_oneof![
        prop::sample::select(tags.to_vec()).prop_map(str::to_owned),
        any::<String>(),
        "[ -~\u{0}-\u{1f}]{0,60}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_is_sent_is_lines_that_fit(
        parts in prop::collection::vec(fragment(), 0..20),
        name in any::<String>(),
        style in prop::sample::select(vec![Style::Codes, Style::Marks, Style::Plain]),
        payload_bytes in 192usize..420,
        msgtype in prop::sample::select(vec!["m.text", "m.emote", "m.notice", "m.odd"]),
    ) {
        let text = parts.concat();
        let content = message(json!({
            "msgtype": msgtype, "body": text, "format": "org.matrix.custom.html", "formatted_body": text,
        }));
        let limits = Limits { payload_bytes, max_lines: 5 };
        for speaker in [None, Some(Speaker { name: &name, is_silent: true })] {
            let around = Around { speaker, ..around(style) };
            let Some(said) = to_irc(&content, &around) else { continue };
            let lines = match said.plan(&limits) {
                Plan::Lines(lines) => {
                    prop_assert!(!lines.is_empty() && lines.len() <= 5);
                    lines
                }
                Plan::Paste(paste) => paste.lines("https://p.x/1"),
            };
            for line in lines.into_iter().chain(said.first_lines(&limits).0) {
                let payload = said.verb.payload(&line);
                prop_assert!(payload.len() <= payload_bytes, "{} > {}", payload.len(), payload_bytes);
                prop_assert!(line.starts_with(&said.head));
                let words = bridgehead_irc_protocol::formatting::strip(&line);
                prop_assert!(!words.contains(char::is_control), "{:?}", line);
                prop_assert!(!words[said.head.len()..].trim().is_empty());
                prop_assert!(style == Style::Codes || !line.contains(char::is_control));
            }
        }
    }
}
