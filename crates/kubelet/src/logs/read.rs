//! Reads logs: the end of one, or from a point on while it grows. Upstream: `kuberuntime/logs/logs.go`.

use super::line::{self, Line, Stream};
use jiff::Timestamp;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// How much is read at once.
const BLOCK: usize = 16 << 10;

/// What part of a log is wanted, and in which form. Upstream: `PodLogOptions`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub follow: bool,
    pub timestamps: bool,
    pub since: Option<Timestamp>,
    pub tail_lines: Option<i64>,
    pub limit_bytes: Option<u64>,
    /// Only this stream; both when unset.
    pub stream: Option<Stream>,
}

/// The last lines' text, within both limits.
pub fn tail(path: &Path, lines: i64, max_bytes: usize) -> io::Result<String> {
    let mut file = File::open(path)?;
    let start = tail_start(&mut file, lines)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let mut text = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').filter_map(line::parse) {
        render(&line, &Options::default(), &mut text);
    }
    let cut = text.len().saturating_sub(max_bytes);
    Ok(String::from_utf8_lossy(&text[cut..]).into_owned())
}

/// Where the last `lines` lines begin.
fn tail_start(file: &mut File, lines: i64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    if lines <= 0 {
        return Ok(end);
    }
    let mut left = lines + 1;
    let mut position = end;
    let mut block = vec![0; BLOCK];
    while position > 0 {
        let size = BLOCK.min(usize::try_from(position).unwrap_or(BLOCK));
        position -= size as u64;
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(&mut block[..size])?;
        for index in (0..size).rev().filter(|index| block[*index] == b'\n') {
            left -= 1;
            if left == 0 {
                return Ok(position + index as u64 + 1);
            }
        }
    }
    Ok(0)
}

fn render(line: &Line<'_>, options: &Options, output: &mut Vec<u8>) {
    if options.timestamps {
        output.extend_from_slice(line.time.to_string().as_bytes());
        output.push(b' ');
    }
    output.extend_from_slice(line.text);
    if !line.partial {
        output.push(b'\n');
    }
}

/// Reads a log piece by piece, across its rotation.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: File,
    options: Options,
    /// What was read and not yet given out: an incomplete line.
    pending: Vec<u8>,
    given: u64,
    /// The last line was a partial one: its continuation bears no time of its own.
    continues: bool,
}

impl Reader {
    pub fn open(path: &Path, options: Options) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let start = match options.tail_lines {
            Some(lines) => tail_start(&mut file, lines)?,
            None => 0,
        };
        file.seek(SeekFrom::Start(start))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            options,
            pending: Vec::new(),
            given: 0,
            continues: false,
        })
    }

    /// The next piece; empty when there is no more for now.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        while output.is_empty() && !self.is_full() {
            let mut block = vec![0; BLOCK];
            let size = io::Read::read(&mut self.file, &mut block)?;
            if size == 0 {
                if self.reopen()? {
                    continue;
                }
                break;
            }
            self.pending.extend_from_slice(&block[..size]);
            self.take_lines(&mut output);
        }
        Ok(self.limited(output))
    }

    /// Gives out the last line though nothing ended it: for a log that won't grow any more.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        if !self.pending.is_empty() {
            self.pending.push(b'\n');
            self.take_lines(&mut output);
        }
        self.limited(output)
    }

    /// As much was given out as was asked for.
    pub fn is_full(&self) -> bool {
        self.options.limit_bytes.is_some_and(|limit| self.given >= limit)
    }

    fn take_lines(&mut self, output: &mut Vec<u8>) {
        let Some(end) = self.pending.iter().rposition(|byte| *byte == b'\n') else {
            return;
        };
        let rest = self.pending.split_off(end + 1);
        let complete = std::mem::replace(&mut self.pending, rest);
        for line in complete.split(|byte| *byte == b'\n').filter_map(line::parse) {
            let wanted = self.options.since.is_none_or(|since| line.time >= since)
                && self.options.stream.is_none_or(|stream| line.stream == stream);
            if wanted {
                let timestamps = self.options.timestamps && !self.continues;
                let options = Options {
                    timestamps,
                    ..Options::default()
                };
                self.continues = line.partial;
                render(&line, &options, output);
            }
        }
    }

    fn limited(&mut self, mut output: Vec<u8>) -> Vec<u8> {
        if let Some(limit) = self.options.limit_bytes {
            let left = usize::try_from(limit - self.given.min(limit)).unwrap_or(usize::MAX);
            output.truncate(left);
        }
        self.given += output.len() as u64;
        output
    }

    /// Goes over to the new file if the log was rotated.
    fn reopen(&mut self) -> io::Result<bool> {
        let current = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(new) if new.ino() != current.ino() => {
                self.file = File::open(&self.path)?;
                Ok(true)
            }
            Ok(new) if new.len() < self.file.stream_position()? => {
                self.file.seek(SeekFrom::Start(0))?;
                Ok(true)
            }
            // Between the renaming and the runtime's reopening there is no file.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    fn log(lines: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let text: String = lines
            .iter()
            .enumerate()
            .map(|(i, l)| format!("2026-01-01T00:00:{:02}.5Z {l}\n", i))
            .collect();
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn all(reader: &mut Reader) -> String {
        let mut text = Vec::new();
        loop {
            let piece = reader.read().unwrap();
            if piece.is_empty() {
                return String::from_utf8(text).unwrap();
            }
            text.extend(piece);
        }
    }

    fn read(path: &Path, options: Options) -> String {
        all(&mut Reader::open(path, options).unwrap())
    }

    #[test]
    fn selects() {
        let (_folder, path) = log(&["stdout F a", "stderr F b", "stdout P c", "stdout F d"]);
        assert_eq!(read(&path, Options::default()), "a\nb\ncd\n");
        assert_eq!(
            read(
                &path,
                Options {
                    tail_lines: Some(2),
                    ..Options::default()
                }
            ),
            "cd\n"
        );
        assert_eq!(
            read(
                &path,
                Options {
                    tail_lines: Some(0),
                    ..Options::default()
                }
            ),
            ""
        );
        assert_eq!(
            read(
                &path,
                Options {
                    stream: Some(Stream::Stderr),
                    ..Options::default()
                }
            ),
            "b\n"
        );
        assert_eq!(
            read(
                &path,
                Options {
                    limit_bytes: Some(3),
                    ..Options::default()
                }
            ),
            "a\nb"
        );
        let since = Some("2026-01-01T00:00:01Z".parse().unwrap());
        assert_eq!(
            read(
                &path,
                Options {
                    since,
                    ..Options::default()
                }
            ),
            "b\ncd\n"
        );
        let stamped = read(
            &path,
            Options {
                timestamps: true,
                tail_lines: Some(2),
                ..Options::default()
            },
        );
        assert_eq!(stamped, "2026-01-01T00:00:02.5Z cd\n");
        assert_eq!(tail(&path, 80, 3).unwrap(), "cd\n");
    }

    #[test]
    fn follows_across_rotation() {
        let (folder, path) = log(&["stdout F a"]);
        let mut reader = Reader::open(
            &path,
            Options {
                follow: true,
                ..Options::default()
            },
        )
        .unwrap();
        assert_eq!(all(&mut reader), "a\n");
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"2026-01-01T00:00:09Z stdout F half").unwrap();
        assert_eq!(all(&mut reader), "");
        file.write_all(b" line\n").unwrap();
        assert_eq!(all(&mut reader), "half line\n");
        fs::rename(&path, folder.path().join("0.log.1")).unwrap();
        assert_eq!(all(&mut reader), "");
        fs::write(&path, "2026-01-01T00:00:10Z stdout F new\n").unwrap();
        assert_eq!(all(&mut reader), "new\n");
    }
}
