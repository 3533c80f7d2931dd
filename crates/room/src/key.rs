//! The server's signing key.
//!
//! Made from bytes that the caller read or drew; this crate has no randomness of its own.

use std::fmt;

use ruma::{
    CanonicalJsonObject, OwnedServerName, ServerName, ServerSigningKeyVersion,
    room_version_rules::RedactionRules,
    serde::{Base64, base64::Standard},
    signatures::{Ed25519KeyPair, JsonError, sign_event, sign_json},
};

use crate::error::InvalidKey;

/// RFC 8410: everything before the seed in the PKCS#8 form of an ed25519 private key.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// An ed25519 key pair and the server that signs with it.
pub struct SigningKey {
    server_name: OwnedServerName,
    key_pair: Ed25519KeyPair,
}

impl SigningKey {
    /// Makes the key from its 32-byte seed. `version` is the part of the key id after `ed25519:`.
    pub fn from_seed(
        server_name: OwnedServerName,
        seed: &[u8; 32],
        version: &str,
    ) -> Result<Self, InvalidKey> {
        let mut document = [0; 48];
        document[..16].copy_from_slice(&PKCS8_PREFIX);
        document[16..].copy_from_slice(seed);
        Self::from_der(server_name, &document, version)
    }

    /// Makes the key from a PKCS#8 document in DER form.
    pub fn from_der(
        server_name: OwnedServerName,
        document: &[u8],
        version: &str,
    ) -> Result<Self, InvalidKey> {
        let invalid = |reason: String| InvalidKey { reason };
        <&ServerSigningKeyVersion>::try_from(version)
            .map_err(|error| invalid(format!("key version: {error}")))?;
        let key_pair = Ed25519KeyPair::from_der(document, version.to_owned())
            .map_err(|error| invalid(error.to_string()))?;
        Ok(Self {
            server_name,
            key_pair,
        })
    }

    /// The server that signs with this key.
    pub fn server_name(&self) -> &ServerName {
        &self.server_name
    }

    /// The key's id as it stands in signatures: `ed25519:` and the version.
    pub fn key_id(&self) -> String {
        format!("ed25519:{}", self.key_pair.version())
    }

    /// The public key in unpadded base64, as published in the server's key document.
    pub fn public_key_base64(&self) -> String {
        Base64::<Standard, _>::new(self.key_pair.public_key()).encode()
    }

    /// Adds this server's signature to an object that is not an event, such as the key document.
    pub fn sign_json(&self, object: &mut CanonicalJsonObject) -> Result<(), JsonError> {
        sign_json(self.server_name.as_str(), &self.key_pair, object)
    }

    /// Adds this server's signature to an event that already has its content hash.
    pub(crate) fn sign_hashed(
        &self,
        pdu: &mut CanonicalJsonObject,
        rules: &RedactionRules,
    ) -> Result<(), JsonError> {
        sign_event(self.server_name.as_str(), &self.key_pair, pdu, rules)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("server_name", &self.server_name)
            .field("key_id", &self.key_id())
            .finish_non_exhaustive()
    }
}
