//! A link that takes time: what goes through it arrives later, as over the sea. It stands in for the kernel's
//! netem, which not every machine has.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Listens on loopback and passes all on to `target`, in both directions `one_way` later. Returns its port.
/// It lasts as long as the process.
pub(crate) fn delayed_link(target: SocketAddr, one_way: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // A connection takes its time as well: the answer to the first packet.
                std::thread::sleep(one_way * 2);
                let Ok(server) = TcpStream::connect(target) else {
                    return;
                };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("an option of TCP");
                }
                let twin = |s: &TcpStream| s.try_clone().expect("one more handle");
                pass_on(twin(&client), twin(&server), one_way);
                pass_on(server, client, one_way);
            });
        }
    });
    port
}

/// Copies in two threads: one takes what comes at once, the other gives it away when its time has come.
fn pass_on(mut from: TcpStream, mut to: TcpStream, one_way: Duration) {
    let (taken, due) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(n) = from.read(&mut buffer)
            && n > 0
            && taken
                .send((Instant::now() + one_way, buffer[..n].to_vec()))
                .is_ok()
        {}
    });
    std::thread::spawn(move || {
        for (at, bytes) in due {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
