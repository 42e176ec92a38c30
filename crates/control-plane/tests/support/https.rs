//! An HTTPS server in this process, on a free port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use component_base::serving::{self, Handler, Options};
use component_base::shutdown::Shutdown;
use component_base::tls::{ClientCertificates, MinVersion, in_memory, server_config};
use jiff::Timestamp;
use pki::{AltNames, Authority, PrivateKey, Subject, Template, Usage};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;

/// Ends when it is dropped.
pub struct Https {
    pub address: SocketAddr,
    /// PEM in base64, as objects of the API have it.
    pub ca_bundle: String,
    shutdown: Shutdown,
}

impl Drop for Https {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Https {
    /// Serves with a certificate for these names.
    pub async fn start(names: &[&str], handler: Arc<dyn Handler>) -> Https {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (authority, tls) = certificates(names);
        let shutdown = Shutdown::new();
        let serving = serving::Server::new(Options::default());
        tokio::spawn(serving.serve(listener, Some(tls), handler, shutdown.clone()));
        Https {
            address,
            ca_bundle: base64::Engine::encode(&base64::engine::general_purpose::STANDARD, authority),
            shutdown,
        }
    }
}

fn certificates(names: &[&str]) -> (String, Arc<rustls::ServerConfig>) {
    let now = Timestamp::now();
    let (not_before, not_after) = (now - Duration::from_secs(60), now + Duration::from_secs(3600));
    let authority = Authority::self_signed("hooks", not_before, not_after).expect("an authority");
    let key = PrivateKey::generate().expect("a key");
    let mut alt_names = AltNames::default();
    names.iter().for_each(|name| alt_names.push(name));
    let template = Template {
        subject: Subject::new("hook", &[]),
        alt_names,
        usages: vec![Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ServerAuth],
        not_before,
        not_after,
    };
    let certificate = authority.issue(&template, key.public()).expect("a certificate");
    let chain = vec![CertificateDer::from_pem_slice(certificate.to_pem().as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(key.to_pem().as_bytes()).expect("PEM");
    let resolver = in_memory(chain, key).expect("a pair");
    let config =
        server_config(resolver, ClientCertificates::None, MinVersion::Tls12).expect("a configuration");
    (authority.certificate().to_pem(), config)
}
