use super::*;
use api::Message;

/// `env` is the JSON of a container; the result is `NAME=value` words.
fn check(container: &str, expected: Result<&str, &str>) {
    let container = Container::from_json(container.as_bytes()).unwrap();
    let mut pod = Pod::default();
    pod.metadata.namespace = "shop".into();
    pod.metadata.name = "web".into();
    let config = ConfigMap {
        data: [("color".into(), "red".into()), ("size".into(), "xl".into())].into(),
        ..ConfigMap::default()
    };
    let secret = Secret {
        data: [("password".into(), b"hush".to_vec())].into(),
        ..Secret::default()
    };
    let gone = || Missing::NotFound("configmap \"gone\" not found".into());
    let references = References {
        config_maps: [("cfg".into(), Ok(Arc::new(config))), ("gone".into(), Err(gone()))].into(),
        secrets: [("key".into(), Ok(Arc::new(secret)))].into(),
    };
    let services = [("DB_HOST".to_owned(), "10.0.0.5".to_owned())].into();
    let around = Surroundings {
        pod_ips: vec!["10.1.0.2".into()],
        ..Surroundings::default()
    };
    let built = build(&pod, &container, &references, &services, &around);
    let words = built.map(|all| {
        all.iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>()
            .join(" ")
    });
    assert_eq!(
        words.as_deref().map_err(ToString::to_string),
        expected.map_err(ToOwned::to_owned)
    );
}

#[test]
fn declared_variables_expand_what_came_before() {
    check(
        r#"{"env":[{"name":"A","value":"1"},{"name":"B","value":"$(A)$(DB_HOST)$(LATER)"},{"name":"LATER","value":"x"}]}"#,
        Ok("A=1 B=110.0.0.5$(LATER) LATER=x DB_HOST=10.0.0.5"),
    );
}

#[test]
fn sources_are_overridden_by_declarations() {
    check(
        r#"{"envFrom":[{"prefix":"C_","configMapRef":{"name":"cfg"}},{"secretRef":{"name":"key"}}],
            "env":[{"name":"C_size","value":"$(C_color)"}]}"#,
        Ok("C_size=red C_color=red password=hush DB_HOST=10.0.0.5"),
    );
}

#[test]
fn keys_and_fields() {
    check(
        r#"{"env":[{"name":"P","valueFrom":{"secretKeyRef":{"name":"key","key":"password"}}},
            {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
            {"name":"N","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}"#,
        Ok("P=hush IP=10.1.0.2 N=web DB_HOST=10.0.0.5"),
    );
}

#[test]
fn what_is_missing_fails_unless_optional() {
    check(
        r#"{"env":[{"name":"X","valueFrom":{"configMapKeyRef":{"name":"cfg","key":"nope"}}}]}"#,
        Err("couldn't find key nope in ConfigMap shop/cfg"),
    );
    check(
        r#"{"env":[{"name":"X","valueFrom":{"configMapKeyRef":{"name":"cfg","key":"nope","optional":true}}}]}"#,
        Ok("DB_HOST=10.0.0.5"),
    );
    check(
        r#"{"envFrom":[{"configMapRef":{"name":"gone"}}]}"#,
        Err("configmap \"gone\" not found"),
    );
    check(
        r#"{"envFrom":[{"configMapRef":{"name":"gone","optional":true}}]}"#,
        Ok("DB_HOST=10.0.0.5"),
    );
}
