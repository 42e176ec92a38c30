//! The command line.

pub struct Options {
    pub http_port: u16,
    pub echo_port: u16,
    pub version: String,
}

impl Options {
    pub fn parse(
        arguments: impl Iterator<Item = String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let version = environment("VERSION").unwrap_or_else(|| "v1".to_owned());
        let mut options = Self {
            http_port: 8080,
            echo_port: 7777,
            version,
        };
        for argument in arguments {
            let (name, value) = argument
                .split_once('=')
                .ok_or_else(|| format!("{argument} needs a value"))?;
            let port = || value.parse().map_err(|_| format!("{value} is not a port"));
            match name {
                "--http" => options.http_port = port()?,
                "--echo" => options.echo_port = port()?,
                "--version-name" => options.version = value.to_owned(),
                _ => return Err(format!("unknown flag: {name}")),
            }
        }
        Ok(options)
    }
}
