//! A test: a function of the world, and whether it must have the shared nodes to itself.

use std::sync::{Arc, PoisonError};

use iamd_tests::World;
use libtest_mimic::{Failed, Trial};

/// What a test answers; `?` takes any error, and a panic is a failure too.
pub type Outcome = Result<(), Failed>;

/// One test.
#[derive(Clone, Copy)]
pub struct Case {
    /// The module it stands in.
    pub module: &'static str,
    /// Its function's name: the promise.
    pub name: &'static str,
    /// It stops, starts or changes something that other tests use.
    pub alone: bool,
    /// It.
    pub test: fn(&World) -> Outcome,
}

impl Case {
    /// The trial for libtest-mimic; without a world (`--list`) it is never run.
    pub fn trial(self, world: Option<Arc<World>>) -> Trial {
        let module = self.module.trim_start_matches("e2e::");
        Trial::test(format!("{module}::{}", self.name), move || {
            let world = world.ok_or("no world")?;
            if self.alone {
                let _turn = world.turn().write().unwrap_or_else(PoisonError::into_inner);
                (self.test)(&world)
            } else {
                let _turn = world.turn().read().unwrap_or_else(PoisonError::into_inner);
                (self.test)(&world)
            }
        })
    }
}

/// The tests of a module: `cases![a, b]`, and those that must run alone after a word:
/// `cases![a, b; alone: c, d]`. A test that is not listed is dead code, which the build refuses.
#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)? $(; alone: $($single:ident),* $(,)?)?) => {
        vec![
            $($crate::case::Case {
                module: module_path!(), name: stringify!($name), alone: false, test: $name,
            },)*
            $($($crate::case::Case {
                module: module_path!(), name: stringify!($single), alone: true, test: $single,
            },)*)?
        ]
    };
}
