//! Logs, exec, copies and forwarded ports: what goes through the API server to the kubelet.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::Outcome;
use crate::cluster::Cluster;
use crate::kubectl::{contains, eventually, same};

pub fn logs_exec_and_copies(cluster: &Cluster, namespace: &str) -> Outcome {
    let kubectl = cluster.kubectl(namespace);
    kubectl.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "oxikube.io/busybox:1", command: [sh, -c, "echo one; echo two >&2; sleep 1; echo three; sleep 1d"]}
"#,
    )?;
    kubectl.ready("p")?;
    eventually("both streams are logged", || {
        let logs = kubectl.run(&["logs", "p"])?;
        ["one\n", "two\n", "three\n"]
            .iter()
            .try_for_each(|line| contains(&logs, line))
    })?;
    same(
        "tail",
        kubectl.run(&["logs", "p", "--tail=1"])?.as_str(),
        "three\n",
    )?;
    contains(&kubectl.run(&["logs", "p", "--timestamps"])?, "Z one")?;
    same("exec", kubectl.exec("p", "echo $((6*7))")?.as_str(), "42\n")?;
    let piped = kubectl.run_with(&["exec", "-i", "p", "--", "cat"], "through and back")?;
    same("standard input", piped.as_str(), "through and back")?;
    contains(
        &kubectl.refused(&["exec", "p", "--", "sh", "-c", "exit 7"])?,
        "exit code 7",
    )?;
    let directory = cluster.output().join("copy-test");
    std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    let (there, back) = (directory.join("there"), directory.join("back"));
    std::fs::write(&there, "copied").map_err(|error| error.to_string())?;
    kubectl.run(&["cp", &there.display().to_string(), "p:/tmp/file"])?;
    kubectl.run(&["cp", "p:/tmp/file", &back.display().to_string()])?;
    let copied = std::fs::read_to_string(&back).map_err(|error| error.to_string())?;
    same("copy", copied.as_str(), "copied")
}

pub fn ports_are_forwarded(cluster: &Cluster, namespace: &str) -> Outcome {
    let kubectl = cluster.kubectl(namespace);
    kubectl.run(&["run", "web", "--image=oxikube.io/echo:v1"])?;
    kubectl.ready("web")?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.map_err(|error| error.to_string())?.port();
    let _forward = kubectl.start(&["port-forward", "pod/web", &format!("{port}:8080")])?;
    eventually("the port answers", || {
        contains(&get(port).map_err(|error| error.to_string())?, "web")
    })
}

fn get(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /hostname HTTP/1.0\r\nHost: web\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
