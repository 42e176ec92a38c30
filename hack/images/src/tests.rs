use std::process::Command;

use crate::image::build;
use crate::options::parse;

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace()
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

#[test]
fn tar_reads_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("program");
    std::fs::write(&source, "#!/bin/sh").unwrap();
    let flags = format!(
        "--tag example/test:v1 --file {}:/usr/bin/program --link /bin/sh:/usr/bin/program --dir /tmp:1777 --text /etc/motd=hello out.tar",
        source.display()
    );
    let options = parse(words(&flags)).unwrap();
    let bytes = build(&options.image).unwrap();
    assert_eq!(
        bytes,
        build(&options.image).unwrap(),
        "the same input gives the same bytes"
    );

    let outer = folder.path().join("outer");
    std::fs::create_dir(&outer).unwrap();
    std::fs::write(folder.path().join("out.tar"), bytes).unwrap();
    let unpacked = Command::new("tar")
        .arg("-xf")
        .arg(folder.path().join("out.tar"))
        .arg("-C")
        .arg(&outer)
        .status();
    assert!(unpacked.unwrap().success());
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(outer.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "example/test:v1");
    let layer = outer.join(manifest[0]["Layers"][0].as_str().unwrap());
    let listed = Command::new("tar").args(["-tvf"]).arg(layer).output().unwrap();
    let listing = String::from_utf8(listed.stdout).unwrap();
    let lines: Vec<_> = listing
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "drwxr-xr-x 0/0 0 1970-01-01 00:00 usr/",
            "drwxr-xr-x 0/0 0 1970-01-01 00:00 usr/bin/",
            "-rwxr-xr-x 0/0 9 1970-01-01 00:00 usr/bin/program",
            "drwxr-xr-x 0/0 0 1970-01-01 00:00 bin/",
            "lrwxrwxrwx 0/0 0 1970-01-01 00:00 bin/sh -> /usr/bin/program",
            "drwxrwxrwt 0/0 0 1970-01-01 00:00 tmp/",
            "drwxr-xr-x 0/0 0 1970-01-01 00:00 etc/",
            "-rw-r--r-- 0/0 6 1970-01-01 00:00 etc/motd",
        ]
    );
}

#[test]
fn mistakes_are_named() {
    let error = |flags: &str| {
        parse(words(flags))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert!(error("--tag").starts_with("--tag needs a value"));
    assert!(error("--what x out.tar").starts_with("unknown flag --what"));
    assert!(error("out.tar").starts_with("usage"));
    assert!(error("--tag a:b --dir /x:9 out").contains("not an octal mode"));
}
