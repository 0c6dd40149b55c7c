//! The certificates that servers may show, for every connection of the program.

use ureq::tls::{Certificate, RootCerts};

/// The hint for a server whose certificate no trusted authority signed.
pub const UNTRUSTED_HINT: &str = "where your institution looks into connections, set SSL_CERT_FILE to the \
     PEM file of its certificate authority (or SSL_CERT_DIR to a directory of such), as REQUESTS_CA_BUNDLE \
     names it for Python";

/// The hint for [`NoCertificates`].
pub const NO_CERTIFICATES_HINT: &str = "set it to a PEM file, or unset it";

/// `SSL_CERT_FILE` or `SSL_CERT_DIR` does not name a certificate that can be trusted.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{variable} gives no certificate to trust: {reason}")]
pub struct NoCertificates {
    /// The variable.
    pub variable: &'static str,
    /// The problem.
    pub reason: String,
}

/// Returns the trusted certificates: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` if one is set, else those
/// of the system, else Mozilla's, which are part of the program.
///
/// # Errors
///
/// [`NoCertificates`] if a variable is set but gives no certificate.
pub fn trusted_certificates() -> Result<RootCerts, NoCertificates> {
    let found = rustls_native_certs::load_native_certs();
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| std::env::var_os(name).is_some());
    let certificates: Vec<_> = found.certs.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
    match (certificates.is_empty(), named) {
        (false, _) => Ok(RootCerts::new_with_certs(&certificates)),
        (true, Some(variable)) => {
            let reason = found.errors.first().map(ToString::to_string);
            let reason = reason.unwrap_or_else(|| "no certificate in it".to_owned());
            Err(NoCertificates { variable, reason })
        }
        (true, None) => Ok(RootCerts::WebPki),
    }
}

/// Returns what the handshake reported about the server's certificate; None if the request failed for
/// another reason.
#[must_use]
pub fn untrusted(error: &ureq::Error) -> Option<String> {
    // The transport passes the errors of the handshake on as text.
    Some(error.to_string()).filter(|text| text.contains("certificate"))
}
