//! Three namespaces: `client` (192.0.2.2) - `node` (192.0.2.1, 10.180.0.1) - `pod` (10.180.0.2, which answers on
//! TCP 8080 and 8081 and UDP 5353 with the port's number). The same in IPv6: 2001:db8::2 - 2001:db8::1, fd00:180::1 -
//! fd00:180::2.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use proxy::command::Runner;

pub const NODE: &str = "192.0.2.1";
const TIMEOUT: Duration = Duration::from_secs(2);

pub struct Network {
    suffix: String,
}

impl Network {
    /// `None`, with a line on stderr, where namespaces can't be made.
    pub fn new(name: &str) -> Option<Self> {
        let network = Self {
            suffix: format!("{name}{}", std::process::id()),
        };
        for place in ["client", "node", "pod"] {
            if !run("ip", &["netns", "add", &network.place(place)]) {
                eprintln!("skipped: network namespaces need root and iproute2");
                return None;
            }
        }
        network.connect(
            "client",
            &["192.0.2.2/24", "2001:db8::2/64"],
            &["192.0.2.1/24", "2001:db8::1/64"],
        );
        network.connect(
            "pod",
            &["10.180.0.2/24", "fd00:180::2/64"],
            &["10.180.0.1/24", "fd00:180::1/64"],
        );
        network.inside(
            "node",
            &[
                "sysctl",
                "-qw",
                "net.ipv4.ip_forward=1",
                "net.ipv6.conf.all.forwarding=1",
            ],
        );
        // Service addresses are routed nowhere in particular, but routed.
        for (place, v4, v6) in [
            ("node", "10.180.0.2", "fd00:180::2"),
            ("client", "192.0.2.1", "2001:db8::1"),
            ("pod", "10.180.0.1", "fd00:180::1"),
        ] {
            network.inside(place, &["ip", "route", "add", "default", "via", v4]);
            network.inside(place, &["ip", "-6", "route", "add", "default", "via", v6]);
        }
        network.serve();
        Some(network)
    }

    fn place(&self, place: &str) -> String {
        format!("{place}-{}", self.suffix)
    }

    /// A cable between a place and the node.
    fn connect(&self, place: &str, addresses: &[&str], node_addresses: &[&str]) {
        let (here, node) = (self.place(place), self.place("node"));
        let ends = [
            "link", "add", "eth0", "netns", &here, "type", "veth", "peer", "name", place, "netns", &node,
        ];
        assert!(run("ip", &ends));
        for (place, device, addresses) in [(place, "eth0", addresses), ("node", place, node_addresses)] {
            for address in addresses {
                // Without `nodad` an IPv6 address can't be used at once.
                let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
                self.inside(
                    place,
                    &[&["ip", "addr", "add", address, "dev", device], nodad].concat(),
                );
            }
            self.inside(place, &["ip", "link", "set", device, "up"]);
            self.inside(place, &["ip", "link", "set", "lo", "up"]);
        }
    }

    pub fn runner(&self) -> Runner {
        Runner::prefixed(&["ip", "netns", "exec", &self.place("node")])
    }

    /// Runs a command in the node and gives its output.
    pub fn in_node(&self, command: &[&str]) -> String {
        self.inside("node", command)
    }

    fn inside(&self, place: &str, command: &[&str]) -> String {
        let place = self.place(place);
        let output = Command::new("ip")
            .args(["netns", "exec", &place])
            .args(command)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Does something on a thread that lives in a place.
    fn visit<T: Send + 'static>(&self, place: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
        let path = format!("/run/netns/{}", self.place(place));
        let visitor = std::thread::spawn(move || {
            setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        visitor.join().unwrap()
    }

    fn serve(&self) {
        for port in [8080, 8081] {
            let listener = self.visit("pod", move || TcpListener::bind(("::", port)).unwrap());
            std::thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    let _ = write!(stream, "{port}");
                }
            });
        }
        let socket = self.visit("pod", || UdpSocket::bind("[::]:5353").unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(b"5353", from);
            }
        });
    }

    /// What the server at `address` says to a client outside the node.
    pub fn tcp(&self, address: &'static str) -> Result<String, ErrorKind> {
        self.visit("client", move || ask(address))
    }

    pub fn tcp_from_node(&self, address: &'static str) -> Result<String, ErrorKind> {
        self.visit("node", move || ask(address))
    }

    pub fn tcp_from_pod(&self, address: &'static str) -> Result<String, ErrorKind> {
        self.visit("pod", move || ask(address))
    }

    pub fn udp(&self, address: &'static str) -> Result<String, ErrorKind> {
        self.visit("client", move || {
            let any = if address.starts_with('[') {
                "[::]:0"
            } else {
                "0.0.0.0:0"
            };
            let socket = UdpSocket::bind(any).unwrap();
            socket.set_read_timeout(Some(TIMEOUT)).unwrap();
            socket.send_to(b"?", address).map_err(|e| e.kind())?;
            let mut buffer = [0; 64];
            let (length, from) = socket.recv_from(&mut buffer).map_err(|e| e.kind())?;
            assert_eq!(
                from,
                address.parse().unwrap(),
                "the answer comes from the service"
            );
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
    }
}

fn ask(address: &str) -> Result<String, ErrorKind> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), TIMEOUT).map_err(|e| e.kind())?;
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| e.kind())?;
    Ok(answer)
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
}

impl Drop for Network {
    fn drop(&mut self) {
        for place in ["client", "node", "pod"] {
            run("ip", &["netns", "del", &self.place(place)]);
        }
    }
}
