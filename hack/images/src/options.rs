//! The command line.

use crate::Error;
use crate::image::{Entry, Image};

pub struct Options {
    pub output: String,
    pub image: Image,
}

const USAGE: &str =
    "usage: images --tag NAME [--file SOURCE:PATH[:MODE]] [--text PATH=CONTENT] [--dir PATH[:MODE]]
    [--link PATH:TARGET] [--entrypoint WORD] [--cmd WORD] [--env NAME=VALUE] [--user UID] OUTPUT";

/// Flags take the next word as their value and may be repeated.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, Error> {
    let mut image = Image::default();
    let mut output = None;
    while let Some(word) = words.next() {
        if !word.starts_with("--") {
            output = Some(word);
            continue;
        }
        let value = words
            .next()
            .ok_or_else(|| Error::Usage(format!("{word} needs a value\n{USAGE}")))?;
        match word.as_str() {
            "--tag" => image.tag = value,
            "--file" => image.entries.push(file(&value)?),
            "--text" => {
                let (path, content) = pair(&value, '=')?;
                let bytes = format!("{}\n", content.replace("\\n", "\n")).into_bytes();
                image.entries.push(Entry::File {
                    path,
                    bytes,
                    mode: 0o644,
                });
            }
            "--dir" => {
                let (path, mode) = value.split_once(':').unwrap_or((&value, "755"));
                image.entries.push(Entry::Directory {
                    path: path.to_owned(),
                    mode: octal(mode)?,
                });
            }
            "--link" => {
                let (path, target) = pair(&value, ':')?;
                image.entries.push(Entry::Link { path, target });
            }
            "--entrypoint" => image.entrypoint.push(value),
            "--cmd" => image.command.push(value),
            "--env" => image.environment.push(value),
            "--user" => image.user = value,
            _ => return Err(Error::Usage(format!("unknown flag {word}\n{USAGE}"))),
        }
    }
    match output {
        Some(output) if !image.tag.is_empty() => Ok(Options { output, image }),
        _ => Err(Error::Usage(USAGE.to_owned())),
    }
}

fn file(value: &str) -> Result<Entry, Error> {
    let mut parts = value.splitn(3, ':');
    let (Some(source), Some(path)) = (parts.next(), parts.next()) else {
        return Err(Error::Usage(format!("{value}: SOURCE:PATH[:MODE] expected")));
    };
    let bytes = std::fs::read(source).map_err(|e| Error::File {
        path: source.to_owned(),
        source: e,
    })?;
    Ok(Entry::File {
        path: path.to_owned(),
        bytes,
        mode: octal(parts.next().unwrap_or("755"))?,
    })
}

fn pair(value: &str, separator: char) -> Result<(String, String), Error> {
    let (left, right) = value.split_once(separator).ok_or_else(|| {
        Error::Usage(format!(
            "{value}: two parts with {separator} between them expected"
        ))
    })?;
    Ok((left.to_owned(), right.to_owned()))
}

fn octal(text: &str) -> Result<u32, Error> {
    u32::from_str_radix(text, 8).map_err(|_| Error::Usage(format!("{text} is not an octal mode")))
}
