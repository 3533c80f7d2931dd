//! Links to media that anybody may open: signed by the bridge, with an end.
//!
//! Media of a homeserver can be fetched with an access token only (client-server API, "Content repository"), which
//! people on the other network do not have. A bridge that serves media to them hands out links of its own:
//!
//! ```text
//! <token>/<server name>/<media id>/<file name>      token = base64url(expiry ‖ signature)
//! ```
//!
//! Only what the bridge has put into a link itself can be fetched with it, and no longer than it says. The check is a
//! plain function that gives back what was checked, so that it cannot be left out by mistake. No I/O and no clock here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Nothing else that is ever signed with the key begins like this.
const PURPOSE: &[u8] = b"bridgehead media link 1";
/// Half of SHA-256's output, the least that RFC 2104, section 5, allows: links are to be short.
const SIGNATURE_BYTES: usize = 16;
/// Seconds in 40 bits last for 34,000 years.
const EXPIRY_BYTES: usize = 5;
const TOKEN_BYTES: usize = EXPIRY_BYTES + SIGNATURE_BYTES;
/// Shorter keys could be guessed.
const MIN_KEY_BYTES: usize = 16;
/// Longest server name, media id or file name.
const MAX_PART_BYTES: usize = 255;

/// What a path segment must not contain; RFC 3986's unreserved characters stay as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A key for signing. Never printed, and wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

/// The key is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key for media links is too short; use at least 16 random bytes")]
pub struct WeakKey;

impl SigningKey {
    /// A key of at least 16 bytes, which should be random. Keep it: links signed with a lost key are dead.
    ///
    /// # Errors
    /// [`WeakKey`] if it is shorter.
    pub fn new(bytes: &[u8]) -> Result<Self, WeakKey> {
        if bytes.len() < MIN_KEY_BYTES {
            return Err(WeakKey);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// Of the expiry and all parts, each with its length, so that no two links have the same input.
    fn mac(&self, media: &Media, expiry: [u8; EXPIRY_BYTES]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("invariant: HMAC takes keys of any length");
        mac.update(PURPOSE);
        mac.update(&expiry);
        for part in [&media.server_name, &media.media_id, &media.file_name] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The homeserver's name: the host in `mxc://host/media_id`.
    pub server_name: String,
    /// The id on that homeserver.
    pub media_id: String,
    /// The name under which a browser saves it; may be empty. Signed too, so that nobody can pass a picture off as
    /// `invoice.exe`.
    pub file_name: String,
}

impl Media {
    /// From an `mxc://` URI and a file name.
    ///
    /// # Errors
    /// [`LinkRefused::Malformed`] when the URI is none, or a part is longer than 255 bytes.
    pub fn new(mxc: &str, file_name: &str) -> Result<Self, LinkRefused> {
        let (server_name, media_id) = mxc
            .strip_prefix("mxc://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(LinkRefused::Malformed)?;
        let media = Self {
            server_name: server_name.to_owned(),
            media_id: media_id.to_owned(),
            file_name: file_name.to_owned(),
        };
        media.checked()
    }

    /// The `mxc://` URI.
    #[must_use]
    pub fn mxc(&self) -> String {
        format!("mxc://{}/{}", self.server_name, self.media_id)
    }

    /// Ids are taken over into URLs on the homeserver: what could lead elsewhere there is no id.
    fn checked(self) -> Result<Self, LinkRefused> {
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        let is_id = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let fits = |part: &str| part.len() <= MAX_PART_BYTES;
        let is_sound = !self.server_name.is_empty()
            && !self.media_id.is_empty()
            && self.server_name.chars().all(is_host)
            && self.media_id.chars().all(is_id)
            && [&self.server_name, &self.media_id, &self.file_name]
                .into_iter()
                .all(|part| fits(part));
        is_sound.then_some(self).ok_or(LinkRefused::Malformed)
    }
}

/// Why a link is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefused {
    /// It does not look like a link of ours; answer 404.
    #[error("this is not a link to media")]
    Malformed,
    /// It was not signed with a key of ours, or changed since; answer 404.
    #[error("this link was not made by this service, or was changed")]
    NotSigned,
    /// It was good once; answer 410.
    #[error("this link has expired; ask for a new one")]
    Expired,
}

/// Makes and checks links.
#[derive(Debug, Clone)]
pub struct LinkSigner {
    current: SigningKey,
    previous: Option<SigningKey>,
}

impl LinkSigner {
    /// Signs with `current`. Links signed with `previous` are good until they expire: to change keys, make the old one
    /// the previous one for as long as links live.
    #[must_use]
    pub fn new(current: SigningKey, previous: Option<SigningKey>) -> Self {
        Self { current, previous }
    }

    /// The path of a link, to be put behind the public address: `token/server/media_id/file_name`.
    ///
    /// `expires_at`: in seconds since 1970, at which the link is dead; `None` for one that never dies.
    ///
    /// # Errors
    /// [`LinkRefused::Malformed`] when the media cannot be linked to: see [`Media::new`].
    pub fn path(&self, media: &Media, expires_at: Option<u64>) -> Result<String, LinkRefused> {
        let media = media.clone().checked()?;
        let expiry = pack_expiry(expires_at);
        let signature = self.current.mac(&media, expiry).finalize().into_bytes();
        let mut token = [0; TOKEN_BYTES];
        token[..EXPIRY_BYTES].copy_from_slice(&expiry);
        token[EXPIRY_BYTES..].copy_from_slice(&signature[..SIGNATURE_BYTES]);
        let mut path = URL_SAFE_NO_PAD.encode(token);
        for part in [&media.server_name, &media.media_id, &media.file_name] {
            path.push('/');
            path.extend(utf8_percent_encode(part, ENCODED));
        }
        Ok(path)
    }

    /// What a link leads to, if it is one of ours and alive at `now` (seconds since 1970). `path` is what stands behind
    /// the public address in the request's URL, still percent-encoded, without query.
    ///
    /// # Errors
    /// [`LinkRefused`]. Whether it has expired is told of links of ours alone.
    pub fn check(&self, path: &str, now: u64) -> Result<Media, LinkRefused> {
        let (expiry, signature, media) = parse(path).ok_or(LinkRefused::Malformed)?;
        let media = media.checked()?;
        let is_by = |key: &SigningKey| {
            // In constant time.
            key.mac(&media, expiry)
                .verify_truncated_left(&signature)
                .is_ok()
        };
        if !(is_by(&self.current) || self.previous.as_ref().is_some_and(is_by)) {
            return Err(LinkRefused::NotSigned);
        }
        match unpack_expiry(expiry) {
            Some(expires_at) if now >= expires_at => Err(LinkRefused::Expired),
            _ => Ok(media),
        }
    }
}

/// All ones mean never.
fn pack_expiry(expires_at: Option<u64>) -> [u8; EXPIRY_BYTES] {
    const NEVER: u64 = (1 << (8 * EXPIRY_BYTES)) - 1;
    let packed = expires_at.unwrap_or(NEVER).min(NEVER);
    let mut bytes = [0; EXPIRY_BYTES];
    bytes.copy_from_slice(&packed.to_be_bytes()[8 - EXPIRY_BYTES..]);
    bytes
}

fn unpack_expiry(packed: [u8; EXPIRY_BYTES]) -> Option<u64> {
    if packed == [u8::MAX; EXPIRY_BYTES] {
        return None;
    }
    let mut bytes = [0; 8];
    bytes[8 - EXPIRY_BYTES..].copy_from_slice(&packed);
    Some(u64::from_be_bytes(bytes))
}

type Parsed = ([u8; EXPIRY_BYTES], [u8; SIGNATURE_BYTES], Media);

fn parse(path: &str) -> Option<Parsed> {
    // Each byte may be written as three.
    if path.len() > 4 * 3 * MAX_PART_BYTES {
        return None;
    }
    let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
    let token = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
    let token: [u8; TOKEN_BYTES] = token.try_into().ok()?;
    let (expiry, signature) = token.split_at(EXPIRY_BYTES);
    let mut text = || -> Option<String> {
        let decoded = percent_decode_str(parts.next()?).decode_utf8().ok()?;
        Some(decoded.into_owned())
    };
    let media = Media {
        server_name: text()?,
        media_id: text()?,
        file_name: text()?,
    };
    if parts.next().is_some() {
        return None;
    }
    Some((expiry.try_into().ok()?, signature.try_into().ok()?, media))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_795_262_400;

    fn key(fill: u8) -> SigningKey {
        SigningKey::new(&[fill; 32]).expect("long enough")
    }

    fn signer() -> LinkSigner {
        LinkSigner::new(key(1), None)
    }

    fn cat() -> Media {
        Media::new(
            "mxc://example.org/GCmhgzMPRjqgpODLsNQzVuHZ",
            "cat & dog.jpg",
        )
        .expect("sound")
    }

    fn link() -> String {
        signer()
            .path(&cat(), Some(NOW + 60))
            .expect("can be linked")
    }

    #[test]
    fn a_link_leads_to_its_media_until_it_expires() {
        let (signer, link) = (signer(), link());
        assert_eq!(signer.check(&link, NOW), Ok(cat()));
        assert_eq!(signer.check(&format!("/{link}"), NOW + 59), Ok(cat()));
        assert_eq!(signer.check(&link, NOW + 60), Err(LinkRefused::Expired));
        assert_eq!(signer.check(&link, u64::MAX), Err(LinkRefused::Expired));
        assert_eq!(cat().mxc(), "mxc://example.org/GCmhgzMPRjqgpODLsNQzVuHZ");
        assert!(
            link.ends_with("/example.org/GCmhgzMPRjqgpODLsNQzVuHZ/cat%20%26%20dog.jpg"),
            "{link}"
        );
    }

    #[test]
    fn a_link_without_end_lives() {
        let link = signer().path(&cat(), None).expect("can be linked");
        assert_eq!(signer().check(&link, NOW * 100), Ok(cat()));
    }

    #[test]
    fn the_link_is_pinned() {
        // A change of the format would kill every link that is out there.
        assert_eq!(
            link(),
            "AGsBh_xV4GXTY0BiqGyXCREKlOxR/example.org/GCmhgzMPRjqgpODLsNQzVuHZ/cat%20%26%20dog.jpg"
        );
    }

    #[test]
    fn what_was_changed_is_refused() {
        let link = link();
        let (token, rest) = link.split_once('/').expect("a token and the rest");
        let first = if token.starts_with('B') { "A" } else { "B" };
        for changed in [
            link.replace("example.org", "evil.example.org"),
            link.replace("GCmh", "GCmi"),
            link.replace("dog.jpg", "dog.exe"),
            link.replace("cat%20", ""),
            // A later expiry, with the signature as it was.
            format!("{first}{}/{rest}", &token[1..]),
            // The signature's last byte.
            format!(
                "{}{}/{rest}",
                &token[..27],
                if token.ends_with('A') { "B" } else { "A" }
            ),
        ] {
            assert_ne!(changed, link);
            let refused = signer().check(&changed, NOW);
            assert_eq!(refused, Err(LinkRefused::NotSigned), "{changed}");
        }
    }

    #[test]
    fn any_token_is_not_good_enough() {
        let link = link();
        let (_, rest) = link.split_once('/').expect("a token and the rest");
        for (token, refused) in [
            (URL_SAFE_NO_PAD.encode([0; 21]), LinkRefused::NotSigned),
            (URL_SAFE_NO_PAD.encode([255; 21]), LinkRefused::NotSigned),
            (URL_SAFE_NO_PAD.encode([0; 20]), LinkRefused::Malformed),
            (URL_SAFE_NO_PAD.encode([0; 37]), LinkRefused::Malformed),
            ("x".to_owned(), LinkRefused::Malformed),
            (String::new(), LinkRefused::Malformed),
            ("undefined".to_owned(), LinkRefused::Malformed),
        ] {
            let checked = signer().check(&format!("{token}/{rest}"), NOW);
            assert_eq!(checked, Err(refused), "{token}");
        }
    }

    #[test]
    fn parts_cannot_be_shifted_into_each_other() {
        let link = link();
        let shifted = link.replace("example.org/GCmh", "example.orgG/Cmh");
        assert_eq!(signer().check(&shifted, NOW), Err(LinkRefused::NotSigned));
    }

    #[test]
    fn ids_that_lead_elsewhere_are_none() {
        let long = format!("mxc://example.org/{}", "a".repeat(256));
        for mxc in [
            "https://example.org/abc",
            "mxc://example.org",
            "mxc://example.org/",
            "mxc:///abc",
            "mxc://example.org/../admin",
            "mxc://example.org/a/b",
            "mxc://example.org/a?b",
            "mxc://exa mple.org/abc",
            "mxc://user@example.org/abc",
            &long,
        ] {
            assert_eq!(Media::new(mxc, "x"), Err(LinkRefused::Malformed), "{mxc}");
        }
        for path in ["", "/", "a/b/c/d/e", "a/b/c"] {
            assert_eq!(
                signer().check(path, NOW),
                Err(LinkRefused::Malformed),
                "{path}"
            );
        }
        let long_name = Media {
            file_name: "x".repeat(256),
            ..cat()
        };
        assert_eq!(signer().path(&long_name, None), Err(LinkRefused::Malformed));
    }

    #[test]
    fn keys_can_be_changed() {
        let link = link();
        let changed = LinkSigner::new(key(2), Some(key(1)));
        assert_eq!(changed.check(&link, NOW), Ok(cat()));
        let newer = changed.path(&cat(), None).expect("can be linked");
        assert_eq!(signer().check(&newer, NOW), Err(LinkRefused::NotSigned));
        let after = LinkSigner::new(key(2), None);
        assert_eq!(after.check(&newer, NOW), Ok(cat()));
        assert_eq!(after.check(&link, NOW), Err(LinkRefused::NotSigned));
    }

    #[test]
    fn keys_are_long_and_not_shown() {
        assert_eq!(SigningKey::new(&[7; 15]).err(), Some(WeakKey));
        let shown = format!("{:?}", LinkSigner::new(key(0x41), Some(key(0x42))));
        assert!(shown.contains("***") && !shown.contains("65") && !shown.contains("AA"));
    }

    proptest! {
        #[test]
        fn every_name_survives(name in ".{0,60}", expires_at in NOW + 1..NOW * 2) {
            let media = Media { file_name: name, ..cat() };
            let link = signer().path(&media, Some(expires_at)).expect("can be linked");
            prop_assert!(link.is_ascii() && !link.contains([' ', '?', '#', '<', '"']));
            prop_assert_eq!(signer().check(&link, NOW), Ok(media));
        }

        #[test]
        fn nothing_makes_it_panic(path in "\\PC{0,200}") {
            prop_assert!(signer().check(&path, NOW).is_err());
        }
    }
}
