//! A test: a function of the world, and what it shares with the other tests.

use std::sync::{Arc, PoisonError};

use iamd_tests::World;
use libtest_mimic::{Failed, Trial};

/// What a test answers; `?` takes any error, and a panic is a failure too.
pub type Outcome = Result<(), Failed>;

/// With whom a test runs.
#[derive(Clone, Copy)]
pub enum Turn {
    /// Side by side with others, on the shared nodes.
    Shared,
    /// It stops, starts or changes something that other tests use.
    Alone,
    /// It has nodes of its own and disturbs nobody, not even one that runs alone. A test that
    /// takes minutes has to be such a one: who waits to be alone would hold up all the others.
    Apart,
}

/// One test.
#[derive(Clone, Copy)]
pub struct Case {
    /// The module it stands in.
    pub module: &'static str,
    /// Its function's name: the promise.
    pub name: &'static str,
    /// With whom it runs.
    pub turn: Turn,
    /// It.
    pub test: fn(&World) -> Outcome,
}

impl Case {
    /// The trial for libtest-mimic; without a world (`--list`) it is never run.
    pub fn trial(self, world: Option<Arc<World>>) -> Trial {
        let module = self.module.trim_start_matches("e2e::");
        Trial::test(format!("{module}::{}", self.name), move || {
            let world = world.ok_or("no world")?;
            match self.turn {
                Turn::Apart => (self.test)(&world),
                Turn::Alone => {
                    let _turn = world.turn().write().unwrap_or_else(PoisonError::into_inner);
                    (self.test)(&world)
                }
                Turn::Shared => {
                    let _turn = world.turn().read().unwrap_or_else(PoisonError::into_inner);
                    (self.test)(&world)
                }
            }
        })
    }
}

/// The tests of a module: `cases![a, b]`; after a word, those that must run alone and those that
/// have nodes of their own: `cases![a, b; alone: c, d; apart: e]`. A test that is not listed is
/// dead code, which the build refuses.
#[macro_export]
macro_rules! cases {
    (@ $turn:ident $($name:ident),*) => {
        [$($crate::case::Case {
            module: module_path!(),
            name: stringify!($name),
            turn: $crate::case::Turn::$turn,
            test: $name,
        },)*]
    };
    (
        $($shared:ident),* $(,)?
        $(; alone: $($alone:ident),* $(,)?)?
        $(; apart: $($apart:ident),* $(,)?)?
    ) => {
        [
            &$crate::cases!(@ Shared $($shared),*)[..],
            $(&$crate::cases!(@ Alone $($alone),*)[..],)?
            $(&$crate::cases!(@ Apart $($apart),*)[..],)?
        ].concat()
    };
}
