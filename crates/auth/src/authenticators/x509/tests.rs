use std::time::Duration;

use component_base::clock::FakeClock;
use http::HeaderMap;
use jiff::Timestamp;
use pki::certificate::{AltNames, Subject};
use pki::{Authority, PrivateKey, Template, Usage};
use rustls_pki_types::CertificateDer;

use super::*;

fn authority() -> Authority {
    Authority::self_signed(
        "ca",
        Timestamp::UNIX_EPOCH,
        Timestamp::from_second(4_000_000_000).unwrap(),
    )
    .unwrap()
}

fn leaf(authority: &Authority, subject: Subject, usage: Usage) -> CertificateDer<'static> {
    let template = Template {
        subject,
        alt_names: AltNames::default(),
        usages: vec![usage],
        not_before: Timestamp::UNIX_EPOCH,
        not_after: Timestamp::from_second(1000).unwrap(),
    };
    authority
        .issue(&template, PrivateKey::generate().unwrap().public())
        .unwrap()
        .der
}

async fn authenticate(x509: &X509, chain: &[CertificateDer<'static>]) -> String {
    let credentials = Credentials {
        headers: &HeaderMap::new(),
        certificates: chain,
        path: "/",
    };
    match x509.authenticate(credentials).await {
        Ok(Some(user)) => format!("{} {}", user.name, user.groups.join(",")),
        Ok(None) => "nobody".to_owned(),
        Err(_) => "refused".to_owned(),
    }
}

#[tokio::test]
async fn only_valid_client_certificates_name_a_user() {
    let (ours, other) = (authority(), authority());
    let trust = Trust::new(&[ours.certificate().der.clone()]).unwrap();
    let clock = FakeClock::new(Timestamp::from_second(10).unwrap());
    let x509 = X509::new(trust.clone(), clock.clone(), &Registry::new());
    let ada = leaf(&ours, Subject::new("ada", &["dev", "ops"]), Usage::ClientAuth);
    assert_eq!(authenticate(&x509, &[]).await, "nobody");
    assert_eq!(
        authenticate(&x509, std::slice::from_ref(&ada)).await,
        "ada dev,ops"
    );
    assert_eq!(
        authenticate(&x509, std::slice::from_ref(&ada)).await,
        "ada dev,ops"
    );
    let nameless = leaf(&ours, Subject::new("", &["dev"]), Usage::ClientAuth);
    assert_eq!(authenticate(&x509, &[nameless]).await, "nobody");
    let server = leaf(&ours, Subject::new("web", &[]), Usage::ServerAuth);
    assert_eq!(authenticate(&x509, &[server]).await, "refused");
    let foreign = leaf(
        &other,
        Subject::new("eve", &["system:masters"]),
        Usage::ClientAuth,
    );
    assert_eq!(
        authenticate(&x509, std::slice::from_ref(&foreign)).await,
        "refused"
    );

    clock.advance(Duration::from_secs(2000));
    assert_eq!(
        authenticate(&x509, std::slice::from_ref(&ada)).await,
        "refused",
        "remembered past its end"
    );
    trust.replace(&[other.certificate().der.clone()]).unwrap();
    assert_eq!(
        authenticate(&x509, &[ada]).await,
        "refused",
        "remembered past its authority"
    );
}
