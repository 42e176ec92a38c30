use super::*;
use crate::chain::{Purpose, Roots};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn authority() -> Authority {
    Authority::self_signed(
        "kubernetes",
        at("2026-01-01T00:00:00Z"),
        at("2036-01-01T00:00:00Z"),
    )
    .unwrap()
}

fn template(usages: &[Usage]) -> Template {
    let mut alt_names = AltNames::default();
    alt_names.push("node-1");
    alt_names.push("10.0.0.1");
    Template {
        subject: Subject::new("alice", &["ops", "dev"]),
        alt_names,
        usages: usages.to_vec(),
        not_before: at("2026-02-01T00:00:00Z"),
        not_after: at("2027-02-01T00:00:00Z"),
    }
}

#[test]
fn a_certificate_says_what_its_template_said() {
    let (authority, key) = (authority(), PrivateKey::generate().unwrap());
    let usages = [
        Usage::DigitalSignature,
        Usage::KeyEncipherment,
        Usage::ServerAuth,
        Usage::ClientAuth,
    ];
    let template = template(&usages);
    let certificate = authority.issue(&template, key.public()).unwrap();
    assert_eq!(certificate.subject.common_name, "alice");
    let mut organizations = certificate.subject.organizations.clone();
    organizations.sort();
    assert_eq!(organizations, ["dev", "ops"]);
    assert_eq!(certificate.alt_names, template.alt_names);
    assert_eq!(certificate.usages, usages);
    assert_eq!(
        (certificate.not_before, certificate.not_after),
        (template.not_before, template.not_after)
    );
    assert!(!certificate.is_authority && authority.certificate().is_authority);
    assert_eq!(&certificate.public_key().unwrap(), key.public());
}

#[test]
fn chains_hold_for_their_purpose_time_and_authority_only() {
    let (authority, key) = (authority(), PrivateKey::generate().unwrap());
    let roots = Roots::new(&[authority.certificate().der.clone()]).unwrap();
    let client = authority
        .issue(
            &template(&[Usage::DigitalSignature, Usage::ClientAuth]),
            key.public(),
        )
        .unwrap();
    let chain = [client.der.clone()];
    let now = at("2026-06-01T00:00:00Z");
    roots.verify(&chain, Purpose::Client, now).unwrap();
    assert!(roots.verify(&chain, Purpose::Server, now).is_err());
    assert!(
        roots
            .verify(&chain, Purpose::Client, at("2028-01-01T00:00:00Z"))
            .is_err()
    );
    assert!(
        roots
            .verify(&chain, Purpose::Client, at("2026-01-15T00:00:00Z"))
            .is_err()
    );
    assert!(roots.verify(&[], Purpose::Client, now).is_err());
    let other = self::authority();
    let stranger = Roots::new(&[other.certificate().der.clone()]).unwrap();
    assert!(stranger.verify(&chain, Purpose::Client, now).is_err());
}

#[test]
fn a_certificate_does_not_outlive_its_authority() {
    let (authority, key) = (authority(), PrivateKey::generate().unwrap());
    let mut template = template(&[Usage::ClientAuth]);
    template.not_after = at("2060-01-01T00:00:00Z");
    assert_eq!(
        authority.issue(&template, key.public()).unwrap().not_after,
        authority.certificate().not_after
    );
    template.not_before = at("2040-01-01T00:00:00Z");
    assert!(matches!(
        authority.issue(&template, key.public()),
        Err(Error::Invalid(_))
    ));
}

#[test]
fn an_authority_needs_its_own_key_and_the_right_to_sign() {
    let authority = authority();
    let other = PrivateKey::generate().unwrap();
    let leaf = authority
        .issue(&template(&[Usage::ClientAuth]), other.public())
        .unwrap();
    assert!(matches!(
        Authority::new(authority.certificate().clone(), PrivateKey::generate().unwrap()),
        Err(Error::KeyMismatch)
    ));
    assert!(matches!(Authority::new(leaf, other), Err(Error::NotAnAuthority(name)) if name == "alice"));
}

#[test]
fn authorities_of_other_tools_sign_as_well() {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let certificate = Certificate::from_pem(certificate.pem().as_bytes())
        .unwrap()
        .remove(0);
    let authority = Authority::new(
        certificate,
        PrivateKey::from_pem(key.serialize_pem().as_bytes()).unwrap(),
    )
    .unwrap();
    let leaf = authority
        .issue(
            &template(&[Usage::ServerAuth]),
            PrivateKey::generate().unwrap().public(),
        )
        .unwrap();
    let roots = Roots::new(&[authority.certificate().der.clone()]).unwrap();
    roots
        .verify(&[leaf.der], Purpose::Server, at("2026-06-01T00:00:00Z"))
        .unwrap();
}
