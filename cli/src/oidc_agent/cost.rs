//! The key that a password gives: Argon2 as libsodium's `crypto_pwhash` has it, with the numbers
//! that stand in the file, as long as they are such as libsodium's own presets.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

/// libsodium's `crypto_pwhash_SALTBYTES`.
pub(super) const SALT: usize = 16;
/// libsodium's `crypto_pwhash_argon2id_MEMLIMIT_SENSITIVE`.
const MOST_MEMORY: u64 = 1 << 30;
/// libsodium's `crypto_pwhash_MEMLIMIT_MIN`.
const LEAST_MEMORY: u64 = 8192;
/// libsodium's `crypto_pwhash_argon2i_OPSLIMIT_SENSITIVE`.
const MOST_PASSES: u64 = 8;
/// The memory times the passes of both presets for what is most sensitive.
const MOST_WORK: u64 = 4 << 30;

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CostError {
    /// Beyond the bounds.
    TooMuch,
    /// The node has no room for it.
    Memory,
}

/// What trying a password costs: `opslimit`, `memlimit` and `alg` of `crypto_pwhash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    algorithm: Algorithm,
    passes: u32,
    memory_kib: u32,
}

impl Cost {
    /// What oidc-agent has used since it was built with libsodium 1.0.13 or later.
    pub(super) const ARGON2ID: Self =
        Self { algorithm: Algorithm::Argon2id, passes: 2, memory_kib: 64 << 10 };
    /// What it used with earlier ones.
    pub(super) const ARGON2I: Self =
        Self { algorithm: Algorithm::Argon2i, passes: 4, memory_kib: 32 << 10 };

    /// The numbers of a file. `None` for what libsodium itself would refuse.
    ///
    /// # Errors
    /// [`CostError::TooMuch`].
    pub(super) fn of(passes: u64, memory: u64, algorithm: u64) -> Result<Option<Self>, CostError> {
        let (algorithm, least_passes) = match algorithm {
            1 => (Algorithm::Argon2i, 3),
            2 => (Algorithm::Argon2id, 1),
            _ => return Ok(None),
        };
        if passes < least_passes || memory < LEAST_MEMORY {
            return Ok(None);
        }
        if passes > MOST_PASSES || memory > MOST_MEMORY || passes * memory > MOST_WORK {
            return Err(CostError::TooMuch);
        }
        let passes = u32::try_from(passes).map_err(|_| CostError::TooMuch)?;
        let memory_kib = u32::try_from(memory / 1024).map_err(|_| CostError::TooMuch)?;
        Ok(Some(Self { algorithm, passes, memory_kib }))
    }

    /// Whether it is next to nothing.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_least(self) -> bool {
        u64::from(self.memory_kib) * 1024 * u64::from(self.passes) <= 4 * LEAST_MEMORY
    }

    /// `N` bytes from the password.
    ///
    /// # Errors
    /// [`CostError::Memory`].
    pub(super) fn derive<const N: usize>(
        self,
        password: &SecretString,
        salt: &[u8; SALT],
    ) -> Result<Zeroizing<[u8; N]>, CostError> {
        let params = Params::new(self.memory_kib, self.passes, 1, Some(N));
        let params = params.map_err(|_| CostError::TooMuch)?;
        let mut blocks: Vec<Block> = Vec::new();
        blocks.try_reserve_exact(params.block_count()).map_err(|_| CostError::Memory)?;
        blocks.resize(params.block_count(), Block::default());
        let mut key = Zeroizing::new([0; N]);
        let argon = Argon2::new(self.algorithm, Version::V0x13, params);
        let password = password.expose_secret().as_bytes();
        let derived = argon.hash_password_into_with_memory(password, salt, &mut *key, &mut blocks);
        blocks.zeroize();
        derived.map(|()| key).map_err(|_| CostError::TooMuch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_of_libsodium_are_honoured_and_no_more() {
        const MIB: u64 = 1 << 20;
        for (passes, memory, algorithm) in [
            (2, 64 * MIB, 2),
            (3, 256 * MIB, 2),
            (4, 1024 * MIB, 2),
            (4, 32 * MIB, 1),
            (6, 128 * MIB, 1),
            (8, 512 * MIB, 1),
            (1, 8192, 2),
        ] {
            assert!(Cost::of(passes, memory, algorithm).unwrap().is_some());
        }
        for (passes, memory) in [
            (5, 1024 * MIB),
            (1, 1025 * MIB),
            (9, 8192),
            (u64::MAX, 8192),
            (2, u64::MAX),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(Cost::of(passes, memory, 2), Err(CostError::TooMuch), "{passes} {memory}");
        }
        for (passes, memory, algorithm) in
            [(0, 8192, 2), (2, 8192, 1), (2, 8191, 2), (2, 8192, 0), (2, 8192, 3)]
        {
            assert_eq!(Cost::of(passes, memory, algorithm), Ok(None));
        }
    }
}
