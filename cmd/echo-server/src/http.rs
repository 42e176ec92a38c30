//! As much of HTTP/1.1 as answering GET takes.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::options::Options;

const MAX_HEAD_BYTES: u64 = 16 << 10;
const MAX_CONNECTIONS: usize = 256;
const IDLE: Duration = Duration::from_secs(60);

pub fn listen(port: u16) -> io::Result<TcpListener> {
    // A kernel without IPv6 refuses the first.
    TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))
}

/// Serves connections on threads, up to a limit; the rest are closed at once.
#[derive(Clone, Default)]
pub struct Limiter {
    open: Arc<AtomicUsize>,
}

impl Limiter {
    pub fn spawn(&self, stream: TcpStream, serve: impl FnOnce(TcpStream) + Send + 'static) {
        if self.open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let open = Arc::clone(&self.open);
        std::thread::spawn(move || {
            if stream.set_read_timeout(Some(IDLE)).is_ok() {
                serve(stream);
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

pub struct Server {
    port: u16,
    version: String,
    hostname: String,
    healthy: AtomicBool,
}

struct Request {
    method: String,
    target: String,
    headers: Vec<String>,
    keep_alive: bool,
}

struct Answer {
    status: &'static str,
    body: String,
}

fn ok(body: String) -> Answer {
    Answer {
        status: "200 OK",
        body,
    }
}

pub fn serve(server: Arc<Server>) -> io::Result<()> {
    let listener = listen(server.port)?;
    let limiter = Limiter::default();
    for stream in listener.incoming() {
        let server = Arc::clone(&server);
        limiter.spawn(stream?, move |stream| {
            // A client that breaks off mid-request is no concern of the server.
            let _ = server.converse(&stream);
        });
    }
    Ok(())
}

impl Server {
    pub fn new(options: &Options) -> Self {
        let hostname = nix::unistd::gethostname()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self {
            port: options.http_port,
            version: options.version.clone(),
            hostname,
            healthy: AtomicBool::new(true),
        }
    }

    fn converse(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader)? {
            let answer = self.answer(&request, stream);
            println!("{} {} {}", request.method, request.target, answer.status);
            let head = format!(
                "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
                answer.status,
                answer.body.len(),
                if request.keep_alive { "keep-alive" } else { "close" }
            );
            let mut out = stream;
            out.write_all(head.as_bytes())?;
            if request.method != "HEAD" {
                out.write_all(answer.body.as_bytes())?;
            }
            if !request.keep_alive {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request, stream: &TcpStream) -> Answer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        match path {
            "/healthz" | "/readyz" | "/livez" if self.healthy.load(Ordering::Relaxed) => {
                ok("ok\n".to_owned())
            }
            "/healthz" | "/readyz" | "/livez" => Answer {
                status: "500 Internal Server Error",
                body: "unhealthy\n".to_owned(),
            },
            "/healthz/fail" => {
                self.healthy.store(false, Ordering::Relaxed);
                ok("unhealthy from now on\n".to_owned())
            }
            "/hostname" => ok(format!("{}\n", self.hostname)),
            "/version" => ok(format!("{}\n", self.version)),
            "/env" => ok(std::env::vars()
                .map(|(name, value)| format!("{name}={value}\n"))
                .collect()),
            "/exit" => {
                let code = query
                    .strip_prefix("code=")
                    .and_then(|code| code.parse().ok())
                    .unwrap_or(0);
                println!("exiting with {code} as asked");
                std::process::exit(code)
            }
            _ => ok(self.describe(request, stream)),
        }
    }

    fn describe(&self, request: &Request, stream: &TcpStream) -> String {
        let end = |address: io::Result<std::net::SocketAddr>| {
            address.map_or_else(|e| e.to_string(), |a| a.to_string())
        };
        let mut text = format!(
            "hostname: {}\nversion: {}\nclient: {}\nserver: {}\nrequest: {} {}\n",
            self.hostname,
            self.version,
            end(stream.peer_addr()),
            end(stream.local_addr()),
            request.method,
            request.target
        );
        for header in &request.headers {
            let _ = writeln!(text, "header: {header}");
        }
        text
    }
}

/// Reads a request with its body, which is dropped; `None` at the end of the connection.
fn read_request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut head = reader.take(MAX_HEAD_BYTES);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        keep_alive: words.next() == Some("HTTP/1.1"),
    };
    let mut body = 0;
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        let lower = header.to_ascii_lowercase();
        if let Some(length) = lower.strip_prefix("content-length:") {
            body = length.trim().parse().unwrap_or(0);
        } else if lower
            .strip_prefix("connection:")
            .is_some_and(|value| value.trim() == "close")
        {
            request.keep_alive = false;
        }
        request.headers.push(header.to_owned());
    }
    io::copy(&mut reader.take(body), &mut io::sink())?;
    Ok(Some(request))
}
