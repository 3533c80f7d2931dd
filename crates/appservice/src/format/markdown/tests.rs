//! Tests of Markdown both ways.

use proptest::prelude::*;

use crate::format::Rich;

fn check_read(markdown: &str, html: &str) {
    assert_eq!(Rich::from_markdown(markdown).to_html(), html, "{markdown}");
}

#[test]
fn reads_marks() {
    check_read(
        "*a* **b** ~~c~~ `d  e`",
        "<em>a</em> <strong>b</strong> <del>c</del> <code>d  e</code>",
    );
    check_read("***a** b*", "<strong><em>a</em></strong><em> b</em>");
    check_read("a\nb  \nc", "a<br>b<br>c");
    check_read(
        "<b>a</b> &amp; <script>",
        "&lt;b&gt;a&lt;/b&gt; &amp; &lt;script&gt;",
    );
    check_read("<div>\na\n</div>", "&lt;div&gt;<br>a<br>&lt;/div&gt;");
}

#[test]
fn reads_links() {
    check_read(
        "[a *b*](https://x.org)",
        "<a href=\"https://x.org\">a <em>b</em></a>",
    );
    check_read(
        "<https://x.org>",
        "<a href=\"https://x.org\">https://x.org</a>",
    );
    check_read("[a](javascript:b)", "a");
    check_read(
        "[B **b**](https://matrix.to/#/@b:x.org)!",
        "<a href=\"https://matrix.to/#/@b:x.org\">B b</a>!",
    );
    check_read(
        "![:a:](mxc://x.org/a)",
        "<img src=\"mxc://x.org/a\" alt=\":a:\" title=\":a:\">",
    );
    check_read(
        "![a](https://x.org/a.png)",
        "<a href=\"https://x.org/a.png\">a</a>",
    );
}

#[test]
fn reads_blocks() {
    check_read("# a\n\nb\n\nc", "<h1>a</h1><p>b</p><p>c</p>");
    check_read(
        "> a\n> > b\n\nc",
        "<blockquote>a<blockquote>b</blockquote></blockquote>c",
    );
    check_read(
        "- a\n- b\n  1. c\n\nd",
        "<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>d",
    );
    check_read("3. a\n4. b", "<ol start=\"3\"><li>a</li><li>b</li></ol>");
    check_read(
        "```rust x\na\n\n  b\n```",
        "<pre><code class=\"language-rust\">a\n\n  b\n</code></pre>",
    );
    check_read("    a", "<pre><code>a\n</code></pre>");
    check_read("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>");
    check_read(
        "a|b\n-|-\n1|2\n3|4",
        "<strong>a</strong> | <strong>b</strong><br>1 | 2<br>3 | 4",
    );
}

#[test]
fn deep_markdown_is_bounded() {
    for markdown in [
        ">".repeat(30_000),
        "- ".repeat(20_000),
        "[".repeat(30_000),
        "*a ".repeat(20_000),
    ] {
        let _ = Rich::from_markdown(&markdown).to_html();
    }
}

fn check_written(html: &str, markdown: &str) {
    let rich = Rich::from_matrix("", Some(html));
    assert_eq!(rich.to_markdown(), markdown, "{html}");
    assert_eq!(
        Rich::from_markdown(markdown).to_html(),
        rich.to_html(),
        "{markdown}"
    );
}

#[test]
fn writes_marks() {
    check_written(
        "<b>a</b> <i>b</i> <s>c</s> <code>d`e</code>",
        "**a** *b* ~~c~~ ``d`e``",
    );
    check_written("a <b>b</b> c", "a **b** c");
    check_written(
        "<a href='https://x.org/a%28b%29'>a</a>",
        "[a](https://x.org/a%28b%29)",
    );
    check_written("a<br>b", "a\nb");
    check_written(
        "*a* _b_ `c` [d](e) &lt;f&gt;",
        r"\*a\* \_b\_ \`c\` \[d\](e) \<f\>",
    );
    check_written(
        "# a<br>1. b<br>- c<br>+ d<br>&gt; e",
        "\\# a\n1\\. b\n\\- c\n\\+ d\n\\> e",
    );
}

#[test]
fn spaces_stand_outside_of_marks() {
    let rich = Rich::from_matrix("", Some("a<b> b </b>c"));
    assert_eq!(rich.to_markdown(), "a **b** c");
}

#[test]
fn writes_blocks() {
    check_written("<h2>a</h2><p>b</p><p>c</p>", "## a\n\nb\n\nc");
    check_written("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n>\n> b");
    check_written("<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n\n  - b\n- c");
    check_written("<ol start=9><li>a<li>b</ol>", "9. a\n10. b");
    check_written(
        "<ul><li>a</ul><ul><li>b</ul><ul><li>c</ul>",
        "- a\n\n* b\n\n- c",
    );
    check_written(
        "<pre><code class=language-c>a\n```\nb</code></pre>",
        "````c\na\n```\nb\n````",
    );
    check_written("a<hr>b", "a\n\n___\n\nb");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    /// No character of a text is taken for a mark.
    #[test]
    fn text_stays_text(text in "[ !-~a-c]{1,40}") {
        let text = text.trim();
        let markdown = Rich::plain(text).to_markdown();
        prop_assert_eq!(Rich::from_markdown(&markdown).to_plain(), text, "{}", markdown);
    }

    #[test]
    fn any_markdown_is_read(text in "[*_`~<>\\[\\]()#\\-+1.|:&\n a-z!\\\\]{0,120}") {
        let rich = Rich::from_markdown(&text);
        let _ = Rich::from_markdown(&rich.to_markdown());
        let html = rich.to_html();
        prop_assert_eq!(Rich::from_matrix("", Some(&html)).to_html(), html);
    }
}
