//! Names for people who may not be named in a record: somebody else signed in, and an administrator
//! is to see whether it is the same person again. Subjects are often short, numbers or names, so a
//! plain hash of one is found by trying all there are. These are keyed with what only this node has.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Gives such names: with a keyed hash (RFC 2104).
pub struct People(Hmac<Sha256>);

impl People {
    /// With a key of this node's own.
    pub fn keyed(key: Zeroizing<[u8; 32]>) -> Self {
        // A key that is shorter than a block is followed by zeros (§2).
        let mut block = Zeroizing::new([0; 64]);
        block[..key.len()].copy_from_slice(&key[..]);
        Self(Hmac::new((&*block).into()))
    }

    /// The name of this subject of this issuer.
    pub fn name_of(&self, issuer: &str, sub: &str) -> String {
        let hash = self.0.clone().chain_update(issuer.len().to_le_bytes());
        super::short(&hash.chain_update(issuer).chain_update(sub).finalize().into_bytes())
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
