use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::PublicKey;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn claims() -> Claims {
    let account = Reference {
        name: "web".into(),
        uid: "u1".into(),
    };
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut claims = Claims::new("ns", account, vec!["api".into()], now, Duration::from_secs(3600));
    claims.pod = Some(Reference {
        name: "web-1".into(),
        uid: "u2".into(),
    });
    claims.warn_after = Some(Timestamp::from_second(1_800_003_607).unwrap());
    claims
}

fn signer() -> Signer {
    Signer::new(PrivateKey::generate().unwrap(), ISSUER)
}

fn verifier(signers: &[&Signer]) -> Verifier {
    let keys = signers
        .iter()
        .map(|signer| signer.key().public().clone())
        .collect();
    Verifier::new(keys, vec![ISSUER.to_owned(), claims::LEGACY_ISSUER.to_owned()])
}

#[test]
fn claims_come_back_from_a_token() {
    let (old, new) = (signer(), signer());
    let token = new.sign(&claims()).unwrap();
    let verified = verifier(&[&old, &new]).verify(&token).unwrap().unwrap();
    let read = Claims::from_json(&verified.claims).unwrap();
    assert_eq!(
        Claims {
            id: String::new(),
            ..read
        },
        Claims {
            id: String::new(),
            ..claims()
        }
    );
    assert_eq!(verified.claims["sub"], "system:serviceaccount:ns:web");
    assert_eq!(verified.claims["kubernetes.io"]["pod"]["uid"], "u2");
    assert!(LegacyClaims::from_json(&verified.claims).is_none());
}

#[test]
fn legacy_claims_come_back_as_well() {
    let signer = signer();
    let account = Reference {
        name: "web".into(),
        uid: "u1".into(),
    };
    let claims = LegacyClaims {
        namespace: "ns".into(),
        service_account: account,
        secret: "web-token".into(),
    };
    let token = signer.sign_legacy(&claims).unwrap();
    let verified = verifier(&[&signer]).verify(&token).unwrap().unwrap();
    assert_eq!(verified.issuer, claims::LEGACY_ISSUER);
    assert_eq!(LegacyClaims::from_json(&verified.claims), Some(claims));
}

#[test]
fn tokens_of_others_are_none_of_ours_and_forged_ones_are_refused() {
    let (ours, stranger) = (signer(), signer());
    let verifier = verifier(&[&ours]);
    assert_eq!(verifier.verify("abcdef.0123456789abcdef"), Ok(None));
    let elsewhere = Signer::new(PrivateKey::generate().unwrap(), "https://elsewhere")
        .sign(&claims())
        .unwrap();
    assert_eq!(verifier.verify(&elsewhere), Ok(None));
    let forged = stranger.sign(&claims()).unwrap();
    assert_eq!(verifier.verify(&forged), Err(Refusal::Signature));
    let token = ours.sign(&claims()).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1;
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    assert_eq!(
        verifier.verify(&format!("{none}.{payload}.")),
        Err(Refusal::Signature)
    );
    assert_eq!(
        verifier.verify(&format!("{none}.{payload}.{signature}")),
        Err(Refusal::Signature)
    );
    assert_eq!(
        verifier.verify(&format!("{message}.***")),
        Err(Refusal::Malformed)
    );
}

#[test]
fn a_subject_that_contradicts_the_account_is_not_accepted() {
    let mut json = claims().to_json(ISSUER);
    json["sub"] = "system:serviceaccount:kube-system:admin".into();
    assert_eq!(Claims::from_json(json.as_object().unwrap()), None);
}

#[test]
fn discovery_names_every_key() {
    let keys: Vec<PublicKey> = [signer(), signer()]
        .iter()
        .map(|signer| signer.key().public().clone())
        .collect();
    let document = discovery::keys(&keys).unwrap();
    assert_eq!(document["keys"].as_array().unwrap().len(), 2);
    assert_eq!(document["keys"][0]["kid"], keys[0].key_id());
    let configuration = discovery::configuration(ISSUER, "https://10.0.0.1:6443/openid/v1/jwks", &keys);
    assert_eq!(
        configuration["id_token_signing_alg_values_supported"],
        json!(["ES256"])
    );
}
