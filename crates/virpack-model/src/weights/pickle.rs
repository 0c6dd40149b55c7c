//! Python pickles, read as plain data: nothing is imported, nothing is called.
//!
//! A pickle is a program for a small stack machine whose only dangerous instructions are those that name a Python
//! callable and call it. This machine runs the rest and records the calls: `os.system("…")` becomes an
//! [`Node::Object`] that records it. The caller decides which callables mean something (for tensors,
//! `torch.rs`); all others stay inert.
//!
//! Values live in one flat list and refer to each other by [`Id`], so that shared and even circular values cost
//! what they cost in the file, and dropping a deep one needs no recursion.
//!
//! Source of the instruction set: CPython's `Lib/pickletools.py`.

mod machine;
mod opcode;

use virpack_seq::Hint;

/// Most instructions in one pickle. The largest published model has some 50,000; this keeps a hostile one to a few
/// hundred megabytes.
pub(super) const MAX_STEPS: usize = 2_000_000;

/// What is wrong with a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// It ends within an instruction.
    #[error("the pickle is cut short at byte {at}")]
    Truncated {
        /// Bytes from its start.
        at: usize,
    },
    /// An instruction that no Python writes, or one that only makes sense inside a running Python.
    #[error("unknown pickle instruction {opcode:#04x} at byte {at}")]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Bytes from the pickle's start.
        at: usize,
    },
    /// An instruction whose operands on the stack, or in the file, are not what it needs.
    #[error("the pickle instruction {opcode:#04x} at byte {at} has no fitting operand")]
    Operand {
        /// The instruction.
        opcode: u8,
        /// Bytes from the pickle's start.
        at: usize,
    },
    /// A pickle far longer than any model's.
    #[error("the pickle has more than {MAX_STEPS} instructions")]
    TooLong,
}

/// The error that holds it has the hint.
impl Hint for PickleError {}

/// A value in a [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u32);

/// One value. Children are [`Id`]s in the same [`Pickle`]; they may be circular.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Node<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A longer integer, little-endian in two's complement or as decimal text; not needed here.
    Long(&'a [u8]),
    /// A float.
    Float(f64),
    /// A string.
    Str(&'a str),
    /// Bytes, or a string that is not UTF-8 (Python's lone surrogates).
    Bytes(&'a [u8]),
    /// A list.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A set or frozen set.
    Set(Vec<Id>),
    /// A dict, or a `collections.OrderedDict` made empty, in order, repeated keys as they came.
    Dict(Vec<(Id, Id)>),
    /// The name of a class or function; never looked up.
    Global {
        /// Its module: `torch._utils`.
        module: &'a str,
        /// Its name there: `_rebuild_tensor_v2`.
        name: &'a str,
    },
    /// What a call would have made; never called.
    Object {
        /// What would have been called, mostly a [`Node::Global`].
        callable: Id,
        /// Its positional arguments, mostly a [`Node::Tuple`].
        args: Id,
        /// What `__setstate__` or `__dict__` would have been given.
        state: Option<Id>,
        /// Items that would have been set, in order.
        items: Vec<(Id, Id)>,
    },
    /// Something kept outside the pickle, by its identifier; in torch's files, values of tensors.
    Persistent(Id),
}

/// One complete pickle.
#[derive(Debug, Clone)]
pub struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
    bytes: usize,
}

impl<'a> Pickle<'a> {
    /// Reads one pickle, of protocol 0 to 5, from the start of `input`; what follows it is ignored.
    ///
    /// Takes time and memory linear in the bytes read, whatever they are.
    ///
    /// # Errors
    ///
    /// [`PickleError`] where no Python could have read it, and for pickles over 2 M instructions.
    pub fn parse(input: &'a [u8]) -> Result<Self, PickleError> {
        machine::run(input)
    }

    /// Returns the value that unpickling returns.
    #[must_use]
    pub fn root(&self) -> Id {
        self.root
    }

    /// Bytes of the input that it took.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Returns whether it took no bytes: never, a pickle has at least an end.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Returns a value.
    ///
    /// # Panics
    ///
    /// Where `id` is of another pickle.
    #[must_use]
    pub fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    /// Returns all values, in the order in which they were made.
    pub fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.nodes.len() as u32).map(Id)
    }

    /// Returns the items of a dict, or none for anything else.
    #[must_use]
    pub fn items(&self, id: Id) -> &[(Id, Id)] {
        match self.node(id) {
            Node::Dict(items) | Node::Object { items, .. } => items,
            _ => &[],
        }
    }

    /// Returns the elements of a tuple or list, or none for anything else.
    #[must_use]
    pub fn elements(&self, id: Id) -> &[Id] {
        match self.node(id) {
            Node::Tuple(elements) | Node::List(elements) => elements,
            _ => &[],
        }
    }

    /// Returns the text of a string.
    #[must_use]
    pub fn str(&self, id: Id) -> Option<&'a str> {
        match self.node(id) {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the last value under `key` in a dict.
    #[must_use]
    pub fn get(&self, dict: Id, key: &str) -> Option<Id> {
        let mut items = self.items(dict).iter().rev();
        items.find(|(name, _)| self.str(*name) == Some(key)).map(|(_, value)| *value)
    }

    /// Returns the attribute of an object such as `argparse.Namespace`, or the value in a dict.
    #[must_use]
    pub fn attribute(&self, id: Id, name: &str) -> Option<Id> {
        match self.node(id) {
            // `copyreg` gives a pair (dict, slots) for classes with slots.
            Node::Object { state: Some(state), .. } => {
                let dict = self.elements(*state).first().unwrap_or(state);
                self.get(*dict, name)
            }
            _ => self.get(id, name),
        }
    }

    /// Returns the arguments of an object that calling `module.name` would have made.
    #[must_use]
    pub fn call(&self, id: Id) -> Option<(&'a str, &'a str, &[Id])> {
        let Node::Object { callable, args, .. } = self.node(id) else { return None };
        let Node::Global { module, name } = self.node(*callable) else { return None };
        Some((module, name, self.elements(*args)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(input: &[u8]) -> Node<'_> {
        let pickle = Pickle::parse(input).unwrap();
        assert_eq!(pickle.len(), input.len());
        pickle.node(pickle.root()).clone()
    }

    #[test]
    fn a_class_is_a_name_and_nothing_is_called() {
        // pickle.dumps({"os": os.system}, 2), where the class is `posix.system`
        let pickle = Pickle::parse(b"\x80\x02}U\x02oscposix\nsystem\ns.").unwrap();
        let system = pickle.get(pickle.root(), "os").unwrap();
        assert!(matches!(pickle.node(system), Node::Global { name, .. } if *name == "system"));
    }

    #[test]
    fn plain_values_of_all_protocols() {
        let cases: [(&[u8], Node<'_>); 17] = [
            (b"N.", Node::None),
            (b"\x80\x02\x88.", Node::Bool(true)),
            (b"I01\n.", Node::Bool(true)),
            (b"I-5\n.", Node::Int(-5)),
            (b"L12345678901L\n.", Node::Int(12_345_678_901)),
            (b"J\xff\xff\xff\xff.", Node::Int(-1)),
            (b"M\x00\x01.", Node::Int(256)),
            (b"\x8a\x00.", Node::Int(0)),
            (b"\x8a\x02\x00\x80.", Node::Int(-32768)),
            (b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", Node::Long(&[0, 0, 0, 0, 0, 0, 0, 0, 1])),
            (b"F1.5\n.", Node::Float(1.5)),
            (b"G\x3f\xf8\x00\x00\x00\x00\x00\x00.", Node::Float(1.5)),
            (b"S'ab'\n.", Node::Str("ab")),
            (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x02\xc3\xa9\x94.", Node::Str("\u{e9}")),
            (b"X\x03\x00\x00\x00\xed\xa0\x80.", Node::Bytes(b"\xed\xa0\x80")),
            (b"C\x01\xff.", Node::Bytes(b"\xff")),
            (b")0].", Node::List(vec![])),
        ];
        for (input, expected) in cases {
            assert_eq!(root(input), expected, "{input:?}");
        }
    }

    #[test]
    fn a_dict_filled_after_it_was_memoized_is_full_at_every_place() {
        // d = {}; [d, d] with d["a"] = 1 set in between
        let pickle = Pickle::parse(b"\x80\x02]q\x00}q\x01X\x01\x00\x00\x00aK\x01sah\x01a.").unwrap();
        let elements = pickle.elements(pickle.root());
        assert_eq!(elements[0], elements[1]);
        let one = pickle.get(elements[0], "a").unwrap();
        assert_eq!(pickle.node(one), &Node::Int(1));
    }

    #[test]
    fn a_list_that_holds_itself_is_read_and_dropped() {
        let pickle = Pickle::parse(b"]q\x00h\x00a.").unwrap();
        assert_eq!(pickle.elements(pickle.root()), [pickle.root()]);
    }

    #[test]
    fn calls_stay_objects_in_every_spelling() {
        let spellings: [&[u8]; 6] = [
            b"cposix\nsystem\n(S'touch x'\ntR.",
            b"\x80\x02cposix\nsystem\nU\x07touch x\x85R.",
            b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x07touch x\x85R.",
            b"(S'touch x'\niposix\nsystem\n.",
            b"(cposix\nsystem\nS'touch x'\no.",
            b"\x80\x02cposix\nsystem\nU\x07touch x\x85\x81.",
        ];
        for spelling in spellings {
            let pickle = Pickle::parse(spelling).unwrap();
            let (module, name, args) = pickle.call(pickle.root()).unwrap();
            assert_eq!((module, name, pickle.str(args[0])), ("posix", "system", Some("touch x")));
        }
    }

    #[test]
    fn attributes_of_a_namespace_are_found_in_its_state() {
        let pickle = Pickle::parse(b"\x80\x02cargparse\nNamespace\n)\x81}U\x06layersK\x06sb.").unwrap();
        let layers = pickle.attribute(pickle.root(), "layers").unwrap();
        assert_eq!(pickle.node(layers), &Node::Int(6));
        assert_eq!(pickle.attribute(pickle.root(), "heads"), None);
    }

    #[test]
    fn programs_that_no_python_writes_are_errors() {
        let broken: [&[u8]; 20] = [
            b"",
            b".",
            b"0.",
            b"1.",
            b"2.",
            b"a.",
            b"(a.",
            b"K\x01K\x02a.",
            b"(K\x01u.",
            b"]K\x01K\x02s.",
            b"t.",
            b"R.",
            b"b.",
            b"o.",
            b"(o.",
            b"h\x00.",
            b"gx\n.",
            b"N",
            b"\xff.",
            b"\x82\x01.",
        ];
        for program in broken {
            assert!(Pickle::parse(program).is_err(), "{program:?}");
        }
        // marks protect what lies below them
        assert!(Pickle::parse(b"K\x01(\x85.").is_err());
        assert!(Pickle::parse(b"K\x01(.").is_err());
    }

    #[test]
    fn huge_lengths_allocate_nothing() {
        for opcode in [
            b"X\xff\xff\xff\xff".as_slice(),
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x8b\xff\xff\xff\xff",
        ] {
            assert!(matches!(Pickle::parse(opcode), Err(PickleError::Truncated { .. })));
        }
        // a memo index far beyond the memo
        assert_eq!(root(b"Nr\xff\xff\xff\xff."), Node::None);
    }

    #[test]
    fn deep_nesting_and_doubling_are_linear() {
        let deep = [vec![b']'; 100_000], vec![b'a'; 99_999], b".".to_vec()].concat();
        drop(Pickle::parse(&deep).unwrap());
        // each list holds the one before it twice: 2^5000 leaves as a tree
        let doubling = [b"]".to_vec(), b"2\x86".repeat(5_000), b".".to_vec()].concat();
        assert!(matches!(root(&doubling), Node::Tuple(pair) if pair[0] == pair[1]));
        assert_eq!(Pickle::parse(&vec![b'N'; MAX_STEPS + 1]).unwrap_err(), PickleError::TooLong);
    }
}
