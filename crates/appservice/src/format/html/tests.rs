//! Tests of HTML both ways.

use proptest::prelude::*;

use super::{guard::guard, *};
use crate::{
    format::{Block, Inline, Mention, Piece, Rich, Style},
    id::UserId,
};

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn from(html: &str) -> Rich {
    Rich::from_matrix("", Some(html))
}

/// What is read from HTML, written as HTML again.
fn check(html: &str, expected: &str) {
    let rich = from(html);
    let written = rich.to_html();
    assert_eq!(written, expected, "{html}\n{rich:#?}");
    assert_eq!(from(&written), rich, "{html} → {written}");
}

#[test]
fn marks() {
    check(
        "<b>a</b> <strong>b</strong>",
        "<strong>a</strong> <strong>b</strong>",
    );
    check("<i>a</i><em>b</em>", "<em>ab</em>");
    check(
        "<u>a</u><s>b</s><del>c</del><strike>d</strike>",
        "<u>a</u><del>bcd</del>",
    );
    check(
        "<b>a<i>b</i></b><i>c</i>",
        "<strong>a<em>b</em></strong><em>c</em>",
    );
    check("<code>a  b</code>", "<code>a  b</code>");
    check("x<sup>2</sup> H<sub>2</sub>O", "x^2 H2O");
    check("<b>a<br>b</b>", "<strong>a<br>b</strong>");
    check(
        "<b>one<i>two</b>three</i>",
        "<strong>one<em>two</em></strong><em>three</em>",
    );
}

#[test]
fn colours() {
    let red = r##"<span data-mx-color="#ff0000">a</span>"##;
    check(red, red);
    check("<font color=red>a</font>", red);
    check("<font color='#F00'>a</font>", red);
    check("<font data-mx-color='#ff0000'>a</font>", red);
    check("<font color='expression(1)'>a</font>", "a");
    let both = r##"<span data-mx-color="#ff0000" data-mx-bg-color="#00ff00">a</span>"##;
    check(both, both);
    check(
        "<span data-mx-bg-color='#00ff00'><span data-mx-color='#ff0000'>a</span></span>",
        both,
    );
}

#[test]
fn spoilers() {
    check(
        "<span data-mx-spoiler>a<b>b</b></span>",
        "<span data-mx-spoiler>a<strong>b</strong></span>",
    );
    check(
        "<span data-mx-spoiler=\"the &quot;end&quot;\">a</span>",
        "<span data-mx-spoiler=\"the &quot;end&quot;\">a</span>",
    );
}

#[test]
fn links() {
    check(
        "<a href='https://x.org/?a=1&amp;b'>x</a>",
        "<a href=\"https://x.org/?a=1&amp;b\">x</a>",
    );
    check(
        "<a href='HTTPS://x.org'>x</a>",
        "<a href=\"https://x.org\">x</a>",
    );
    check(
        "<a href='https://matrix.to/#/!r:x.org/$e'>x</a>",
        "<a href=\"https://matrix.to/#/!r:x.org/$e\">x</a>",
    );
    check("<a href='javascript:alert(1)'>x</a>", "x");
    check("<a>x</a>", "x");
}

/// The sanitizer looks at the scheme only if `href` is the first attribute in the alphabet.
#[test]
fn no_attribute_smuggles_a_scheme() {
    check("<a class=x href='javascript:alert(1)'>x</a>", "x");
    check("<a aaa href='data:text/html,x'>x</a>", "x");
    check("<img alt=x src='https://x.org/track.png'>", "x");
    check("<a href=' javascript:alert(1)'>x</a>", "x");
    check("<a href='java&#10;script:alert(1)'>x</a>", "x");
}

#[test]
fn mentions() {
    let pill = "<a href=\"https://matrix.to/#/@bob:x.org\">Bob B.</a>";
    check(pill, pill);
    check("<a href='matrix:u/bob:x.org'><b>Bob</b> B.</a>", pill);
    check(
        "<b><a href='https://matrix.to/#/%40bob%3Ax.org'> Bob\n B.</a></b>",
        &format!("<strong>{pill}</strong>"),
    );
    check(
        "<a href='https://matrix.to/#/@bob:x.org'></a>",
        "<a href=\"https://matrix.to/#/@bob:x.org\">@bob:x.org</a>",
    );
    check(
        "<a href='https://matrix.to/#/#r:x.org'>r</a>",
        "<a href=\"https://matrix.to/#/%23r:x.org\">r</a>",
    );
    check(
        "<a href='https://matrix.to/#/!r:x.org?via=x.org&amp;via=y.org'>r</a>",
        "<a href=\"https://matrix.to/#/!r:x.org?via=x.org&amp;via=y.org\">r</a>",
    );
    check(
        "<a href='https://matrix.to/#/@'>x</a>",
        "<a href=\"https://matrix.to/#/@\">x</a>",
    );
    let rich = from(
        "<a href='matrix:u/bob:x.org'>B</a> <a href='matrix:u/al:x.org'>A</a> <a href='matrix:u/bob:x.org'>B</a> @room",
    );
    assert_eq!(rich.mentions().users, ["@bob:x.org", "@al:x.org"]);
    assert!(!rich.mentions().room, "nobody meant the words");
}

#[test]
fn emoji() {
    let emoji =
        "<img data-mx-emoticon height=\"32\" src=\"mxc://x.org/a\" alt=\":a:\" title=\":a:\">";
    check(emoji, emoji);
    check(
        "<img src='mxc://x.org/a' title='t'>",
        "<img src=\"mxc://x.org/a\" alt=\"t\" title=\"t\">",
    );
    check(
        "<img src='mxc://x.org/a' onerror=alert(1) style=x>",
        "<img src=\"mxc://x.org/a\" alt=\"\" title=\"\">",
    );
}

#[test]
fn blocks() {
    check("<p>a</p><p>b</p>", "<p>a</p><p>b</p>");
    check("<p>a", "a");
    check("<p>a<p>b", "<p>a</p><p>b</p>");
    check("a<p></p><p> </p>", "a");
    check("<div>a</div>b", "<p>a</p><p>b</p>");
    check(
        "<h1>a</h1><h6>b <b>c</b></h6>",
        "<h1>a</h1><h6>b <strong>c</strong></h6>",
    );
    check("a<hr>b", "<p>a</p><hr><p>b</p>");
    check(
        "<blockquote>a<blockquote><p>b</p></blockquote></blockquote>c",
        "<blockquote>a<blockquote>b</blockquote></blockquote>c",
    );
    check(
        "<b><p>a</p><p>b</p></b>",
        "<p><strong>a</strong></p><p><strong>b</strong></p>",
    );
    check(
        "<details><summary>a</summary>b</details>",
        "<p><strong>a</strong></p><p>b</p>",
    );
}

#[test]
fn lists() {
    check(
        "<ul><li>a</li><li>b<ul><li>c</ul></ul>",
        "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>",
    );
    check(
        "<ol start=3><li>a<li>b</ol>",
        "<ol start=\"3\"><li>a</li><li>b</li></ol>",
    );
    check("<ol start=x><li>a</ol>", "<ol><li>a</li></ol>");
    check(
        "<ul><li>a</li><ul><li>b</li></ul></ul>",
        "<ul><li>a<ul><li>b</li></ul></li></ul>",
    );
    check(
        "<ul>\n<li>\n<p>a</p>\n<p>b</p>\n</li>\n</ul>",
        "<ul><li><p>a</p><p>b</p></li></ul>",
    );
}

/// Other bridges collapse the lines of a code block, or strip its fence (matrix-appservice-irc 609, 1172).
#[test]
fn code_keeps_its_lines() {
    let code = "<pre><code class=\"language-rust\">fn a() {\n    b(\"&lt;\");\n}\n</code></pre>";
    let code = code.replace("b(\"&lt;\")", "b(&quot;&lt;&quot;)");
    check(&code, &code);
    check(
        "<pre>\n\na\n\nb\n\n</pre>",
        "<pre><code>a\n\nb\n</code></pre>",
    );
    check(
        "<pre><code>a<br>b<span>c</span></code></pre>",
        "<pre><code>a\nbc\n</code></pre>",
    );
    check(
        "<pre><code class='x language-c++ y'>a</code></pre>",
        "<pre><code class=\"language-c++\">a\n</code></pre>",
    );
    assert_eq!(from(&code).to_plain(), "fn a() {\n    b(\"<\");\n}");
}

#[test]
fn tables_are_lines() {
    check(
        "<table><caption>t</caption><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td><p>2</p><p>3</p></td></tr></tbody></table>",
        "t<br><strong>a</strong> | <strong>b</strong><br>1 | 2 3",
    );
    check("<table><tr><td>1<td>2<tr><td>3</table>", "1 | 2<br>3");
    check("<td>a</td>", "a");
}

#[test]
fn white_space() {
    check("  a \n b  ", "a b");
    check("a <b> b </b> c", "a <strong>b </strong>c");
    check("<p> a <br> b </p>", "a<br>b");
    check("a&nbsp; b", "a&nbsp; b");
    check("<br>a<br>", "a");
    let html = Rich::plain(" a  b \n c").to_html();
    assert_eq!(html, "&nbsp;a &nbsp;b&nbsp;<br>&nbsp;c");
    check(&html, &html);
}

#[test]
fn reply_fallbacks_are_left_out() {
    check(
        "<mx-reply><blockquote>old<br>words</blockquote></mx-reply>new",
        "new",
    );
    check("<MX-REPLY>a<mx-reply>b</mx-reply>c</mx-reply>new", "new");
    check("a</mx-reply>b", "ab");
    check("a<mx-reply>never closed", "a");
}

#[test]
fn what_matrix_does_not_know_is_left_out() {
    check("<script>alert('<b>')</script>a<style>b{}</style>", "a");
    check("<marquee>a</marquee><iframe src=x>b</iframe>", "ab");
    check(
        "<!-- <b> -->a<!--><b>b</b><?x?><!doctype x></ x>",
        "a<strong>b</strong>",
    );
    check("a < b <3 &lt;b&gt; <", "a &lt; b &lt;3 &lt;b&gt; &lt;");
    check("a<b", "a");
    check("<b title='>'>a</b>", "<strong>a</strong>");
    check("a\0b\u{2}c\u{7f}\u{80}\u{9b}", "abc");
    check("<math><mi>x</mi></math><svg><p>y", "<p>x</p><p>y</p>");
}

#[test]
fn formulas_are_code() {
    check(
        "<span data-mx-maths=\"x^2\"><i>x</i>2</span>",
        "<code>x^2</code>",
    );
    check("<div data-mx-maths=\"x^2\">x</div>", "<code>x^2</code>");
}

#[test]
fn without_html_the_body_counts() {
    assert_eq!(Rich::from_matrix("a\n\nb", None).to_plain(), "a\n\nb");
    assert_eq!(
        Rich::from_matrix("a", Some("<script>x</script>")),
        Rich::plain("a")
    );
    assert_eq!(Rich::from_matrix("", None), Rich::default());
}

/// Each of these asks for much more work, or a much larger tree, than its length would say.
#[test]
fn hostile_html_is_bounded() {
    let marks: String = (0..400)
        .map(|n| format!("<font color='#{n:06}'>"))
        .collect();
    let url = format!("<a href='https://x.org/{}'>", "a".repeat(2_000));
    for html in [
        "<b>".repeat(20_000),
        "<blockquote>".repeat(5_000),
        "<ul><li>".repeat(8_000),
        "<table><tr><td>".repeat(4_000),
        "<p>".to_owned() + &marks + &"<p>x".repeat(10_000),
        "<br>".repeat(16_000),
        url + &"<p>x".repeat(15_000),
        "<span data-mx-spoiler=x>".to_owned() + &"</b>".repeat(15_000),
        "<a ".to_owned() + &"x=y ".repeat(16_000) + ">z</a>",
        "</".repeat(30_000),
        "<script>".repeat(8_000),
    ] {
        let rich = from(&html);
        assert!(rich.to_html().len() < 2_000_000, "{}", &html[..20]);
        assert!(from(&rich.to_html()).blocks().len() < 20_000);
    }
}

#[test]
fn depth_is_bounded() {
    let rich = from(&("<blockquote>".repeat(60) + "a"));
    let mut depth = 0;
    let mut blocks = rich.blocks();
    while let [Block::Quote(inner)] = blocks {
        depth += 1;
        blocks = inner;
    }
    assert_eq!(depth, crate::format::MAX_DEPTH);
    assert_eq!(blocks, [Block::text("a")]);
}

#[test]
fn written_html_is_escaped() {
    let rich = Rich::from_inlines(vec![
        Inline::text("<b>&\"'", Style::link("https://x.org/\"><script>")),
        Inline {
            piece: Piece::Mention(Mention::user(&user("@a\"<>:x.org"), "<i>")),
            style: Style::default(),
        },
    ]);
    let html = rich.to_html();
    assert_eq!(
        html,
        "<a href=\"https://x.org/&quot;&gt;&lt;script&gt;\">&lt;b&gt;&amp;&quot;'</a>\
         <a href=\"https://matrix.to/#/@a%22%3C%3E:x.org\">&lt;i&gt;</a>"
    );
    check(&html, &html);
}

/// Scraps of HTML, put together at random.
fn scraps() -> impl Strategy<Value = String> {
    let tags = [
        "b",
        "i",
        "u",
        "s",
        "del",
        "code",
        "pre",
        "p",
        "div",
        "h1",
        "h3",
        "blockquote",
        "ul",
        "ol",
        "li",
        "table",
        "tr",
        "td",
        "th",
        "tbody",
        "caption",
        "a",
        "span",
        "font",
        "sup",
        "details",
        "summary",
        "mx-reply",
        "script",
        "svg",
        "template",
        "select",
        "form",
        "title",
        "strong",
        "em",
        "br",
        "hr",
        "img",
        "nobr",
        "math",
        "frameset",
    ];
    let attributes = prop_oneof![
        Just(String::new()),
        Just(" href='https://x.org/?a&b'".to_owned()),
        Just(" href=\"https://matrix.to/#/@a:x.org\"".to_owned()),
        Just(" href=matrix:r/a:x.org".to_owned()),
        Just(" data-mx-color='#ff0000'".to_owned()),
        Just(" data-mx-spoiler='a  <b>'".to_owned()),
        Just(" src='mxc://x.org/a' alt=' a\n'".to_owned()),
        Just(" class=language-a start=7".to_owned()),
        Just(" data-mx-maths=x^2".to_owned()),
        ".{0,8}",
    ];
    let text = prop_oneof![
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("&nbsp;".to_owned()),
        Just("&lt;b&gt;".to_owned()),
        Just("&#0;&#2;&#13;".to_owned()),
        Just("a".to_owned()),
        Just(" b ".to_owned()),
        Just("<".to_owned()),
        Just("<!-- ".to_owned()),
        Just("-->".to_owned()),
        ".{0,6}",
    ];
    let piece = prop_oneof![
        4 => (prop::sample::select(tags.to_vec()), attributes).prop_map(|(tag, attribute)| format!("<{tag}{attribute}>")),
        3 => prop::sample::select(tags.to_vec()).prop_map(|tag| format!("</{tag}>")),
        4 => text,
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// What has been written is read as what was written, whatever was read first.
    #[test]
    fn any_html_is_read_and_stays(html in scraps()) {
        let rich = from(&html);
        let written = rich.to_html();
        let again = from(&written);
        prop_assert_eq!(&again, &rich, "{}", &written);
        prop_assert_eq!(again.to_html(), written);
    }

    /// A guard's result is guarded: nothing in it is found differently the second time.
    #[test]
    fn guarding_twice_changes_nothing(html in scraps()) {
        let once = guard(&html, Omit::ReplyFallback);
        prop_assert_eq!(guard(&once, Omit::ReplyFallback), once);
    }

    #[test]
    fn any_text_is_read(html in ".{0,200}") {
        let rich = from(&html);
        prop_assert_eq!(from(&rich.to_html()).to_html(), rich.to_html());
    }

    /// Plain text survives all ways.
    #[test]
    fn plain_text_stays(text in "[ -~\u{e0}-\u{ff}🦀\n]{0,80}") {
        let text = text.trim_matches('\n');
        let rich = Rich::plain(text);
        prop_assert_eq!(rich.to_plain(), text);
        prop_assert_eq!(from(&rich.to_html()).to_plain(), text);
        prop_assert_eq!(rich.text(), text);
    }
}
