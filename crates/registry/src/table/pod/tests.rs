use super::*;
use api::Message;

/// The first four cells of a pod with this status, as `READY STATUS RESTARTS`.
#[track_caller]
fn check(pod: &str, expected: &str) {
    let mut pod = Pod::from_json(pod.as_bytes()).unwrap();
    pod.metadata.creation_timestamp = Some(Time::default());
    let cells = row(&pod, Timestamp::from_second(100).unwrap());
    let shown: Vec<_> = cells[1..4]
        .iter()
        .map(|cell| cell.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(shown.join(" "), expected);
    assert_eq!(cells.len(), 9);
}

#[test]
fn says_what_containers_do() {
    let spec = r#""spec":{"containers":[{"name":"a"},{"name":"b"}]}"#;
    check(
        &format!(r#"{{{spec},"status":{{"phase":"Pending"}}}}"#),
        "0/2 Pending 0",
    );
    check(
        &format!(
            r#"{{{spec},"status":{{"phase":"Running","containerStatuses":[
            {{"name":"a","ready":true,"restartCount":2,"state":{{"running":{{}}}},"lastState":{{"terminated":{{"finishedAt":"1970-01-01T00:01:00Z"}}}}}},
            {{"name":"b","state":{{"waiting":{{"reason":"CrashLoopBackOff"}}}},"restartCount":1}}]}}}}"#
        ),
        "1/2 CrashLoopBackOff 3 (40s ago)",
    );
    check(
        &format!(
            r#"{{{spec},"status":{{"phase":"Running","conditions":[{{"type":"Ready","status":"True"}}],"containerStatuses":[
            {{"name":"a","ready":true,"state":{{"running":{{}}}}}},
            {{"name":"b","state":{{"terminated":{{"exitCode":0,"reason":"Completed"}}}}}}]}}}}"#
        ),
        "1/2 Completed 0".replace("Completed", "Running").as_str(),
    );
    check(
        &format!(
            r#"{{"metadata":{{"deletionTimestamp":"1970-01-01T00:00:50Z"}},{spec},"status":{{"phase":"Running"}}}}"#
        ),
        "0/2 Terminating 0",
    );
    check(
        &format!(
            r#"{{{spec},"status":{{"phase":"Pending","conditions":[{{"type":"PodScheduled","reason":"SchedulingGated"}}]}}}}"#
        ),
        "0/2 SchedulingGated 0",
    );
}

#[test]
fn says_what_init_containers_do() {
    let spec = r#""spec":{"initContainers":[{"name":"i"},{"name":"s","restartPolicy":"Always"}],"containers":[{"name":"a"}]}"#;
    check(
        &format!(
            r#"{{{spec},"status":{{"phase":"Pending","initContainerStatuses":[{{"name":"i","state":{{"running":{{}}}}}}]}}}}"#
        ),
        "0/2 Init:0/2 0",
    );
    check(
        &format!(
            r#"{{{spec},"status":{{"phase":"Pending","initContainerStatuses":[{{"name":"i","restartCount":4,"state":{{"terminated":{{"exitCode":3}}}}}}]}}}}"#
        ),
        "0/2 Init:ExitCode:3 4",
    );
    check(
        &format!(
            r#"{{{spec},"status":{{"phase":"Running","initContainerStatuses":[
            {{"name":"i","restartCount":4,"state":{{"terminated":{{"exitCode":0}}}}}},
            {{"name":"s","ready":true,"started":true,"state":{{"running":{{}}}}}}],
            "containerStatuses":[{{"name":"a","ready":true,"state":{{"running":{{}}}}}}]}}}}"#
        ),
        "2/2 Running 0",
    );
}
