//! TCP and UDP echo.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use crate::http::{Limiter, listen};

/// Answers on `port` from threads of its own.
pub fn start(port: u16) -> io::Result<()> {
    let (listener, socket) = (listen(port)?, udp(port)?);
    std::thread::spawn(move || serve_tcp(&listener));
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // The sender is gone, or the answer too long: it may ask again.
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    Ok(())
}

fn udp(port: u16) -> io::Result<UdpSocket> {
    UdpSocket::bind(("::", port)).or_else(|_| UdpSocket::bind(("0.0.0.0", port)))
}

fn serve_tcp(listener: &TcpListener) {
    let limiter = Limiter::default();
    for stream in listener.incoming().flatten() {
        limiter.spawn(stream, |stream| {
            let _ = reflect(stream);
        });
    }
}

fn reflect(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}
