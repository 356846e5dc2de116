//! How connections are encrypted and who may be at their ends: TLS 1.3, certificates of the cluster's authority on both
//! sides, one node in each certificate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, OtherError, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::config::{Config, Pem};
use crate::{Error, Identity, NodeId, pki};

const WARNED_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What this node shows and whom it believes.
pub(crate) struct Trust {
    pub(crate) identity: Identity,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    key_file: PathBuf,
}

impl Trust {
    /// Reads and checks what a node starts with, so that a wrong file is told here and not by every peer.
    pub(crate) fn new(config: &Config) -> Result<Trust, Error> {
        let identity = Identity { cluster: config.cluster, node: config.node };
        let tls = &config.tls;
        let chain = certificates(&tls.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&tls.key.bytes)
            .map_err(|error| Error::certificate(&tls.key.file, format!("holds no private key in PEM ({error})")))?;
        let trust = Trust {
            identity,
            roots: Arc::new(roots(&tls.ca)?),
            provider: Arc::new(aws_lc_rs::default_provider()),
            chain,
            key,
            key_file: tls.key.file.clone(),
        };
        trust.check_own(&tls.certificate.file)?;
        Ok(trust)
    }

    fn check_own(&self, file: &Path) -> Result<(), Error> {
        let found = Identity::of(&self.chain[0]).map_err(|what| Error::certificate(file, what))?;
        if found != self.identity {
            let (found, expected) = (found.to_string(), self.identity.to_string());
            return Err(Error::OtherNode { file: file.into(), found, expected });
        }
        warn_of_end(&self.chain[0], file);
        let mine = NodeVerifier::new(self, self.identity.node);
        mine.check(&self.chain[0], &self.chain[1..], UnixTime::now()).map_err(|error| {
            let what = match error {
                TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                    "was not issued by the authority that is configured".into()
                }
                TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                    "has expired: crosstie pki issue --renew; or is the clock wrong?".into()
                }
                other => other.to_string(),
            };
            Error::certificate(file, what)
        })
    }

    /// For what this node accepts: every node of the cluster's authority; which one the hello tells.
    pub(crate) fn accepting(&self) -> Result<Arc<ServerConfig>, Error> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::certificate(&self.key_file, error))?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .and_then(|builder| {
                builder.with_client_cert_verifier(verifier).with_single_cert(self.chain.clone(), self.key.clone_key())
            })
            .map_err(|error| self.key_error(&error))?;
        // Every connection proves itself anew.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    /// For dialling one node, and nobody else at its address.
    pub(crate) fn dialling(&self, node: NodeId) -> Result<Arc<ClientConfig>, Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .and_then(|builder| {
                builder
                    .dangerous() // it checks more than the verifier that comes along: the very node
                    .with_custom_certificate_verifier(Arc::new(NodeVerifier::new(self, node)))
                    .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            })
            .map_err(|error| self.key_error(&error))?;
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(Arc::new(config))
    }

    fn key_error(&self, error: &TlsError) -> Error {
        let what = match error {
            TlsError::InconsistentKeys(_) => "is not the key of the certificate".into(),
            other => other.to_string(),
        };
        Error::certificate(&self.key_file, what)
    }
}

/// A certificate that ends takes the node out of the cluster, at the next connection.
fn warn_of_end(certificate: &CertificateDer<'_>, file: &Path) {
    let left = pki::description(certificate).map(|one| one.not_after.duration_since(SystemTime::now()));
    if let Ok(Ok(left)) = left
        && left < WARNED_BEFORE
    {
        let hours = left.as_secs() / 3600;
        tracing::warn!(
            event = "certificate_ends",
            file = %file.display(),
            hours,
            "crosstie pki issue --renew, then start the node again"
        );
    }
}

/// TLS wants a name to dial; the certificate is checked for the node instead.
pub(crate) fn dialled_name() -> ServerName<'static> {
    ServerName::try_from("node").expect("a valid name")
}

/// Whom the first certificate of a file speaks for.
pub(crate) fn identity(pem: &Pem) -> Result<Identity, Error> {
    let chain = certificates(pem)?;
    let own = chain.first().ok_or_else(|| Error::certificate(&pem.file, "it holds no certificate"))?;
    Identity::of(own).map_err(|what| Error::certificate(&pem.file, what))
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.bytes).collect();
    let read = read.map_err(|error| Error::certificate(&pem.file, error))?;
    if read.is_empty() {
        return Err(Error::certificate(&pem.file, "holds no certificate in PEM"));
    }
    Ok(read)
}

fn roots(pem: &Pem) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| Error::certificate(&pem.file, error))?;
    }
    Ok(roots)
}

/// Takes the certificate of one node: issued by the cluster's authority, valid now, with that node's name.
struct NodeVerifier {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    expected: Identity,
}

impl NodeVerifier {
    fn new(trust: &Trust, node: NodeId) -> NodeVerifier {
        let expected = Identity { node, ..trust.identity };
        NodeVerifier { roots: Arc::clone(&trust.roots), provider: Arc::clone(&trust.provider), expected }
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        let refuse = |what| TlsError::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Stranger(what)))));
        let found = Identity::of(certificate).map_err(refuse)?;
        if found == self.expected {
            return Ok(());
        }
        let expected = self.expected;
        Err(refuse(format!(
            "at this address is {found}, wanted is {expected}: correct the address of node {}",
            expected.node
        )))
    }
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.check(certificate, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("TLS 1.2 is not spoken between nodes".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for NodeVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodeVerifier({})", self.expected)
    }
}

/// A certificate of somebody else, in words.
#[derive(Debug)]
struct Stranger(String);

impl fmt::Display for Stranger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Stranger {}
