//! The server's randomness: the one place that asks the operating system for it, and where a
//! test's seed takes its place.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _, rng, rngs::StdRng};

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// One server's source of chances, ids and secrets.
pub(crate) struct Random(Source);

enum Source {
    /// The operating system's.
    System,
    /// The same each time for the same seed.
    Seeded(Box<Mutex<StdRng>>),
}

impl Random {
    /// The operating system's randomness.
    pub(crate) const fn system() -> Self {
        Self(Source::System)
    }

    /// The same numbers each time for the same seed, so that a run can be repeated exactly.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Box::new(Mutex::new(StdRng::seed_from_u64(
            seed,
        )))))
    }

    fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::System => rng().fill_bytes(bytes),
            Source::Seeded(numbers) => numbers.lock().fill_bytes(bytes),
        }
    }

    /// A number below `bound` (which must not be zero).
    pub(crate) fn below(&self, bound: u64) -> u64 {
        let number = match &self.0 {
            Source::System => rng().next_u64(),
            Source::Seeded(numbers) => numbers.lock().next_u64(),
        };
        number % bound
    }

    /// `digits` random hexadecimal digits.
    pub(crate) fn hex(&self, digits: usize) -> String {
        self.bytes(digits)
            .into_iter()
            .map(|byte| char::from(b"0123456789abcdef"[usize::from(byte & 15)]))
            .collect()
    }

    /// A secret of 256 random bits, URL-safe.
    pub(crate) fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key())
    }

    /// `length` random letters and digits.
    pub(crate) fn alphanumeric(&self, length: usize) -> String {
        self.bytes(length * 2)
            .chunks(2)
            .map(|pair| {
                let number = usize::from(pair[0]) << 8 | usize::from(pair[1]);
                char::from(ALPHANUMERIC[number % ALPHANUMERIC.len()])
            })
            .collect()
    }

    /// `length` random capital letters: the usual look of a device id.
    pub(crate) fn capitals(&self, length: usize) -> String {
        self.bytes(length)
            .into_iter()
            .map(|byte| char::from(b'A' + byte % 26))
            .collect()
    }

    /// 32 random bytes, for keys.
    pub(crate) fn key(&self) -> [u8; 32] {
        let mut bytes = [0_u8; 32];
        self.fill(&mut bytes);
        bytes
    }

    fn bytes(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0_u8; count];
        self.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_its_numbers_and_its_texts() {
        let numbers = |seed| {
            let random = Random::seeded(seed);
            let numbers: Vec<_> = (0..32).map(|_| random.below(1000)).collect();
            assert!(numbers.iter().all(|number| *number < 1000));
            (numbers, random.token(), random.capitals(10))
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
    }

    #[test]
    fn the_system_repeats_nothing() {
        let random = Random::system();
        assert_ne!(random.token(), random.token());
        assert_eq!(random.hex(7).len(), 7);
        assert_eq!(random.alphanumeric(18).len(), 18);
    }
}
