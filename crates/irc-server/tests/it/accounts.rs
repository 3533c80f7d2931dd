//! Logging in (IRCv3 sasl-3.1), and over TLS with a certificate.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bridgehead_irc_server::{Dialect, Server};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::script::{Raw, Stage};

#[tokio::test]
async fn a_password_opens_an_account_before_the_welcome() -> Result<()> {
    let mut stage = Stage::new(Dialect::inspircd()).await?;
    stage.server.account("Ann", "secret").await;
    stage.connect("ann").await?;
    let good = STANDARD.encode("\0ann\0secret");
    let bad = STANDARD.encode("\0ann\0guess");
    stage
        .part(&format!(
            "ann> AUTHENTICATE PLAIN
             ann< :irc.test.invalid 904 * :SASL authentication failed
             ann> CAP REQ sasl
             ann< :irc.test.invalid CAP * ACK :sasl
             ann> NICK ann
             ann> USER ann 0 * :Ann
             ann> AUTHENTICATE SCRAM-SHA-256
             ann< :irc.test.invalid 908 ann PLAIN,EXTERNAL :are available SASL mechanisms
             ann< :irc.test.invalid 904 ann :SASL authentication failed
             ann> AUTHENTICATE PLAIN
             ann< AUTHENTICATE +
             ann> AUTHENTICATE {bad}
             ann< :irc.test.invalid 904 ann :SASL authentication failed
             ann> AUTHENTICATE PLAIN
             ann< AUTHENTICATE +
             ann> AUTHENTICATE *
             ann< :irc.test.invalid 906 ann :SASL authentication aborted
             ann> AUTHENTICATE EXTERNAL
             ann< AUTHENTICATE +
             ann> AUTHENTICATE +
             ann< :irc.test.invalid 904 ann :SASL authentication failed
             ann> AUTHENTICATE plain
             ann< AUTHENTICATE +
             ann> AUTHENTICATE {good}
             ann< :irc.test.invalid 900 ann ann!ann@127.0.0.1 Ann :You are now logged in as Ann
             ann< :irc.test.invalid 903 ann :SASL authentication successful
             ann> CAP END
             ann< :irc.test.invalid 001 ann *"
        ))
        .await?;
    let ann = stage.server.whois("ann").await.context("she is there")?;
    assert_eq!(ann.account.as_deref(), Some("Ann"));
    Ok(())
}

#[tokio::test]
async fn long_messages_come_in_pieces() -> Result<()> {
    let password = "x".repeat(300);
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage.server.account("ann", &password).await;
    stage.enter("ann", "sasl").await?;
    let message = STANDARD.encode(format!("\0ann\0{password}"));
    let (first, second) = message.split_at(400);
    stage
        .play(&format!(
            "ann> AUTHENTICATE PLAIN
             ann< AUTHENTICATE +
             ann> AUTHENTICATE {first}
             ann> AUTHENTICATE {second}
             ann< * 900 ann * ann :You are now logged in as ann
             ann< * 903 *
             ann> AUTHENTICATE PLAIN
             ann< AUTHENTICATE +
             ann> AUTHENTICATE {}
             ann< * 905 *",
            "y".repeat(401)
        ))
        .await
}

#[tokio::test]
async fn scram_is_refused_to_who_cannot_prove_a_password() -> Result<()> {
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage.server.account("ann", "secret").await;
    stage.enter("ann", "sasl").await?;
    let first = STANDARD.encode("n,,n=ann,r=abc");
    let last = STANDARD.encode("c=biws,r=abcserver1,p=AAAA");
    stage
        .play(&format!(
            "ann> AUTHENTICATE SCRAM-SHA-256
             ann< AUTHENTICATE +
             ann> AUTHENTICATE {first}
             ann< AUTHENTICATE *
             ann> AUTHENTICATE {last}
             ann< * 904 *
             ann> AUTHENTICATE SCRAM-SHA-256
             ann< AUTHENTICATE +
             ann> AUTHENTICATE !
             ann< * 904 *"
        ))
        .await
}

#[tokio::test]
async fn a_certificate_opens_an_account() -> Result<()> {
    let key = generate_simple_self_signed(["localhost".to_owned()])?;
    let mut dialect = Dialect::inspircd();
    dialect.tls = Some(Arc::new(server_config(&key)?));
    let server = Server::start(dialect).await?;
    let fingerprint: String = Sha256::digest(key.cert.der())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    server.certificate("ann", &fingerprint).await;

    let address = server.tls_address().context("it listens with TLS")?;
    let stream = TcpStream::connect(address).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client_config(&key)?));
    let name = ServerName::try_from("localhost")?;
    let mut stream = connector.connect(name, stream).await?;
    let said = "CAP REQ sasl\r\nNICK ann\r\nUSER ann 0 * :Ann\r\nAUTHENTICATE EXTERNAL\r\nAUTHENTICATE +\r\nCAP END\r\nWHOIS ann\r\nQUIT\r\n";
    stream.write_all(said.as_bytes()).await?;
    let mut heard = String::new();
    // A server that closes without the alert of TLS is as good.
    stream.read_to_string(&mut heard).await.ok();
    for line in [
        " 900 ann ann!ann@127.0.0.1 ann :You are now logged in as ann\r\n",
        " 903 ann :",
        " 671 ann ann :is using a secure connection\r\n",
        &format!(" 276 ann ann :has client certificate fingerprint {fingerprint}\r\n"),
        "ERROR :Closing link",
    ] {
        assert!(heard.contains(line), "{line}: {heard}");
    }
    Ok(())
}

fn server_config(key: &CertifiedKey<rcgen::KeyPair>) -> Result<ServerConfig> {
    let private =
        PrivateKeyDer::try_from(key.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(Anyone(ring::default_provider())))
        .with_single_cert(vec![key.cert.der().clone()], private)?;
    Ok(config)
}

fn client_config(key: &CertifiedKey<rcgen::KeyPair>) -> Result<ClientConfig> {
    let private =
        PrivateKeyDer::try_from(key.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(ring::default_provider())))
        .with_client_auth_cert(vec![key.cert.der().clone()], private)?;
    Ok(config)
}

/// Takes any certificate, as IRC servers do: who it is of, accounts know.
#[derive(Debug)]
struct Anyone(CryptoProvider);

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ClientCertVerifier::verify_tls12_signature(self, message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ClientCertVerifier::verify_tls13_signature(self, message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ClientCertVerifier::supported_verify_schemes(self)
    }
}

#[tokio::test]
async fn who_has_not_logged_in_is_not_let_in_where_that_is_wanted() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.wants_account = true;
    let stage = Stage::new(dialect).await?;
    let mut ann = Raw::connect(stage.server.address()).await?;
    ann.send("NICK ann").await?;
    ann.send("USER ann 0 * :Ann").await?;
    ann.next_matching("ERROR *SASL access only*").await?;
    ann.is_closed().await?;
    Ok(())
}
