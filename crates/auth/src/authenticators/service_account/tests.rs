use std::time::Duration;

use api::core::v1::Pod;
use api::meta::v1::ObjectMeta;
use apimachinery::time::Time;
use component_base::clock::FakeClock;
use pki::PrivateKey;
use pki::token::{Reference, Signer};

use super::*;
use crate::objects::MemoryObjects;

const ISSUER: &str = "https://kubernetes.default.svc";

struct Fixture {
    objects: Arc<MemoryObjects>,
    clock: Arc<FakeClock>,
    signer: Signer,
    authenticator: ServiceAccountTokens,
}

fn meta(name: &str, uid: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: "ns".into(),
        name: name.into(),
        uid: uid.into(),
        ..ObjectMeta::default()
    }
}

fn reference(name: &str, uid: &str) -> Reference {
    Reference {
        name: name.into(),
        uid: uid.into(),
    }
}

fn fixture() -> Fixture {
    let objects = Arc::new(MemoryObjects::new());
    objects.insert(ServiceAccount {
        metadata: meta("web", "u1"),
        ..ServiceAccount::default()
    });
    objects.insert(Pod {
        metadata: meta("web-1", "u2"),
        ..Pod::default()
    });
    let clock = FakeClock::new(Timestamp::from_second(1_800_000_000).unwrap());
    let signer = Signer::new(PrivateKey::generate().unwrap(), ISSUER);
    let issuers = vec![ISSUER.to_owned(), pki::token::claims::LEGACY_ISSUER.to_owned()];
    let verifier = Verifier::new(vec![signer.key().public().clone()], issuers);
    let authenticator = ServiceAccountTokens::new(
        verifier,
        objects.clone(),
        vec!["api".into()],
        clock.clone(),
        &Registry::new(),
    );
    Fixture {
        objects,
        clock,
        signer,
        authenticator,
    }
}

impl Fixture {
    fn claims(&self) -> Claims {
        let lifetime = Duration::from_secs(3600);
        let mut claims = Claims::new(
            "ns",
            reference("web", "u1"),
            vec!["api".into()],
            self.clock.now(),
            lifetime,
        );
        claims.id = "id".into();
        claims.pod = Some(reference("web-1", "u2"));
        claims.node = Some(reference("node-1", "u3"));
        claims
    }

    async fn check(&self, token: &str, audiences: &[&str], expected: &str) {
        let audiences: Vec<String> = audiences.iter().map(|audience| (*audience).to_owned()).collect();
        let told = match self.authenticator.authenticate_token(token, &audiences).await {
            Ok(Some(identity)) => format!("{} {:?}", identity.user.name, identity.audiences),
            Ok(None) => "unknown".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn a_token_lives_with_its_objects() {
    let fixture = fixture();
    let token = fixture.signer.sign(&fixture.claims()).unwrap();
    fixture
        .check(&token, &[], r#"system:serviceaccount:ns:web ["api"]"#)
        .await;
    let pod = |uid: &str, deleted: Option<i64>| {
        let mut metadata = meta("web-1", uid);
        metadata.deletion_timestamp =
            deleted.map(|at| Time(Timestamp::from_second(1_800_000_000 + at).unwrap()));
        fixture.objects.insert(Pod {
            metadata,
            ..Pod::default()
        });
    };
    pod("u2", Some(-30));
    fixture
        .check(&token, &[], r#"system:serviceaccount:ns:web ["api"]"#)
        .await;
    pod("u2", Some(-90));
    fixture
        .check(
            &token,
            &[],
            "invalid bearer token: service account token has been invalidated",
        )
        .await;
    pod("other", None);
    let expected = "invalid bearer token: pod UID (other) does not match service account pod ref claim (u2)";
    fixture.check(&token, &[], expected).await;
    fixture.objects.remove::<Pod>("ns", "web-1");
    fixture
        .check(
            &token,
            &[],
            "invalid bearer token: service account token has been invalidated",
        )
        .await;
    fixture.objects.remove::<ServiceAccount>("ns", "web");
    fixture
        .check(
            &token,
            &[],
            r#"invalid bearer token: serviceaccounts "web" not found"#,
        )
        .await;
}

#[tokio::test]
async fn a_token_has_its_time_and_audience() {
    let fixture = fixture();
    let token = fixture.signer.sign(&fixture.claims()).unwrap();
    let expected =
        r#"invalid bearer token: token audiences ["api"] is invalid for the target audiences ["vault"]"#;
    fixture.check(&token, &["vault"], expected).await;
    fixture
        .check(
            &token,
            &["vault", "api"],
            r#"system:serviceaccount:ns:web ["api"]"#,
        )
        .await;
    fixture.clock.advance(Duration::from_secs(3650));
    fixture
        .check(&token, &[], r#"system:serviceaccount:ns:web ["api"]"#)
        .await;
    fixture.clock.advance(Duration::from_secs(20));
    fixture
        .check(
            &token,
            &[],
            "invalid bearer token: service account token has expired",
        )
        .await;
}

#[tokio::test]
async fn keys_can_be_replaced() {
    let fixture = fixture();
    let token = fixture.signer.sign(&fixture.claims()).unwrap();
    fixture
        .check(&token, &[], r#"system:serviceaccount:ns:web ["api"]"#)
        .await;
    let other = PrivateKey::generate().unwrap().public().clone();
    fixture
        .authenticator
        .replace(Verifier::new(vec![other], vec![ISSUER.to_owned()]));
    fixture
        .check(&token, &[], "invalid bearer token: [invalid signature]")
        .await;
    fixture.check("not.a.token", &[], "unknown").await;
}

#[tokio::test]
async fn the_token_tells_where_it_is_used() {
    let fixture = fixture();
    let token = fixture.signer.sign(&fixture.claims()).unwrap();
    let identity = fixture
        .authenticator
        .authenticate_token(&token, &[])
        .await
        .unwrap()
        .unwrap();
    let extra: Vec<String> = identity
        .user
        .extra
        .iter()
        .map(|(key, values)| format!("{key}={}", values.join(",")))
        .collect();
    assert_eq!(
        extra,
        [
            "authentication.kubernetes.io/credential-id=JTI=id",
            "authentication.kubernetes.io/node-name=node-1",
            "authentication.kubernetes.io/node-uid=u3",
            "authentication.kubernetes.io/pod-name=web-1",
            "authentication.kubernetes.io/pod-uid=u2",
        ]
    );
    assert_eq!(identity.user.uid, "u1");
}

#[tokio::test]
async fn a_legacy_token_lives_with_its_secret() {
    let fixture = fixture();
    let claims = LegacyClaims {
        namespace: "ns".into(),
        service_account: reference("web", "u1"),
        secret: "web-token".into(),
    };
    let token = fixture.signer.sign_legacy(&claims).unwrap();
    fixture
        .check(
            &token,
            &[],
            "invalid bearer token: service account token has been invalidated",
        )
        .await;
    let mut secret = Secret {
        metadata: meta("web-token", "u4"),
        ..Secret::default()
    };
    secret.data.insert("token".into(), token.clone().into_bytes());
    fixture.objects.insert(secret.clone());
    fixture
        .check(&token, &[], r#"system:serviceaccount:ns:web ["api"]"#)
        .await;
    secret.data.insert("token".into(), b"another".to_vec());
    fixture.objects.insert(secret);
    fixture
        .check(
            &token,
            &[],
            "invalid bearer token: service account token has been invalidated",
        )
        .await;
}
