use api::Message;
use api::core::v1::Pod;

use crate::core::pod::defaults;

fn parse(spec: &str) -> Pod {
    let json = format!(r#"{{"metadata":{{"name":"p","namespace":"default"}},"spec":{spec}}}"#);
    let mut pod = Pod::from_json(json.as_bytes()).unwrap();
    defaults::pod(&mut pod);
    pod
}

#[track_caller]
fn check(spec: &str, expected: &[&str]) {
    let errors: Vec<String> = super::create(&parse(spec))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors, expected, "for {spec}");
}

/// Errors of the pod with one container `c` to which this is added.
#[track_caller]
fn check_container(container: &str, expected: &[&str]) {
    check(
        &format!(r#"{{"containers":[{{"name":"c","image":"i",{container}}}]}}"#),
        expected,
    );
}

const REGEX: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn containers() {
    check(r#"{"containers":[{"name":"c","image":"i"}]}"#, &[]);
    check("{}", &["spec.containers: Required value"]);
    check(
        r#"{"containers":[{"name":"C","image":""}]}"#,
        &[
            &format!("spec.containers[0].name: Invalid value: \"C\": {REGEX}"),
            "spec.containers[0].image: Required value",
        ],
    );
    check(
        r#"{"containers":[{"name":"c","image":"i"}],"initContainers":[{"name":"c","image":"i","readinessProbe":{"exec":{"command":["x"]}}}]}"#,
        &[
            "spec.initContainers[0].name: Duplicate value: \"c\"",
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        ],
    );
    check_container(
        r#""ports":[{"containerPort":70000},{"containerPort":1,"hostPort":80},{"containerPort":2,"hostPort":80}]"#,
        &[
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[2].hostPort: Duplicate value: \"TCP//80\"",
        ],
    );
    check_container(
        r#""env":[{"name":"a=b"},{"name":"x","valueFrom":{"fieldRef":{"fieldPath":"status.phase"}}}]"#,
        &[
            "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            "spec.containers[0].env[1].valueFrom.fieldRef.fieldPath: Invalid value: \"status.phase\": error converting fieldPath: field label not supported: status.phase",
        ],
    );
    check_container(
        r#""livenessProbe":{"successThreshold":2,"httpGet":{"port":0},"exec":{}}"#,
        &[
            "spec.containers[0].livenessProbe.exec.command: Required value",
            "spec.containers[0].livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    );
}

#[test]
fn resources() {
    check_container(
        r#""resources":{"requests":{"cpu":"2","x":"1"},"limits":{"cpu":"1","example.com/gpu":"500m"}}"#,
        &[
            "spec.containers[0].resources.limits[example.com/gpu]: Invalid value: \"500m\": must be an integer",
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            "spec.containers[0].resources.requests[example.com/gpu]: Invalid value: \"500m\": must be an integer",
            "spec.containers[0].resources.requests[x]: Invalid value: \"x\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.requests[x]: Invalid value: \"x\": must be a standard resource for containers",
        ],
    );
    check_container(
        r#""resources":{"limits":{"hugepages-2Mi":"3Mi"}}"#,
        &[
            "spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": quantity 3Mi is not an integer multiple of page size 2097152",
            "spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: \"3Mi\": quantity 3Mi is not an integer multiple of page size 2097152",
            "spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
        ],
    );
}

#[test]
fn volumes() {
    let with =
        |volume: &str| format!(r#"{{"containers":[{{"name":"c","image":"i"}}],"volumes":[{volume}]}}"#);
    check(
        &with(r#"{"name":"a"},{"name":"a"}"#),
        &["spec.volumes[1].name: Duplicate value: \"a\""],
    );
    check(
        &with(r#"{"name":"a","emptyDir":{},"hostPath":{"path":"/../x"}}"#),
        &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    );
    check(
        &with(r#"{"name":"a","hostPath":{"path":"/a/../x","type":"Odd"}}"#),
        &[
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../x\": must not contain '..'",
            "spec.volumes[0].hostPath.type: Unsupported value: \"Odd\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
        ],
    );
    check(
        &with(r#"{"name":"a","configMap":{"items":[{"key":"k","path":"/p"}]}}"#),
        &[
            "spec.volumes[0].configMap.name: Required value",
            "spec.volumes[0].configMap.items[0].path: Invalid value: \"/p\": must be a relative path",
        ],
    );
    check_container(
        r#""volumeMounts":[{"name":"x","mountPath":"/a"}]"#,
        &["spec.containers[0].volumeMounts[0].name: Not found: \"x\""],
    );
}

#[test]
fn scheduling() {
    let with = |rest: &str| format!(r#"{{"containers":[{{"name":"c","image":"i"}}],{rest}}}"#);
    check(
        &with(
            r#""tolerations":[{"operator":"Equal"},{"key":"a","operator":"Exists","value":"b","effect":"Odd"}]"#,
        ),
        &[
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            "spec.tolerations[1].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            "spec.tolerations[1].effect: Unsupported value: \"Odd\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
        ],
    );
    check(
        &with(r#""topologySpreadConstraints":[{"maxSkew":0,"topologyKey":"","whenUnsatisfiable":"x"}]"#),
        &[
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
            "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"x\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
        ],
    );
    check(
        &with(
            r#""affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[]}}}"#,
        ),
        &[
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
        ],
    );
    check(
        &with(r#""nodeName":"n","schedulingGates":[{"name":"a"},{"name":"a"}]"#),
        &[
            "spec.schedulingGates[1]: Duplicate value: \"a\"",
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ],
    );
}

#[test]
fn the_rest() {
    let with = |rest: &str| format!(r#"{{"containers":[{{"name":"c","image":"i"}}],{rest}}}"#);
    check(
        &with(r#""restartPolicy":"x","dnsPolicy":"None","activeDeadlineSeconds":0"#),
        &[
            "spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ],
    );
    check(
        &with(
            r#""securityContext":{"runAsUser":-1,"sysctls":[{"name":"Bad"}]},"hostPID":true,"shareProcessNamespace":true"#,
        ),
        &[
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
            "spec.securityContext.sysctls[0].name: Invalid value: \"Bad\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        ],
    );
    check(
        &with(r#""ephemeralContainers":[{"name":"d","image":"i"}]"#),
        &["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    );
}

#[track_caller]
fn check_update(old: &str, new: &str, expected: &[&str]) {
    let errors: Vec<String> = super::update::validate(&parse(new), &parse(old))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors, expected);
}

#[test]
fn changes() {
    let pod = |rest: &str| format!(r#"{{"containers":[{{"name":"c","image":"i"}}],{rest}}}"#);
    let plain = pod(r#""nodeName":"n""#);
    check_update(&plain, &plain, &[]);
    check_update(
        &plain,
        r#"{"nodeName":"n","containers":[{"name":"c","image":"j:1","imagePullPolicy":"Always"}]}"#,
        &[],
    );
    check_update(
        &plain,
        &pod(r#""nodeName":"m""#),
        &[&format!(
            "spec: Forbidden: {}@@ -42,7 +42,7 @@\n  \"NodeSelector\": null,\n  \"ServiceAccountName\": \"\",\n  \"AutomountServiceAccountToken\": null,\n- \"NodeName\": \"n\",\n+ \"NodeName\": \"m\",\n  \"SecurityContext\": {{\n   \"HostNetwork\": false,\n   \"HostPID\": false,\n",
            forbidden()
        )],
    );
    check_update(
        &plain,
        &pod(r#""nodeName":"n","tolerations":[{"operator":"Exists"}]"#),
        &[],
    );
    check_update(
        &pod(r#""activeDeadlineSeconds":5"#),
        &pod(r#""activeDeadlineSeconds":6"#),
        &["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"],
    );
    check_update(
        &pod(r#""schedulingGates":[{"name":"a"}]"#),
        &pod(r#""nodeSelector":{"k":"v"}"#),
        &[],
    );
    check_update(
        &pod(r#""schedulingGates":[{"name":"a"}]"#),
        &pod(r#""schedulingGates":[{"name":"b"}]"#),
        &[
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'",
        ],
    );
}

fn forbidden() -> &'static str {
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
}

#[test]
fn resizes() {
    let with = |resources: &str, name: &str| {
        parse(&format!(
            r#"{{"containers":[{{"name":"{name}","image":"i","resources":{resources}}}]}}"#
        ))
    };
    let old = with(r#"{"requests":{"cpu":"1","memory":"1Gi"}}"#, "c");
    let check = |new: Pod, expected: &[&str]| {
        let errors: Vec<String> = super::resize::validate(&new, &old)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, expected);
    };
    check(with(r#"{"requests":{"cpu":"2","memory":"1Gi"}}"#, "c"), &[]);
    check(
        with(r#"{"requests":{"cpu":"2"}}"#, "c"),
        &["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"],
    );
    check(
        with(
            r#"{"requests":{"cpu":"1","memory":"1Gi"},"limits":{"cpu":"1","memory":"1Gi"}}"#,
            "c",
        ),
        &["spec: Invalid value: \"\": Pod QOS Class may not change as a result of resizing"],
    );
    check(
        with(r#"{"requests":{"cpu":"1","memory":"1Gi"}}"#, "d"),
        &["spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"],
    );
}

#[test]
fn containers_that_ended_stay_so() {
    let state = |policy: &str, code: i32, state: &str| {
        let mut pod = parse(&format!(
            r#"{{"restartPolicy":"{policy}","containers":[{{"name":"c","image":"i"}}]}}"#
        ));
        let json = match state {
            "ended" => format!(r#"{{"terminated":{{"exitCode":{code}}}}}"#),
            _ => r#"{"running":{}}"#.to_owned(),
        };
        let status = format!(r#"{{"name":"c","state":{json}}}"#);
        pod.status
            .container_statuses
            .push(Message::from_json(status.as_bytes()).unwrap());
        pod
    };
    for (policy, code, allowed) in [
        ("Always", 0, true),
        ("OnFailure", 1, true),
        ("OnFailure", 0, false),
        ("Never", 1, false),
    ] {
        let errors = super::status::validate(&state(policy, code, "running"), &state(policy, code, "ended"));
        assert_eq!(errors.is_empty(), allowed, "{policy} after {code}: {errors:?}");
    }
}
