//! A way from this machine's loopback into the hub, so that a person's browser reaches the issuer.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::error::{Error, Result};
use crate::ground::Ground;

/// A listener on loopback whose connections go to the same port in the hub.
#[derive(Debug)]
pub struct Forward {
    listener: TcpListener,
    port: u16,
}

impl Forward {
    /// Takes `port` on loopback, or another one if that is taken.
    pub fn reserve(port: u16) -> Result<Forward> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .map_err(Error::io("a port on loopback"))?;
        let port = listener.local_addr().map_err(Error::io("the port"))?.port();
        Ok(Forward { listener, port })
    }

    /// The port on loopback, and in the hub.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Carries connections from now on, for as long as the run lives; it does not keep it alive.
    pub fn open(self, ground: &Arc<Ground>, address: Ipv4Addr) {
        let ground = Arc::downgrade(ground);
        thread::spawn(move || {
            for near in self.listener.incoming().flatten() {
                let Some(ground) = ground.upgrade() else { return };
                if let Ok(far) = ground.hub.connect(address, self.port) {
                    let _ = carry(near, far);
                }
            }
        });
    }
}

fn carry(near: TcpStream, far: TcpStream) -> io::Result<()> {
    let (near_in, far_in) = (near.try_clone()?, far.try_clone()?);
    thread::spawn(move || pour(near_in, far));
    thread::spawn(move || pour(far_in, near));
    Ok(())
}

fn pour(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
