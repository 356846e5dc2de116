//! Errors of a connection in words that say what to do. "It" is the other side.

use std::io::{self, ErrorKind};

use rustls::{AlertDescription, CertificateError, Error};

const STRANGER: &str =
    "a participant or another program at the port between nodes? Participants connect to listen.address";

pub(crate) fn explain(error: &io::Error) -> String {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return explain_tls(tls);
    }
    match error.kind() {
        ErrorKind::TimedOut => "it did not answer in time".into(),
        ErrorKind::UnexpectedEof => "it closed the connection".into(),
        ErrorKind::ConnectionRefused => "nobody listens there; is the node running, and its address right?".into(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            "the connection broke".into()
        }
        _ => error.to_string(),
    }
}

fn explain_tls(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::NoCertificatesPresented => format!("it showed no certificate, as every node does: {STRANGER}"),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            format!("what it sent is not the TLS of a node: {STRANGER}")
        }
        Error::PeerIncompatible(_) => format!("it does not speak TLS 1.3 as every node does: {STRANGER}"),
        Error::AlertReceived(alert) => refused(*alert),
        Error::DecryptError => "bytes were lost or changed on the way".into(),
        other => other.to_string(),
    }
}

/// Its certificate does not stand.
fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: crosstie pki issue --renew; or is a clock wrong?".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: compare the clocks of both machines".into()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not from this cluster's authority: a node of another cluster? Else crosstie pki issue makes it one"
                .into()
        }
        CertificateError::Other(other) => other.0.to_string(),
        other => format!("its certificate does not stand ({other}): crosstie pki issue --renew makes a new one"),
    }
}

/// It does not take our certificate.
fn refused(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it does not know the authority of this node's certificate: are they of two clusters?".into()
        }
        AlertDescription::CertificateExpired => {
            "it says this node's certificate has expired or is not valid yet: crosstie pki issue --renew; or is a clock wrong?".into()
        }
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not take this node's certificate; its log says why".into()
        }
        AlertDescription::CertificateRequired => "it asks for a certificate and got none".into(),
        other => format!("it refused the connection ({other:?}); its log says why"),
    }
}
