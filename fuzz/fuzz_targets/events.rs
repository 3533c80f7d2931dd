//! What a homeserver puts into a transaction: any JSON is an event or none, and what is read of it does no harm.

#![no_main]

use bridgehead_appservice::{Event, format::content::Content};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|text: &str| {
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else {
        return;
    };
    let Ok(event) = Event::parse(raw) else { return };
    assert_eq!(event.raw(), raw.get());
    let again = RawValue::from_string(event.raw().to_owned()).expect("it is JSON");
    let again = Event::parse(&again).expect("it was one before");
    assert_eq!((&again.id, &again.content), (&event.id, &event.content));
    let content = Content::of(&event);
    let _ = (
        content.kind(),
        content.media(),
        content.describe(),
        content.reaction(),
        content.profile(),
    );
    let _ = (
        content.replies_to(),
        content.thread_root(),
        content.is_edit_of(),
        content.mentions(),
    );
    if let Some(rich) = content.rich() {
        let _ = (rich.to_html(), rich.to_markdown(), rich.to_plain());
    }
});
