//! The ustar format, with every field that could differ from run to run set to zero.

use crate::Error;

const BLOCK: usize = 512;

#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Kind {
    File = b'0' as isize,
    Link = b'2' as isize,
    Directory = b'5' as isize,
}

impl Archive {
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<(), Error> {
        self.header(path, mode, Kind::File, content.len(), "")?;
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    pub fn directory(&mut self, path: &str, mode: u32) -> Result<(), Error> {
        self.header(&format!("{path}/"), mode, Kind::Directory, 0, "")
    }

    pub fn link(&mut self, path: &str, target: &str) -> Result<(), Error> {
        self.header(path, 0o777, Kind::Link, 0, target)
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    fn header(&mut self, path: &str, mode: u32, kind: Kind, size: usize, target: &str) -> Result<(), Error> {
        let mut block = [0u8; BLOCK];
        put(&mut block[..100], path)?;
        put(&mut block[100..108], &format!("{mode:07o}"))?;
        put(&mut block[108..116], "0000000")?;
        put(&mut block[116..124], "0000000")?;
        put(&mut block[124..136], &format!("{size:011o}"))?;
        put(&mut block[136..148], "00000000000")?;
        block[156] = kind as u8;
        put(&mut block[157..257], target)?;
        put(&mut block[257..263], "ustar")?;
        block[263..265].copy_from_slice(b"00");
        // The checksum counts its own field as blanks.
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut block[148..155], &format!("{sum:06o}"))?;
        self.bytes.extend_from_slice(&block);
        Ok(())
    }
}

fn put(field: &mut [u8], text: &str) -> Result<(), Error> {
    if text.len() > field.len() {
        return Err(Error::LongName(text.to_owned()));
    }
    field.fill(0);
    field[..text.len()].copy_from_slice(text.as_bytes());
    Ok(())
}
