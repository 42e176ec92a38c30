//! A TCP relay that can be told to hold back or to break what goes through it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::Error;

/// Bytes on their way at a time in one direction.
const BUFFER_BYTES: usize = 16 << 10;

#[derive(Clone, Copy, Debug, Default)]
struct Mode {
    /// Connections of an earlier age break.
    age: u64,
    /// Connections stay open, nothing passes.
    holds: bool,
    /// New connections are closed at once.
    refuses: bool,
}

/// Relays until it is dropped.
pub struct Relay {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    task: AbortHandle,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

impl Relay {
    /// A relay to `target` on a free port of its own.
    pub async fn start(target: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(Error::io("no port for a relay"))?;
        let address = listener.local_addr().map_err(Error::io("a relay's address"))?;
        let (mode, seen) = watch::channel(Mode::default());
        let task = tokio::spawn(accept(listener, target, seen)).abort_handle();
        Ok(Self { address, mode, task })
    }

    /// Breaks all connections; new ones are taken at once.
    pub fn cut(&self) {
        self.mode.send_modify(|mode| mode.age += 1);
    }

    /// Breaks all connections and takes no new ones for a while.
    pub async fn refuse_for(&self, time: Duration) {
        self.mode.send_modify(|mode| {
            mode.age += 1;
            mode.refuses = true;
        });
        tokio::time::sleep(time).await;
        self.mode.send_modify(|mode| mode.refuses = false);
    }

    /// Lets nothing through for a while.
    pub async fn hold_for(&self, time: Duration) {
        self.hold();
        tokio::time::sleep(time).await;
        self.mode.send_modify(|mode| mode.holds = false);
    }

    /// Lets nothing through any more.
    pub fn hold(&self) {
        self.mode.send_modify(|mode| mode.holds = true);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mode: watch::Receiver<Mode>) {
    loop {
        let Ok((near, _)) = listener.accept().await else {
            // Out of file descriptors: clients try again.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if !mode.borrow().refuses {
            tokio::spawn(connect(near, target, mode.clone()));
        }
    }
}

/// Both directions; the end of either is the end of both.
async fn connect(near: TcpStream, target: SocketAddr, mode: watch::Receiver<Mode>) {
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    // Without it nothing breaks, it is only slower.
    drop((near.set_nodelay(true), far.set_nodelay(true)));
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = pump(near_read, far_write, mode.clone()) => {}
        () = pump(far_read, near_write, mode) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let age = mode.borrow().age;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        if !passes(&mut mode, age).await {
            return;
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            changed = mode.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if read == 0 || !passes(&mut mode, age).await {
            return;
        }
        let written = tokio::select! {
            written = to.write_all(&buffer[..read]) => written.is_ok(),
            _ = mode.wait_for(|mode| mode.age != age) => false,
        };
        if !written {
            return;
        }
    }
}

/// Waits while bytes are held back; false when the connection is to break.
async fn passes(mode: &mut watch::Receiver<Mode>, age: u64) -> bool {
    let mode = mode.wait_for(|mode| !mode.holds || mode.age != age).await;
    mode.is_ok_and(|mode| mode.age == age)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    drop(tokio::io::copy(&mut read, &mut write).await);
                });
            }
        });
        address
    }

    async fn exchange(stream: &mut TcpStream) -> Option<u8> {
        let mut byte = [0];
        stream.write_all(b"x").await.ok()?;
        match stream.read(&mut byte).await {
            Ok(1) => Some(byte[0]),
            _ => None,
        }
    }

    #[tokio::test]
    async fn what_is_held_passes_later() {
        let relay = Relay::start(echo().await).await.expect("a relay");
        let mut stream = TcpStream::connect(relay.address).await.expect("connected");
        assert_eq!(exchange(&mut stream).await, Some(b'x'));
        relay.hold();
        let held = timeout(Duration::from_millis(30), exchange(&mut stream)).await;
        assert!(held.is_err(), "nothing passes");
        relay.hold_for(Duration::ZERO).await;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("what was held");
    }

    #[tokio::test]
    async fn a_cut_breaks_old_connections_only() {
        let relay = Relay::start(echo().await).await.expect("a relay");
        let mut old = TcpStream::connect(relay.address).await.expect("connected");
        assert_eq!(exchange(&mut old).await, Some(b'x'));
        relay.cut();
        assert_eq!(old.read(&mut [0]).await.unwrap_or(0), 0, "the old one ends");
        let mut new = TcpStream::connect(relay.address).await.expect("connected");
        assert_eq!(exchange(&mut new).await, Some(b'x'));
    }

    #[tokio::test]
    async fn a_refusal_takes_no_connections() {
        let relay = Relay::start(echo().await).await.expect("a relay");
        let refuse = relay.refuse_for(Duration::from_millis(200));
        let connect = async {
            tokio::task::yield_now().await;
            let mut stream = TcpStream::connect(relay.address)
                .await
                .expect("accepted by the kernel");
            exchange(&mut stream).await
        };
        let (answer, ()) = tokio::join!(connect, refuse);
        assert_eq!(answer, None);
        let mut stream = TcpStream::connect(relay.address).await.expect("connected");
        assert_eq!(exchange(&mut stream).await, Some(b'x'));
    }
}
