//! Pods: what their containers see, and how they live and end.

use crate::Outcome;
use crate::cases::Scene;
use crate::kubectl::{contains, eventually, same};

pub fn nodes_are_ready(scene: &Scene<'_>) -> Outcome {
    let nodes = scene.kubectl.run(&["get", "nodes"])?;
    same(
        "ready nodes",
        nodes.lines().filter(|line| line.contains(" Ready ")).count(),
        2,
    )
}

pub fn volumes_and_environment(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.apply(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {word: sesame}
---
apiVersion: v1
kind: Pod
metadata: {name: reader, labels: {app: reader}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: shell
    image: oxikube.io/busybox:1
    command: [sleep, 1d]
    resources: {requests: {cpu: 50m, memory: 16Mi}, limits: {memory: 64Mi}}
    env:
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    - {name: BOTH, value: $(COLOR)-$(POD)}
    volumeMounts:
    - {name: settings, mountPath: /settings}
    - {name: password, mountPath: /password, readOnly: true}
    - {name: scratch, mountPath: /scratch}
    - {name: about, mountPath: /about}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: password, secret: {secretName: password, defaultMode: 0400}}
  - {name: scratch, emptyDir: {medium: Memory}}
  - {name: about, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
"#,
    )?;
    kubectl.ready("reader")?;
    let seen = kubectl.exec(
        "reader",
        "echo $COLOR $POD $LIMIT $BOTH; cat /settings/color /password/word /about/labels; echo; \
         echo kept > /scratch/file; cat /scratch/file; ls /var/run/secrets/kubernetes.io/serviceaccount",
    )?;
    for expected in [
        "blue reader 67108864 blue-reader",
        "bluesesameapp=\"reader\"",
        "kept",
        "ca.crt",
        "token",
    ] {
        contains(&seen, expected)?;
    }
    contains(
        &kubectl.run(&["get", "pod", "reader", "-o", "jsonpath={.status.qosClass}"])?,
        "Burstable",
    )?;
    kubectl.run(&[
        "patch",
        "configmap",
        "settings",
        "-p",
        r#"{"data":{"color":"green"}}"#,
    ])?;
    eventually("the volume follows", || {
        contains(&kubectl.exec("reader", "cat /settings/color")?, "green")
    })
}

pub fn restart_and_report(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: once}
spec:
  restartPolicy: Never
  containers:
  - {name: shell, image: oxikube.io/busybox:1, command: [sh, -c, "echo bye > /dev/termination-log; exit 3"]}
---
apiVersion: v1
kind: Pod
metadata: {name: again}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: shell, image: oxikube.io/busybox:1, command: [sleep, 1d]}
---
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: oxikube.io/echo:v1
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
    livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: missing}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: shell, image: "oxikube.io/absent:1", imagePullPolicy: Never}
"#,
    )?;
    eventually("the pod fails", || {
        let pod = kubectl.json(&["get", "pod", "once"])?;
        same("phase", pod["status"]["phase"].as_str(), Some("Failed"))?;
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        same("exit code", ended["exitCode"].as_i64(), Some(3))?;
        same("message", ended["message"].as_str().map(str::trim), Some("bye"))
    })?;
    kubectl.ready("again")?;
    kubectl.ready("probed")?;
    let id = kubectl.run(&[
        "get",
        "pod",
        "again",
        "-o",
        "jsonpath={.status.containerStatuses[0].containerID}",
    ])?;
    scene.cluster.kill_container(scene.namespace, "again", &id)?;
    eventually("the container restarts", || {
        let pod = kubectl.json(&["get", "pod", "again"])?;
        let status = &pod["status"]["containerStatuses"][0];
        same(
            "restarted",
            status["restartCount"].as_i64().is_some_and(|n| n >= 1),
            true,
        )?;
        same("ready", status["ready"].as_bool(), Some(true))
    })?;
    eventually("the missing image is told", || {
        contains(&kubectl.run(&["get", "pod", "missing"])?, "ErrImageNeverPull")
    })
}

pub fn init_containers_and_sidecars(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - name: first
    image: oxikube.io/busybox:1
    command: [sh, -c, "echo first >> /shared/order"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: side
    restartPolicy: Always
    image: oxikube.io/busybox:1
    command: [sh, -c, "echo side >> /shared/order; trap 'exit 0' TERM; while :; do sleep 1; done"]
    startupProbe: {exec: {command: [grep, side, /shared/order]}, periodSeconds: 1}
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: main
    image: oxikube.io/busybox:1
    command: [sh, -c, "echo main >> /shared/order; cat /shared/order"]
    volumeMounts: [{name: shared, mountPath: /shared}]
"#,
    )?;
    eventually("the pod completes though its sidecar would go on", || {
        same(
            "phase",
            kubectl
                .run(&["get", "pod", "p", "-o", "jsonpath={.status.phase}"])?
                .as_str(),
            "Succeeded",
        )
    })?;
    same(
        "order",
        kubectl.run(&["logs", "p", "-c", "main"])?.as_str(),
        "first\nside\nmain\n",
    )
}

/// A pod that fills its volume beyond what it may hold has to go.
pub fn evicted(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: shell
    image: oxikube.io/busybox:1
    command: [sh, -c, "dd if=/dev/zero of=/scratch/file bs=1M count=4; sleep 1d"]
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  volumes: [{name: scratch, emptyDir: {sizeLimit: 1Mi}}]
"#,
    )?;
    eventually("the pod is evicted", || {
        let pod = kubectl.json(&["get", "pod", "greedy"])?;
        let status = &pod["status"];
        same("reason", status["reason"].as_str(), Some("Evicted"))?;
        same("phase", status["phase"].as_str(), Some("Failed"))?;
        same(
            "message",
            status["message"].as_str(),
            Some(r#"Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". "#),
        )
    })?;
    contains(&kubectl.run(&["get", "events"])?, "Evicted")
}
