use super::public::Components;
use super::*;

/// Keys made by OpenSSL for this test alone.
const RSA_PKCS1: &str = include_str!("testdata/rsa-pkcs1.pem");
const RSA_PKCS8: &str = include_str!("testdata/rsa-pkcs8.pem");
const EC_SEC1: &str = include_str!("testdata/ec-sec1.pem");

#[test]
fn every_form_of_private_key_loads() {
    let pkcs1 = PrivateKey::from_pem(RSA_PKCS1.as_bytes()).unwrap();
    let pkcs8 = PrivateKey::from_pem(RSA_PKCS8.as_bytes()).unwrap();
    assert_eq!(pkcs1.public(), pkcs8.public());
    assert_eq!(pkcs1.algorithm(), Algorithm::Rsa);
    let sec1 = PrivateKey::from_pem(EC_SEC1.as_bytes()).unwrap();
    assert_eq!(sec1.algorithm(), Algorithm::EcdsaP256);
    let again = PrivateKey::from_pem(sec1.to_pem().as_bytes()).unwrap();
    assert_eq!(again.public(), sec1.public());
    assert!(matches!(
        PrivateKey::from_pem(b""),
        Err(Error::NoPem("private key"))
    ));
}

#[test]
fn public_keys_come_from_any_kind_of_block() {
    let key = PrivateKey::from_pem(RSA_PKCS1.as_bytes()).unwrap();
    let text = format!("{}{EC_SEC1}{RSA_PKCS8}", key.public().to_pem());
    let keys = PublicKey::from_pem(text.as_bytes()).unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[0], keys[2]);
    assert_eq!(keys[0].key_id().len(), 43);
}

#[test]
fn signatures_verify_with_their_own_key_and_algorithm() {
    let keys = [RSA_PKCS1, EC_SEC1].map(|text| PrivateKey::from_pem(text.as_bytes()).unwrap());
    for key in &keys {
        let signature = key.sign_jws(b"message").unwrap();
        let name = key.algorithm().jws_name();
        key.public().verify_jws(name, b"message", &signature).unwrap();
        assert!(key.public().verify_jws(name, b"other", &signature).is_err());
        assert!(key.public().verify_jws("none", b"message", &signature).is_err());
    }
    let signature = keys[0].sign_jws(b"message").unwrap();
    assert!(
        keys[1]
            .public()
            .verify_jws("RS256", b"message", &signature)
            .is_err()
    );
}

#[test]
fn components_are_those_of_a_web_key() {
    let rsa = PrivateKey::from_pem(RSA_PKCS1.as_bytes()).unwrap();
    let Components::Rsa { modulus, exponent } = rsa.public().components().unwrap() else {
        panic!("not RSA")
    };
    assert_eq!((modulus.len(), exponent), (256, vec![1, 0, 1]));
    let ec = PrivateKey::generate().unwrap();
    let Components::Ec { curve, x, y } = ec.public().components().unwrap() else {
        panic!("not EC")
    };
    assert_eq!((curve, x.len(), y.len()), ("P-256", 32, 32));
}
