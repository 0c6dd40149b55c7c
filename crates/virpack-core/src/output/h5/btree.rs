//! B-trees, version 1, built from their sorted leaves upwards.

use std::io;
use std::mem::size_of;

use super::object::{Objects, UNDEFINED};

/// Symbols in a leaf of a group's tree, as the superblock states. The addresses of leaves stay in memory.
pub(super) const SYMBOLS: usize = 64;
/// The tree of a group. Its keys are names, as offsets into a heap.
pub(super) const GROUP: Tree = Tree { kind: 0, children: 32, key_bytes: size_of::<u64>() };

/// The properties that all nodes of a tree share.
#[derive(Clone, Copy)]
pub(super) struct Tree {
    kind: u8,
    /// The most children of a node.
    pub(super) children: usize,
    key_bytes: usize,
}

impl Tree {
    /// Returns the tree of a dataset's chunks, with this many dimensions.
    pub(super) const fn of_chunks(dimensions: usize) -> Tree {
        // The size, the skipped filters, and the offset in each dimension and within an element.
        let key_bytes = 2 * size_of::<u32>() + (dimensions + 1) * size_of::<u64>();
        Tree { kind: 1, children: 64, key_bytes }
    }

    /// Writes the tree over children in the order of their keys, and returns its address.
    ///
    /// There is a key before each child and one after the last: a child holds what lies between its keys.
    pub(super) fn write(self, objects: &mut Objects, leaves: Leaves) -> io::Result<u64> {
        let mut level = 0;
        let Leaves { mut children, last } = leaves;
        loop {
            let nodes: Vec<_> = children.chunks(self.children).collect();
            let first = objects.begin();
            let address = |node: usize| first + (node * self.node_bytes()) as u64;
            let mut above = Vec::with_capacity(nodes.len());
            for (i, node) in nodes.iter().enumerate() {
                let left = if i > 0 { address(i - 1) } else { UNDEFINED };
                let right = if i + 1 < nodes.len() { address(i + 1) } else { UNDEFINED };
                let behind = nodes.get(i + 1).map_or(&last, |next| &next[0].0);
                objects.part(&self.node(level, node, behind, [left, right]))?;
                above.push((node[0].0.clone(), address(i)));
            }
            if nodes.is_empty() {
                objects.part(&self.node(level, &[], &last, [UNDEFINED; 2]))?;
            }
            if nodes.len() < 2 {
                return Ok(first);
            }
            children = above;
            level += 1;
        }
    }

    fn node(self, level: u8, children: &[(Vec<u8>, u64)], behind: &[u8], beside: [u64; 2]) -> Vec<u8> {
        let mut node = b"TREE".to_vec();
        node.extend([self.kind, level]);
        node.extend((children.len() as u16).to_le_bytes());
        node.extend(beside.iter().flat_map(|address| address.to_le_bytes()));
        for (key, child) in children {
            node.extend(key);
            node.extend(child.to_le_bytes());
        }
        node.extend(behind);
        node.resize(self.node_bytes(), 0);
        node
    }

    /// Returns the bytes of a node, which has space for all its children, however few it has.
    fn node_bytes(self) -> usize {
        24 + (self.children + 1) * self.key_bytes + self.children * size_of::<u64>()
    }
}

/// The sorted children of a tree.
pub(super) struct Leaves {
    /// Each child with the key before it.
    pub(super) children: Vec<(Vec<u8>, u64)>,
    /// The key after the last child.
    pub(super) last: Vec<u8>,
}

/// Returns a dataset's chunks, all of one size, consecutive in the first dimension.
pub(super) fn chunks(addresses: &[u64], chunk_bytes: usize, chunk: &[u32]) -> Leaves {
    let key = |i: usize, bytes: usize| {
        let mut key = (bytes as u32).to_le_bytes().to_vec();
        key.extend(0u32.to_le_bytes());
        key.extend((i as u64 * u64::from(chunk[0])).to_le_bytes());
        key.resize(key.len() + chunk.len() * size_of::<u64>(), 0);
        key
    };
    let children = addresses.iter().enumerate().map(|(i, address)| (key(i, chunk_bytes), *address));
    Leaves { children: children.collect(), last: key(addresses.len(), 0) }
}
