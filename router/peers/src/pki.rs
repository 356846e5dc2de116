//! A cluster's own certificate authority, for development and for small clusters: files in one directory.
//!
//! | file | |
//! |---|---|
//! | `ca.pem` | the authority's certificate: every node is given it |
//! | `ca.key` | its key: whoever has it can make nodes; no node needs it |
//! | `node-1.pem`, `node-1.key` | certificate and key of node 1 |
//!
//! There are no revocation lists. A certificate ends by its date; after a stolen key a new authority is made.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{ClusterId, Error, Identity, NodeId, Tls};

const AUTHORITY_DAYS: u32 = 3650;
const AUTHORITY_NAME: &str = "crosstie cluster ";
/// Clocks that are a little behind take a new certificate too.
const BACKDATED: Duration = Duration::from_secs(3600);

/// Certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    fn named(directory: &Path, name: &str) -> Files {
        Files { certificate: directory.join(format!("{name}.pem")), key: directory.join(format!("{name}.key")) }
    }

    pub fn of_authority(directory: &Path) -> Files {
        Files::named(directory, "ca")
    }

    pub fn of_node(directory: &Path, node: NodeId) -> Files {
        Files::named(directory, &format!("node-{node}"))
    }
}

/// What a node is started with, when its files lie in the authority's directory.
pub fn read(directory: &Path, node: NodeId) -> Result<Tls, Error> {
    let files = Files::of_node(directory, node);
    Tls::read(&Files::of_authority(directory).certificate, &files.certificate, &files.key)
}

/// Makes an authority, in a directory that has none; without an id, for a cluster that is new.
pub fn init(directory: &Path, cluster: Option<ClusterId>) -> Result<(ClusterId, Files), Error> {
    let files = Files::of_authority(directory);
    let cluster = cluster.map_or_else(random, Ok).map_err(|what| Error::certificate(&files.key, what))?;
    let made = |error| Error::certificate(&files.certificate, error);
    let mut parameters = valid_for(AUTHORITY_DAYS);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.distinguished_name.push(DnType::CommonName, format!("{AUTHORITY_NAME}{cluster:032x}"));
    let key = KeyPair::generate().map_err(made)?;
    let certificate = parameters.self_signed(&key).map_err(made)?;
    fs::create_dir_all(directory).map_err(|source| Error::File { file: directory.into(), source })?;
    refuse_existing(&files)?;
    write(&files, &certificate.pem(), &key)?;
    Ok((cluster, files))
}

/// How a node's certificate is issued.
#[derive(Clone, Debug)]
pub struct Request {
    pub node: NodeId,
    /// Host names and addresses; nodes do not look at them, other programs may.
    pub names: Vec<String>,
    pub days: u32,
    /// Replaces a certificate and a key that are there.
    pub renews: bool,
}

/// Makes certificate and key of one node, by the authority in the directory.
pub fn issue(directory: &Path, request: &Request) -> Result<(Identity, Files), Error> {
    if request.node == 0 {
        return Err(Error::NodeId(0));
    }
    let files = Files::of_node(directory, request.node);
    if !request.renews {
        refuse_existing(&files)?;
    }
    let (cluster, issuer) = authority(directory)?;
    let identity = Identity { cluster, node: request.node };
    let made = |error| Error::certificate(&files.certificate, error);
    let mut parameters = valid_for(request.days);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters.distinguished_name.push(DnType::CommonName, format!("crosstie node {}", request.node));
    parameters.subject_alt_names.push(SanType::URI(identity.to_string().try_into().map_err(made)?));
    for name in &request.names {
        parameters.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into().map_err(made)?),
        });
    }
    let key = KeyPair::generate().map_err(made)?;
    let certificate = parameters.signed_by(&key, &issuer).map_err(made)?;
    write(&files, &certificate.pem(), &key)?;
    Ok((identity, files))
}

fn authority(directory: &Path) -> Result<(ClusterId, Issuer<'static, KeyPair>), Error> {
    let files = Files::of_authority(directory);
    let text = |file: &Path| fs::read_to_string(file).map_err(|source| Error::File { file: file.into(), source });
    let (certificate, key) = (text(&files.certificate)?, text(&files.key)?);
    let key = KeyPair::from_pem(&key).map_err(|error| Error::certificate(&files.key, error))?;
    let issuer =
        Issuer::from_ca_cert_pem(&certificate, key).map_err(|error| Error::certificate(&files.certificate, error))?;
    let name = describe(&files.certificate)?.into_iter().find_map(|one| {
        let name = one.subject.strip_prefix("CN=")?.strip_prefix(AUTHORITY_NAME)?.to_string();
        ClusterId::from_str_radix(&name, 16).ok()
    });
    let what = "is no authority that crosstie pki init has made: it names no cluster";
    Ok((name.ok_or_else(|| Error::certificate(&files.certificate, what))?, issuer))
}

fn valid_for(days: u32) -> CertificateParams {
    let now = SystemTime::now();
    let mut parameters = CertificateParams::default();
    parameters.not_before = (now - BACKDATED).into();
    parameters.not_after = (now + Duration::from_secs(24 * 3600) * days).into();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
}

fn random() -> Result<ClusterId, String> {
    let mut bytes = [0; 16];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| "the system gives no random numbers")?;
    Ok(ClusterId::from_le_bytes(bytes))
}

fn refuse_existing(files: &Files) -> Result<(), Error> {
    match [&files.certificate, &files.key].into_iter().find(|file| file.exists()) {
        Some(file) => Err(Error::Exists { file: file.clone() }),
        None => Ok(()),
    }
}

/// Both are written beside their names first, so that there is never half a file.
fn write(files: &Files, certificate: &str, key: &KeyPair) -> Result<(), Error> {
    let parts = [(&files.key, key.serialize_pem(), 0o600), (&files.certificate, certificate.to_string(), 0o644)];
    let beside = |file: &Path| file.with_added_extension("new");
    for (file, text, mode) in &parts {
        write_new(&beside(file), text, *mode).map_err(|source| Error::File { file: beside(file), source })?;
    }
    for (file, ..) in &parts {
        fs::rename(beside(file), file).map_err(|source| Error::File { file: file.to_path_buf(), source })?;
    }
    Ok(())
}

fn write_new(file: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Description {
    pub subject: String,
    pub issuer: String,
    pub is_authority: bool,
    /// The node it speaks for, if it does.
    pub identity: Option<Identity>,
    /// Host names and addresses.
    pub names: Vec<String>,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

/// Reads every certificate of a PEM file.
pub fn describe(file: &Path) -> Result<Vec<Description>, Error> {
    let bytes = fs::read(file).map_err(|source| Error::File { file: file.into(), source })?;
    let read: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let read = read.map_err(|error| Error::certificate(file, error))?;
    if read.is_empty() {
        return Err(Error::certificate(file, "holds no certificate in PEM"));
    }
    read.iter().map(|certificate| description(certificate).map_err(|what| Error::certificate(file, what))).collect()
}

pub(crate) fn description(der: &CertificateDer<'_>) -> Result<Description, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("holds a certificate that cannot be read ({error})");
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| unreadable(&error))?;
    let names = certificate.subject_alternative_name().map_err(|error| unreadable(&error))?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let validity = certificate.validity();
    let moment = |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64);
    Ok(Description {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        is_authority: certificate.is_ca(),
        identity: Identity::of(der).ok(),
        names: names.iter().filter_map(name).collect(),
        not_before: moment(validity.not_before.timestamp()),
        not_after: moment(validity.not_after.timestamp()),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_string()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn request(node: NodeId) -> Request {
        Request { node, names: vec!["north.example".into(), "192.0.2.7".into()], days: 30, renews: false }
    }

    #[test]
    fn what_is_issued_says_who_it_is_for() {
        let directory = tempfile::tempdir().unwrap();
        let (cluster, authority) = init(directory.path(), None).unwrap();
        let (identity, files) = issue(directory.path(), &request(3)).unwrap();
        assert_eq!(identity, Identity { cluster, node: 3 });
        let [node] = &describe(&files.certificate).unwrap()[..] else { panic!("one certificate") };
        assert_eq!(node.identity, Some(identity));
        assert_eq!(node.names, ["north.example", "192.0.2.7"]);
        assert!(!node.is_authority && node.not_before < SystemTime::now());
        let days = node.not_after.duration_since(SystemTime::now()).unwrap().as_secs() / (24 * 3600);
        assert!((29..=30).contains(&days), "{days}");
        let [ca] = &describe(&authority.certificate).unwrap()[..] else { panic!("one certificate") };
        assert!(ca.is_authority && ca.identity.is_none() && ca.subject == node.issuer);
    }

    #[test]
    fn keys_are_for_their_owner_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let (_, authority) = init(directory.path(), Some(5)).unwrap();
        let (_, files) = issue(directory.path(), &request(1)).unwrap();
        for key in [&authority.key, &files.key] {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600, "{}", key.display());
        }
        assert!(matches!(init(directory.path(), Some(6)), Err(Error::Exists { .. })));
        let before = fs::read(&files.key).unwrap();
        assert!(matches!(issue(directory.path(), &request(1)), Err(Error::Exists { .. })));
        assert_eq!(fs::read(&files.key).unwrap(), before);
        issue(directory.path(), &Request { renews: true, ..request(1) }).unwrap();
        assert_ne!(fs::read(&files.key).unwrap(), before);
        assert!(matches!(issue(directory.path(), &request(0)), Err(Error::NodeId(0))));
    }
}
