//! Logs, exec, copies and forwarded ports: what goes through the API server to the kubelet.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::Outcome;
use crate::cases::Scene;
use crate::kubectl::{contains, eventually, same};
use crate::terminal::Size;

pub fn logs_exec_and_copies(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
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
    let directory = scene.scratch()?;
    let (there, back) = (directory.join("there"), directory.join("back"));
    std::fs::write(&there, "copied").map_err(|error| error.to_string())?;
    kubectl.run(&["cp", &there.display().to_string(), "p:/tmp/file"])?;
    kubectl.run(&["cp", "p:/tmp/file", &back.display().to_string()])?;
    let copied = std::fs::read_to_string(&back).map_err(|error| error.to_string())?;
    same("copy", copied.as_str(), "copied")
}

/// logs -f shows what comes while it looks on, and ends with the container.
pub fn logs_are_followed(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: oxikube.io/busybox:1
    command:
    - sh
    - -c
    # Held open by the reader too: otherwise a read between a writer's line and its end would find no line.
    - mkfifo /tmp/lines; echo began; while read line; do echo "$line"; [ "$line" = last ] && exit; done 0<> /tmp/lines
"#,
    )?;
    kubectl.ready("p")?;
    let mut logs = kubectl.follow(&["logs", "-f", "p"])?;
    let mut newest = kubectl.follow(&["logs", "-f", "--tail=0", "--timestamps", "p"])?;
    logs.output.expect("began\n")?;
    for line in ["one", "two", "three"] {
        kubectl.exec("p", &format!("echo {line} > /tmp/lines"))?;
        logs.output.expect(&format!("{line}\n"))?;
    }
    newest.output.expect("Z three\n")?;
    kubectl.exec("p", "echo last > /tmp/lines")?;
    logs.output.expect("last\n")?;
    same("logs -f", logs.exit_code()?, Some(0))?;
    same("logs -f --tail=0", newest.exit_code()?, Some(0))?;
    same(
        "output",
        logs.output.text()?.as_str(),
        "began\none\ntwo\nthree\nlast\n",
    )
}

/// exec -it and attach -it on a terminal: its size, changes of it, keys that interrupt, the exit code.
pub fn terminals_work(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "oxikube.io/busybox:1", command: [sh], stdin: true, tty: true}
"#,
    )?;
    kubectl.ready("p")?;
    let small = Size {
        rows: 30,
        columns: 100,
    };
    let mut terminal = kubectl.on_terminal(&["exec", "-it", "p", "--", "sh"], small)?;
    terminal.screen.expect("# ")?;
    terminal.type_keys("tty\r")?;
    terminal.screen.expect("/dev/pts/")?;
    // The size arrives beside the keys, not before them.
    terminal.type_keys("until [ \"$(stty size)\" = '30 100' ]; do sleep 0.1; done; echo small-$((1+1))\r")?;
    terminal.screen.expect("small-2")?;
    terminal.resize(Size {
        rows: 41,
        columns: 133,
    })?;
    terminal.type_keys("until [ \"$(stty size)\" = '41 133' ]; do sleep 0.1; done; echo large-$((1+1))\r")?;
    terminal.screen.expect("large-2")?;
    terminal.type_keys("sleep 1000; echo interrupted-$((1+1))\r")?;
    terminal.screen.expect("sleep 1000; echo")?;
    eventually("the shell sleeps", || kubectl.exec("p", "pidof sleep").map(drop))?;
    terminal.type_keys("\u{3}")?;
    terminal.screen.expect("# ")?;
    terminal.type_keys("echo alive-$((1+1)); exit 5\r")?;
    terminal.screen.expect("alive-2")?;
    terminal.screen.expect("exit code 5")?;
    same("exec", terminal.exit_code()?, Some(5))?;
    let mut attached = kubectl.on_terminal(&["attach", "-it", "p"], small)?;
    attached.type_keys("echo attached-$((1+1))\r")?;
    attached.screen.expect("attached-2")
}

pub fn ports_are_forwarded(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.run(&["run", "web", "--image=oxikube.io/echo:v1"])?;
    kubectl.ready("web")?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.map_err(|error| error.to_string())?.port();
    let _forward = kubectl.follow(&["port-forward", "pod/web", &format!("{port}:8080")])?;
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
