//! Names for people who may not be named in a record: somebody else signed in, and an administrator
//! is to see whether it is the same person again. Subjects are often short, numbers or names, so a
//! plain hash of one is found by trying all there are. These are keyed with what only this node has.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Gives such names.
pub struct People(Zeroizing<[u8; 32]>);

impl People {
    /// With a key of this node's own.
    pub fn keyed(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The name of this subject of this issuer.
    pub fn name_of(&self, issuer: &str, sub: &str) -> String {
        // The key has one length and goes first; twice, so that nothing is added at the end.
        let inner = Sha256::new()
            .chain_update(&self.0[..])
            .chain_update(issuer.len().to_le_bytes())
            .chain_update(issuer)
            .chain_update(sub)
            .finalize();
        super::short(&Sha256::new().chain_update(&self.0[..]).chain_update(inner).finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_one_from_another_and_is_of_this_node_and_issuer_alone() {
        let [one, other] = [1, 2].map(|key| People::keyed(Zeroizing::new([key; 32])));
        let name = one.name_of("https://iss/", "4711");
        assert_eq!(name, one.name_of("https://iss/", "4711"));
        assert_eq!(name.len(), 16);
        for another in [
            one.name_of("https://iss/", "4712"),
            one.name_of("https://iss/4", "711"),
            other.name_of("https://iss/", "4711"),
            super::super::hash(b"4711"),
        ] {
            assert_ne!(name, another);
        }
    }
}
