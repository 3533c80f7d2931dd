//! What is seen as one character, though it is several: letters with marks, flags, families.
//!
//! This follows the extended grapheme clusters of UAX #29 nearly: where it errs it keeps together what might be cut.

/// Cuts a text into what is seen as one character each.
pub(super) fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (cluster, after) = rest.split_at(first_bytes(rest));
        rest = after;
        (!cluster.is_empty()).then_some(cluster)
    })
}

/// Bytes of the first cluster.
fn first_bytes(text: &str) -> usize {
    let mut chars = text.char_indices();
    let Some((_, first)) = chars.next() else {
        return 0;
    };
    let mut last = first;
    // A flag is two indicators; a third begins another flag.
    let mut is_half_a_flag = is_regional_indicator(first);
    for (at, c) in chars {
        let is_joined = last == ZWJ && !c.is_ascii() && !c.is_whitespace();
        let is_flag = is_half_a_flag && is_regional_indicator(c);
        let is_marked = is_extending(c) && !first.is_control() && first != ' ';
        let is_syllable = is_jamo(last) && is_jamo(c) && !is_leading_jamo_after(last, c);
        if !(is_joined || is_flag || is_marked || is_syllable) {
            return at;
        }
        is_half_a_flag = is_half_a_flag && !is_flag;
        last = c;
    }
    text.len()
}

/// Whether a line may begin with it though no space stands before it: what is written in Chinese and Japanese has none.
pub(super) fn begins_a_word(cluster: &str) -> bool {
    let is_letter = |c: char| match c {
        // Small kana and marks of length belong to what stands before them, and punctuation ends a phrase.
        'ぁ' | 'ぃ' | 'ぅ' | 'ぇ' | 'ぉ' | 'っ' | 'ゃ' | 'ゅ' | 'ょ' | 'ァ' | 'ィ' | 'ゥ'
        | 'ェ' | 'ォ' | 'ッ' | 'ャ' | 'ュ' | 'ョ' => false,
        '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' => true,
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' => true,
        '\u{20000}'..='\u{3ffff}' => true,
        '「' | '『' | '（' | '【' | '《' => true,
        _ => false,
    };
    cluster.chars().next().is_some_and(is_letter)
}

const ZWJ: char = '\u{200d}';

fn is_regional_indicator(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

fn is_jamo(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7a3}')
}

/// Whether a new syllable begins: a leading consonant, or one that is written whole, behind what is no leading consonant.
fn is_leading_jamo_after(last: char, c: char) -> bool {
    let is_leading = |c: char| matches!(c, '\u{1100}'..='\u{115f}');
    let is_whole = matches!(c, '\u{ac00}'..='\u{d7a3}');
    (is_leading(c) || is_whole) && !is_leading(last)
}

/// Whether it belongs to what stands before it: combining marks, variation selectors, joiners, emoji modifiers and tags.
fn is_extending(c: char) -> bool {
    match c {
        // Combining marks of the scripts that have blocks of their own for them.
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{302a}'..='\u{302f}'
        | '\u{3099}'..='\u{309a}' => true,
        // Hebrew, Arabic, Syriac, Thaana, NKo.
        '\u{591}'..='\u{5bd}'
        | '\u{5bf}'
        | '\u{5c1}'..='\u{5c2}'
        | '\u{5c4}'..='\u{5c5}'
        | '\u{5c7}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{670}'
        | '\u{6d6}'..='\u{6dc}'
        | '\u{6df}'..='\u{6e4}'
        | '\u{6e7}'..='\u{6e8}'
        | '\u{6ea}'..='\u{6ed}'
        | '\u{711}'
        | '\u{730}'..='\u{74a}'
        | '\u{7a6}'..='\u{7b0}'
        | '\u{7eb}'..='\u{7f3}' => true,
        '\u{900}'..='\u{d7f}' => is_indic_sign(c),
        // Sinhala, Thai, Lao, Tibetan, Myanmar, Khmer.
        '\u{d81}'..='\u{d83}'
        | '\u{dca}'..='\u{ddf}'
        | '\u{df2}'..='\u{df3}'
        | '\u{e31}'
        | '\u{e33}'..='\u{e3a}'
        | '\u{e47}'..='\u{e4e}'
        | '\u{eb1}'
        | '\u{eb3}'..='\u{ebc}'
        | '\u{ec8}'..='\u{ecd}'
        | '\u{f35}'
        | '\u{f37}'
        | '\u{f39}'
        | '\u{f71}'..='\u{f84}'
        | '\u{f86}'..='\u{f87}'
        | '\u{f8d}'..='\u{fbc}'
        | '\u{102b}'..='\u{103e}'
        | '\u{1056}'..='\u{1059}'
        | '\u{17b4}'..='\u{17d3}' => true,
        // Joiners, variation selectors, skin tones, the tags of flags.
        '\u{200c}' | ZWJ => true,
        '\u{180b}'..='\u{180d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => true,
        '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}' => true,
        _ => false,
    }
}

/// The scripts of India have 128 code points each, with their signs at nearly the same places.
fn is_indic_sign(c: char) -> bool {
    matches!(u32::from(c) % 0x80, 0x00..=0x03 | 0x3a..=0x3c | 0x3e..=0x4f | 0x51..=0x57 | 0x62..=0x63)
}
