//! The server's randomness: the one place that asks the operating system for it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{Rng as _, rng};

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `digits` random hexadecimal digits.
pub(crate) fn hex(digits: usize) -> String {
    (0..digits)
        .map(|_| char::from(b"0123456789abcdef"[usize::from(byte() & 15)]))
        .collect()
}

/// A secret of 256 random bits, URL-safe.
pub(crate) fn token() -> String {
    let mut bytes = [0_u8; 32];
    rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `length` random letters and digits.
pub(crate) fn alphanumeric(length: usize) -> String {
    let mut bytes = vec![0_u8; length * 2];
    rng().fill_bytes(&mut bytes);
    bytes
        .chunks(2)
        .map(|pair| {
            let number = usize::from(pair[0]) << 8 | usize::from(pair[1]);
            char::from(ALPHANUMERIC[number % ALPHANUMERIC.len()])
        })
        .collect()
}

/// `length` random capital letters: the usual look of a device id.
pub(crate) fn capitals(length: usize) -> String {
    (0..length)
        .map(|_| char::from(b'A' + byte() % 26))
        .collect()
}

/// Chances that a task takes, from outside, so that a simulation can repeat a run exactly.
pub(crate) trait Randomness: Send + Sync {
    /// A number below `bound` (which must not be zero).
    fn below(&self, bound: u64) -> u64;
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn below(&self, bound: u64) -> u64 {
        rng().next_u64() % bound
    }
}

/// The same numbers each time for the same seed.
#[cfg(test)]
pub(crate) struct SeededRandomness(parking_lot::Mutex<rand::rngs::StdRng>);

#[cfg(test)]
impl SeededRandomness {
    pub(crate) fn new(seed: u64) -> Self {
        use rand::SeedableRng as _;
        Self(parking_lot::Mutex::new(rand::rngs::StdRng::seed_from_u64(
            seed,
        )))
    }
}

#[cfg(test)]
impl Randomness for SeededRandomness {
    fn below(&self, bound: u64) -> u64 {
        self.0.lock().next_u64() % bound
    }
}

/// 32 random bytes, for keys.
pub(crate) fn seed() -> [u8; 32] {
    let mut bytes = [0_u8; 32];
    rng().fill_bytes(&mut bytes);
    bytes
}

fn byte() -> u8 {
    let mut bytes = [0_u8; 1];
    rng().fill_bytes(&mut bytes);
    bytes[0]
}

#[cfg(test)]
mod tests {
    use super::{Randomness as _, SeededRandomness};

    #[test]
    fn a_seed_repeats_its_numbers() {
        let numbers = |seed| {
            let randomness = SeededRandomness::new(seed);
            let numbers: Vec<_> = (0..32).map(|_| randomness.below(1000)).collect();
            assert!(numbers.iter().all(|number| *number < 1000));
            numbers
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
    }
}
