//! Login nodes that boot, for the end-to-end tests and the demo.
//!
//! A run owns everything it makes: a directory, a *hub* network namespace with a bridge, and per
//! login node a network namespace, an overlay on one shared Debian root file system, and a
//! systemd-nspawn that boots it. The issuer and the ssh client live in the hub. Nothing reaches
//! the host's own network, and nothing is left when the run ends, however it ends.
//!
//! Start reading at [`world`]: it is what a test is given.

pub mod bench;
pub mod ca;
pub mod clock;
pub mod command;
pub mod demo;
pub mod error;
pub mod etcd;
pub mod forward;
pub mod ground;
pub mod issuer;
pub mod net;
pub mod node;
pub mod notice;
pub mod places;
pub mod product;
pub mod ranks;
pub mod rootfs;
pub mod run;
pub mod sign_in;
pub mod ssh;
pub mod sweep;
pub mod world;

pub use clock::eventually;
pub use command::Output;
pub use error::{Error, Result};
pub use etcd::Etcd;
pub use issuer::{Issuer, IssuerSpec};
pub use node::{Node, NodeSpec};
pub use notice::Notice;
pub use product::Product;
pub use sign_in::{sign_in, token_file, uid};
pub use ssh::Session;
pub use world::World;
