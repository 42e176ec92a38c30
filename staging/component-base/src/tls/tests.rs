use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::{
    CertificateFiles, ClientCertificates, Error, MinVersion, Reloading, certificates, provider, server_config,
};
use crate::serving::{Peer, Request, Server, body};
use crate::shutdown::Shutdown;

fn write_pair(
    folder: &std::path::Path,
    name: &str,
) -> (CertificateFiles, rcgen::CertifiedKey<rcgen::KeyPair>) {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), name.to_owned()]).unwrap();
    let files = CertificateFiles {
        certificate: folder.join("tls.crt"),
        key: folder.join("tls.key"),
    };
    std::fs::write(&files.certificate, pair.cert.pem()).unwrap();
    std::fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
    (files, pair)
}

#[test]
fn a_new_pair_is_taken_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (files, first) = write_pair(folder.path(), "first");
    let reloading = Reloading::new(files.clone()).unwrap();
    assert!(!reloading.reload().unwrap());
    std::fs::write(&files.certificate, "not a certificate").unwrap();
    assert!(matches!(
        reloading.reload().unwrap_err(),
        Error::Empty {
            what: "certificate",
            ..
        }
    ));
    assert_eq!(reloading.current().cert[0].as_ref(), first.cert.der().as_ref());
    let (_, second) = write_pair(folder.path(), "second, longer");
    assert!(reloading.reload().unwrap());
    assert_eq!(reloading.current().cert[0].as_ref(), second.cert.der().as_ref());
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = write_pair(folder.path(), "a");
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&files.key, other.serialize_pem()).unwrap();
    assert!(matches!(files.load().unwrap_err(), Error::Pair { .. }));
}

/// Any client certificate passes the handshake and reaches the handler; none does as well.
#[tokio::test]
async fn the_handler_sees_whatever_certificate_came() {
    let folder = tempfile::tempdir().unwrap();
    let (files, pair) = write_pair(folder.path(), "server");
    let config = server_config(
        Reloading::new(files).unwrap(),
        ClientCertificates::Request,
        MinVersion::Tls12,
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let handler = |request: Request| async move {
        let peer = request.extensions().get::<Peer>().unwrap();
        body::text(
            http::StatusCode::OK,
            format!("certificates {}", peer.certificates.len()),
        )
    };
    let server =
        tokio::spawn(Server::default().serve(listener, Some(config), Arc::new(handler), shutdown.clone()));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let builder = || {
        let builder = rustls::ClientConfig::builder_with_provider(provider());
        builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
    };
    let stranger = rcgen::generate_simple_self_signed(vec!["stranger".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(stranger.signing_key.serialize_der()).unwrap();
    let with = builder()
        .with_client_auth_cert(vec![stranger.cert.der().clone()], key)
        .unwrap();
    for (config, expected) in [
        (builder().with_no_client_auth(), "certificates 0"),
        (with, "certificates 1"),
    ] {
        let stream = TcpStream::connect(addr).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .unwrap();
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(expected), "{answer}");
    }
    shutdown.trigger();
    server.await.unwrap();
}

#[test]
fn files_that_are_missing_are_named() {
    let error = certificates("/nonexistent/ca.crt".as_ref()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nonexistent/ca.crt");
    assert!(matches!(
        MinVersion::parse("VersionTLS14"),
        Err(Error::Version(_))
    ));
}
