//! The stack machine that a pickle is a program for, without its calls.

use std::collections::HashMap;

use super::opcode::*;
use super::{Id, MAX_STEPS, Node, Pickle, PickleError};

/// Reads one pickle from the start of `input`.
pub(super) fn run(input: &[u8]) -> Result<Pickle<'_>, PickleError> {
    let mut machine = Machine {
        input,
        at: 0,
        opcode: 0,
        opcode_at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    // Each step pushes at most one value on the stack, in the memo and on the list of nodes (two for a few): the
    // one limit on steps bounds them all.
    for _ in 0..MAX_STEPS {
        if let Some(root) = machine.step()? {
            return Ok(Pickle { nodes: machine.nodes, root, bytes: machine.at });
        }
    }
    Err(PickleError::TooLong)
}

struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    /// The instruction being run and its place, for errors.
    opcode: u8,
    opcode_at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks on it.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// Runs one instruction; gives the result at the last one.
    fn step(&mut self) -> Result<Option<Id>, PickleError> {
        self.opcode_at = self.at;
        self.opcode = self.byte()?;
        match self.opcode {
            STOP => return self.pop().map(Some),
            PROTO => {
                self.byte()?;
            }
            FRAME => {
                self.take(8)?;
            }
            MARK => self.marks.push(self.stack.len()),
            POP => match self.marks.last() {
                // Python's own reader removes a mark that has nothing above it.
                Some(mark) if *mark == self.stack.len() => {
                    self.marks.pop();
                }
                _ => {
                    self.pop()?;
                }
            },
            POP_MARK => {
                self.pop_mark()?;
            }
            DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }
            PUT | BINPUT | LONG_BINPUT | MEMOIZE | GET | BINGET | LONG_BINGET => self.memo()?,
            NONE | NEWTRUE | NEWFALSE | INT | BININT | BININT1 | BININT2 | LONG | LONG1 | LONG4 | FLOAT
            | BINFLOAT => self.number()?,
            STRING | BINSTRING | SHORT_BINSTRING | UNICODE | BINUNICODE | SHORT_BINUNICODE | BINUNICODE8
            | BINBYTES | SHORT_BINBYTES | BINBYTES8 | BYTEARRAY8 => self.text()?,
            EMPTY_LIST | LIST | EMPTY_TUPLE | TUPLE | TUPLE1 | TUPLE2 | TUPLE3 | EMPTY_DICT | DICT
            | EMPTY_SET | FROZENSET => self.container()?,
            APPEND | APPENDS | ADDITEMS | SETITEM | SETITEMS => self.fill()?,
            GLOBAL | STACK_GLOBAL | REDUCE | BUILD | INST | OBJ | NEWOBJ | NEWOBJ_EX | PERSID | BINPERSID => {
                self.object()?;
            }
            opcode => return Err(PickleError::Opcode { opcode, at: self.opcode_at }),
        }
        Ok(None)
    }

    fn memo(&mut self) -> Result<(), PickleError> {
        let key = match self.opcode {
            MEMOIZE => self.memo.len() as u64,
            BINPUT | BINGET => self.byte()?.into(),
            LONG_BINPUT | LONG_BINGET => self.length(4)? as u64,
            _ => self.decimal()?,
        };
        if matches!(self.opcode, GET | BINGET | LONG_BINGET) {
            let id = *self.memo.get(&key).ok_or_else(|| self.operand())?;
            self.stack.push(id);
        } else {
            let top = self.top()?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), PickleError> {
        let node = match self.opcode {
            NONE => Node::None,
            NEWTRUE => Node::Bool(true),
            NEWFALSE => Node::Bool(false),
            BININT1 => Node::Int(self.byte()?.into()),
            BININT2 => Node::Int(self.length(2)? as i64),
            BININT => Node::Int(i32::from_le_bytes(self.array()?).into()),
            BINFLOAT => Node::Float(f64::from_be_bytes(self.array()?)),
            LONG1 | LONG4 => {
                let length = self.length(if self.opcode == LONG1 { 1 } else { 4 })?;
                long(self.take(length)?)
            }
            _ => {
                let line = self.line()?;
                let text = std::str::from_utf8(line).map_err(|_| self.operand())?;
                match (self.opcode, text) {
                    (INT, "00") => Node::Bool(false),
                    (INT, "01") => Node::Bool(true),
                    (FLOAT, text) => Node::Float(text.parse().map_err(|_| self.operand())?),
                    (_, text) => text.trim_end_matches('L').parse().map_or(Node::Long(line), Node::Int),
                }
            }
        };
        self.push(node);
        Ok(())
    }

    fn text(&mut self) -> Result<(), PickleError> {
        let node = match self.opcode {
            STRING | UNICODE => {
                let mut line = self.line()?;
                if self.opcode == STRING {
                    // A quoted literal. Escapes stay as they are: no name of a tensor has one.
                    let quoted =
                        line.len() >= 2 && matches!(line[0], b'\'' | b'"') && line.ends_with(&line[..1]);
                    line = if quoted { &line[1..line.len() - 1] } else { return Err(self.operand()) };
                }
                str_or_bytes(line)
            }
            opcode => {
                let length = self.length(match opcode {
                    SHORT_BINSTRING | SHORT_BINUNICODE | SHORT_BINBYTES => 1,
                    BINSTRING | BINUNICODE | BINBYTES => 4,
                    _ => 8,
                })?;
                let bytes = self.take(length)?;
                match opcode {
                    BINBYTES | SHORT_BINBYTES | BINBYTES8 | BYTEARRAY8 => Node::Bytes(bytes),
                    _ => str_or_bytes(bytes),
                }
            }
        };
        self.push(node);
        Ok(())
    }

    fn container(&mut self) -> Result<(), PickleError> {
        let node = match self.opcode {
            EMPTY_LIST => Node::List(Vec::new()),
            EMPTY_TUPLE => Node::Tuple(Vec::new()),
            EMPTY_DICT => Node::Dict(Vec::new()),
            EMPTY_SET => Node::Set(Vec::new()),
            TUPLE1 => Node::Tuple(self.pop_many(1)?),
            TUPLE2 => Node::Tuple(self.pop_many(2)?),
            TUPLE3 => Node::Tuple(self.pop_many(3)?),
            LIST => Node::List(self.pop_mark()?),
            TUPLE => Node::Tuple(self.pop_mark()?),
            FROZENSET => Node::Set(self.pop_mark()?),
            _ => {
                let flat = self.pop_mark()?;
                Node::Dict(self.pairs(&flat)?)
            }
        };
        self.push(node);
        Ok(())
    }

    /// Adds to the container that lies below the values.
    fn fill(&mut self) -> Result<(), PickleError> {
        let values = match self.opcode {
            APPEND => self.pop_many(1)?,
            SETITEM => self.pop_many(2)?,
            _ => self.pop_mark()?,
        };
        let into_dict = matches!(self.opcode, SETITEM | SETITEMS);
        let pairs = if into_dict { self.pairs(&values)? } else { Vec::new() };
        let operand = self.operand();
        let container = self.top()?;
        match (&mut self.nodes[container.0 as usize], into_dict) {
            (Node::List(elements) | Node::Set(elements), false) => elements.extend(values),
            // Lists of a class of their own: kept inert, and never read.
            (Node::Object { .. }, false) => {}
            (Node::Dict(items) | Node::Object { items, .. }, true) => items.extend(pairs),
            _ => return Err(operand),
        }
        Ok(())
    }

    /// Records what an instruction would have imported or called.
    fn object(&mut self) -> Result<(), PickleError> {
        let node = match self.opcode {
            GLOBAL => {
                let module = self.text_line()?;
                Node::Global { module, name: self.text_line()? }
            }
            STACK_GLOBAL => {
                let names = self.pop_many(2)?;
                let text = |id: Id| match &self.nodes[id.0 as usize] {
                    Node::Str(text) => Ok(*text),
                    _ => Err(self.operand()),
                };
                Node::Global { module: text(names[0])?, name: text(names[1])? }
            }
            REDUCE | NEWOBJ => {
                let call = self.pop_many(2)?;
                self.called(call[0], call[1])
            }
            NEWOBJ_EX => {
                // The keyword arguments of a constructor say nothing that is read here.
                let call = self.pop_many(3)?;
                self.called(call[0], call[1])
            }
            INST => {
                let module = self.text_line()?;
                let global = Node::Global { module, name: self.text_line()? };
                let args = Node::Tuple(self.pop_mark()?);
                let (callable, args) = (self.add(global), self.add(args));
                self.called(callable, args)
            }
            OBJ => {
                let mut call = self.pop_mark()?;
                if call.is_empty() {
                    return Err(self.operand());
                }
                let callable = call.remove(0);
                let args = self.add(Node::Tuple(call));
                self.called(callable, args)
            }
            BUILD => {
                let built = self.pop()?;
                let object = self.top()?;
                // A state on a dict (torch puts `_metadata` on its OrderedDict) is dropped.
                if let Node::Object { state, .. } = &mut self.nodes[object.0 as usize] {
                    *state = Some(built);
                }
                return Ok(());
            }
            PERSID => {
                let text = Node::Str(self.text_line()?);
                Node::Persistent(self.add(text))
            }
            _ => Node::Persistent(self.pop()?),
        };
        self.push(node);
        Ok(())
    }

    /// Returns what a call makes: an empty dict for `collections.OrderedDict()`, an inert object for all
    /// else.
    fn called(&self, callable: Id, args: Id) -> Node<'a> {
        let ordered_dict = Node::Global { module: "collections", name: "OrderedDict" };
        let no_args = matches!(&self.nodes[args.0 as usize], Node::Tuple(args) if args.is_empty());
        if no_args && self.nodes[callable.0 as usize] == ordered_dict {
            return Node::Dict(Vec::new());
        }
        Node::Object { callable, args, state: None, items: Vec::new() }
    }

    fn pairs(&self, flat: &[Id]) -> Result<Vec<(Id, Id)>, PickleError> {
        let pairs = flat.chunks_exact(2);
        if pairs.remainder().is_empty() {
            Ok(pairs.map(|pair| (pair[0], pair[1])).collect())
        } else {
            Err(self.operand())
        }
    }

    fn add(&mut self, node: Node<'a>) -> Id {
        let id = Id(u32::try_from(self.nodes.len()).expect("a few nodes a step, and steps are bounded"));
        self.nodes.push(node);
        id
    }

    fn push(&mut self, node: Node<'a>) {
        let id = self.add(node);
        self.stack.push(id);
    }

    /// Height of the stack that may not be taken: what lies below the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, PickleError> {
        if self.stack.len() > self.floor() {
            Ok(self.stack[self.stack.len() - 1])
        } else {
            Err(self.operand())
        }
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, PickleError> {
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= self.floor() => Ok(self.stack.split_off(start)),
            _ => Err(self.operand()),
        }
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.operand())?;
        Ok(self.stack.split_off(mark))
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        Ok(self.take(N)?.try_into().expect("take gives as many bytes as it was asked for"))
    }

    /// Returns a little-endian unsigned number of `width` bytes.
    fn length(&mut self, width: usize) -> Result<usize, PickleError> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| self.operand())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let end = self.at.checked_add(count);
        let bytes = end.and_then(|end| self.input.get(self.at..end));
        let bytes = bytes.ok_or(PickleError::Truncated { at: self.input.len() })?;
        self.at += count;
        Ok(bytes)
    }

    /// Returns the bytes before the next line feed, which is taken too.
    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = &self.input[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n');
        let length = length.ok_or(PickleError::Truncated { at: self.input.len() })?;
        self.at += length + 1;
        Ok(&rest[..length])
    }

    fn text_line(&mut self) -> Result<&'a str, PickleError> {
        std::str::from_utf8(self.line()?).map_err(|_| self.operand())
    }

    fn decimal(&mut self) -> Result<u64, PickleError> {
        self.text_line()?.parse().map_err(|_| self.operand())
    }

    fn operand(&self) -> PickleError {
        PickleError::Operand { opcode: self.opcode, at: self.opcode_at }
    }
}

/// Returns a little-endian two's-complement integer of any length.
fn long(bytes: &[u8]) -> Node<'_> {
    if bytes.len() > 8 {
        return Node::Long(bytes);
    }
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(wide))
}

/// Returns a string where the bytes are UTF-8. Lone surrogates, which Python lets through, are not: no name
/// has them, and replacing them would need a copy, which a hostile file could ask for again and again.
fn str_or_bytes(bytes: &[u8]) -> Node<'_> {
    std::str::from_utf8(bytes).map_or(Node::Bytes(bytes), Node::Str)
}
