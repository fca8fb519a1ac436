//! The world of a test: nodes, issuer and users, made when first asked for, shared by all tests of
//! the run, gone when the run ends.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt::{self, Debug, Display};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::issuer::{Issuer, IssuerSpec};
use crate::node::{Node, NodeSpec};
use crate::product::Product;
use crate::rootfs;
use crate::sign_in;

/// What every test is given. `Sync`: tests run side by side.
pub struct World {
    // Dropped in this order: nodes, then what they stand on.
    places: Mutex<HashMap<TypeId, Arc<Place>>>,
    bare: OnceLock<std::result::Result<Node, Shared>>,
    node: OnceLock<std::result::Result<Node, Shared>>,
    issuer: OnceLock<std::result::Result<Issuer, Shared>>,
    ground: Arc<Ground>,
    users: AtomicU32,
    numbers: AtomicU8,
    turn: RwLock<()>,
    say: Box<dyn Fn(&str) + Send + Sync>,
}

/// What the tests of one module share, once it is made.
type Place = OnceLock<std::result::Result<Arc<dyn Any + Send + Sync>, Shared>>;

/// An error that many tests may have to report.
#[derive(Clone)]
struct Shared(Arc<str>);

impl World {
    /// Starts a run. `say` hears, a line at a time, what takes long.
    pub fn start(say: impl Fn(&str) + Send + Sync + 'static) -> Result<World> {
        let ground = Ground::lay(&say)?;
        Ok(World {
            places: Mutex::default(),
            bare: OnceLock::new(),
            node: OnceLock::new(),
            issuer: OnceLock::new(),
            ground,
            users: AtomicU32::new(1),
            numbers: AtomicU8::new(1),
            turn: RwLock::new(()),
            say: Box::new(say),
        })
    }

    /// What all nodes stand on: hub, CA, key.
    pub fn ground(&self) -> &Arc<Ground> {
        &self.ground
    }

    /// A node without the product, shared by all tests.
    pub fn bare(&self) -> Result<&Node> {
        share(&self.bare, || self.boot(self.spec("bare")))
    }

    /// A node with the product installed and its defaults, signing in at [`World::issuer`]; shared
    /// by all tests. Use a user of your own ([`World::user`]); a test that stops or reconfigures
    /// the daemon must run alone, or boot a node of its own.
    pub fn node(&self) -> Result<&Node> {
        share(&self.node, || {
            let product = Product::new(self.issuer()?);
            let node = self.boot(product.on(self.spec("login1")))?;
            sign_in::warm(&node)?;
            Ok(node)
        })
    }

    /// The issuer at `https://issuer.test/`, in the shape of INDIGO IAM; shared by all tests.
    pub fn issuer(&self) -> Result<&Issuer> {
        share(&self.issuer, || self.start_issuer(IssuerSpec::new("issuer.test")))
    }

    /// What the tests of a module share beside these, such as a node of their own: one of each
    /// type, made when first asked for, gone with the world.
    pub fn place<T: Send + Sync + 'static>(
        &self,
        make: impl FnOnce(&World) -> Result<T>,
    ) -> Result<Arc<T>> {
        let place = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(places.entry(TypeId::of::<T>()).or_default())
        };
        let made = share(&place, || Ok(Arc::new(make(self)?) as Arc<dyn Any + Send + Sync>))?;
        Arc::clone(made).downcast().map_err(|_| Error::Wrong("a place of another type".into()))
    }

    /// Starts an issuer that belongs to the caller. Give it a host name of its own.
    pub fn start_issuer(&self, spec: IssuerSpec) -> Result<Issuer> {
        Issuer::start(&self.ground, spec)
    }

    /// A specification with the next free address; boot it with [`World::boot`].
    pub fn spec(&self, name: &str) -> NodeSpec {
        NodeSpec::new(name, self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// Boots a node that belongs to the caller: for a test that needs a configuration of its own,
    /// or that would disturb others. It is gone when dropped.
    pub fn boot(&self, spec: NodeSpec) -> Result<Node> {
        let node = Node::boot(&self.ground, &spec)?;
        self.say(&format!("booted {} in {:.1} s", node.name(), node.boot_time().as_secs_f64()));
        Ok(node)
    }

    /// A user whom no other test of this run has: on every node, and at every issuer with the
    /// password `NAME-pw`.
    pub fn user(&self) -> Result<String> {
        let number = self.users.fetch_add(1, Ordering::Relaxed);
        if number > rootfs::USERS {
            return Err(Error::Wrong("no user is left: raise rootfs::USERS".into()));
        }
        Ok(format!("user{number:02}"))
    }

    /// Taken (for reading) by tests that may run side by side, and for writing by those that must
    /// have the shared nodes to themselves.
    pub fn turn(&self) -> &RwLock<()> {
        &self.turn
    }

    /// Tells the person who waits.
    pub fn say(&self, line: &str) {
        (self.say)(line);
    }
}

impl Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("ground", &self.ground).finish_non_exhaustive()
    }
}

impl Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The thing in `cell`, made once; if that failed, everybody hears why.
fn share<T>(
    cell: &OnceLock<std::result::Result<T, Shared>>,
    make: impl FnOnce() -> Result<T>,
) -> Result<&T> {
    let made = cell.get_or_init(|| make().map_err(|error| Shared(error.to_string().into())));
    made.as_ref().map_err(|shared| Error::Wrong(shared.to_string()))
}
