//! The use cases, a file each: the one door between the edges and the rooms.

pub mod vault;
