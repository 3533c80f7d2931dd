//! Letters with accents and Cyrillic letters as ASCII, the way people write them who have no other keyboard.

/// What a letter is written as, in lower case.
const LETTERS: [(&str, &str); 40] = [
    ("a", "àáâãåāăąǎа"),
    ("ae", "äæ"),
    ("b", "б"),
    ("c", "çćĉċč"),
    ("ch", "ч"),
    ("d", "ďđðд"),
    ("e", "èéêëēĕėęěеэ"),
    ("f", "ф"),
    ("g", "ĝğġģгґ"),
    ("h", "ĥħх"),
    ("i", "ìíîïĩīĭįıǐиі"),
    ("j", "ĵ"),
    ("k", "ķк"),
    ("l", "ĺļľŀłл"),
    ("m", "м"),
    ("n", "ñńņňŋн"),
    ("o", "òóôõōŏőǒо"),
    ("oe", "öœø"),
    ("p", "п"),
    ("r", "ŕŗřр"),
    ("s", "śŝşšșс"),
    ("shch", "щ"),
    ("sh", "ш"),
    ("ss", "ß"),
    ("t", "ţťŧțт"),
    ("th", "þ"),
    ("ts", "ц"),
    ("u", "ùúûũūŭůűųǔу"),
    ("ue", "ü"),
    ("v", "в"),
    ("w", "ŵ"),
    ("y", "ýÿŷйы"),
    ("ya", "я"),
    ("yo", "ё"),
    ("yu", "ю"),
    ("z", "źżžз"),
    ("zh", "ж"),
    ("", "ъь"),
    ("ye", "є"),
    ("yi", "ї"),
];

/// Calls `push` with each character's ASCII, and with nothing for those that have none. Accents that stand alone behind
/// their letter (Unicode's decomposed form) have none, and so vanish.
pub(super) fn each(text: &str, push: &mut dyn FnMut(char)) {
    for c in text.chars() {
        if c.is_ascii() {
            push(c);
        } else if c.is_whitespace() {
            push(' ');
        } else {
            letter(c).chars().for_each(&mut *push);
        }
    }
}

fn letter(c: char) -> String {
    let mut lower = c.to_lowercase();
    let (Some(small), None) = (lower.next(), lower.next()) else {
        return String::new();
    };
    let found = LETTERS.iter().find(|(_, from)| from.contains(small));
    let ascii = found.map_or("", |(ascii, _)| ascii);
    if small == c {
        return ascii.to_owned();
    }
    // `Ä` is `Ae`.
    let (head, tail) = ascii.split_at(ascii.len().min(1));
    head.to_ascii_uppercase() + tail
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn letters_are_written_as_people_do() {
        let check = |text: &str, expected: &str| {
            let mut ascii = String::new();
            each(text, &mut |c| ascii.push(c));
            assert_eq!(ascii, expected, "{text}");
        };
        check("Jürgen Ärger", "Juergen Aerger");
        check("Zoë Łukasz", "Zoe Lukasz");
        check("Юлия Щука", "Yuliya Shchuka");
        check("e\u{301}tude", "etude");
        check("日本 🎉x", " x");
        check("a\u{a0}b", "a b");
    }
}
