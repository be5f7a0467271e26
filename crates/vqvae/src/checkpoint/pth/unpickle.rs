//! A bounded reader of Python's pickle format, protocol 2, as `torch.save` writes it.
//!
//! A pickle is a program for a small stack machine; Python's own reader lets it call any function. This one knows
//! few callables (a dictionary, a tensor view, a parameter, a size, NumPy's scalars) and turns every other call into an inert object.
//! Nodes live in one arena and refer to each other by index, so that shared and even cyclic references cost nothing
//! until [`unpickle`] copies the result out, within limits of its own.
//!
//! Source: the opcodes are described in CPython's `Lib/pickletools.py`, the calls in PyTorch's `torch/_utils.py`.

use std::collections::HashMap;

use super::node::{Copier, Id, Node, Result};
use super::numpy;
use super::value::{PthValue, StorageType, TensorRef};

/// Most operations that a pickle may hold. A VQ-VAE-2 with its optimizer has about ten thousand.
const MAX_OPERATIONS: usize = 2_000_000;
/// Most axes of a tensor.
const MAX_RANK: usize = 8;
/// Longest name of a storage.
const MAX_STORAGE_NAME: usize = 256;

/// Why a pickle was refused.
#[derive(Debug)]
pub(super) struct PickleError {
    /// The byte at which the failing operation starts.
    pub offset: usize,
    /// What was expected and found.
    pub message: String,
}

/// Reads one pickled value.
pub(super) fn unpickle(bytes: &[u8]) -> Result<PthValue, PickleError> {
    let mut machine = Machine::new(bytes);
    let root = loop {
        let offset = machine.position;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => break root,
            Err(message) => return Err(PickleError { offset, message }),
        }
    };
    Copier::new(&machine.nodes).value(root, 0).map_err(|message| PickleError { offset: machine.position, message })
}

struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    operations: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Stack heights at the marks that are open.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            operations: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Runs one operation; gives the result at the end of the program.
    fn step(&mut self) -> Result<Option<Id>> {
        self.operations += 1;
        if self.operations > MAX_OPERATIONS {
            return Err(format!("expected at most {MAX_OPERATIONS} operations"));
        }
        let [operation] = self.array()?;
        match operation {
            0x80 => {
                let [version] = self.array()?;
                if version > 2 {
                    return Err(format!(
                        "expected pickle protocol 2, found {version}; save it again with torch.save's default"
                    ));
                }
            }
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' => {
                let [byte] = self.array()?;
                self.push(Node::Int(byte.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()));
            }
            0x8a => {
                let [length] = self.array()?;
                self.long(length.into())?;
            }
            0x8b => {
                let length = self.length()?;
                self.long(length)?;
            }
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(value));
            }
            b'X' => {
                let length = self.length()?;
                let text = utf8(self.take(length)?)?;
                self.push(Node::Text(text));
            }
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push(Node::Global { module, name });
            }
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Node::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Node::Tuple(items));
            }
            0x85..=0x87 => {
                let mut items = (0..operation - 0x84).map(|_| self.pop()).collect::<Result<Vec<Id>>>()?;
                items.reverse();
                self.push(Node::Tuple(items));
            }
            b']' => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.pop_to_mark()?;
            }
            b'2' => self.stack.push(self.top()?),
            b'q' => {
                let [index] = self.array()?;
                self.memo.insert(index.into(), self.top()?);
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?);
                self.memo.insert(index, self.top()?);
            }
            b'h' => {
                let [index] = self.array()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index)?;
            }
            b'Q' => self.persistent_load()?,
            b'R' => self.reduce()?,
            0x81 => {
                let (_arguments, _class) = (self.pop()?, self.pop()?);
                self.push(Node::Object { items: Vec::new(), state: None });
            }
            b'b' => {
                let built_from = self.pop()?;
                let object = self.top()?;
                // A dictionary's state is its attributes, which are no items of it.
                // A NumPy type's state is its version, its byte order, and more.
                let order = self.tuple(built_from).and_then(|fields| fields.get(1)).map(|&order| &self.nodes[order]);
                let big_endian = matches!(order, Some(Node::Text(">")));
                match &mut self.nodes[object] {
                    Node::Object { state, .. } => *state = Some(built_from),
                    Node::NumpyType(kind) => kind.big_endian = big_endian,
                    _ => {}
                }
            }
            b'.' => return self.pop().map(Some),
            other => return Err(format!("unknown operation {other:#04x}")),
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        let Some(taken) = rest.get(..length) else {
            return Err(format!("expected {length} more bytes, found {}", rest.len()));
        };
        self.position += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn length(&mut self) -> Result<usize> {
        let length = u32::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| format!("a length of {length} is too large"))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.position..];
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or("expected a line, found the end of the data")?;
        let line = utf8(self.take(end)?)?;
        self.position += 1;
        Ok(line)
    }

    /// Pushes a little-endian two's-complement integer.
    fn long(&mut self, length: usize) -> Result<()> {
        let digits = self.take(length)?;
        let negative = digits.last().is_some_and(|&byte| byte >= 0x80);
        if length <= 8 {
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[..length].copy_from_slice(digits);
            self.push(Node::Int(i64::from_le_bytes(wide)));
        } else {
            let magnitude = digits.iter().rev().fold(0.0, |value, &byte| value * 256.0 + f64::from(byte));
            let value = if negative { magnitude - 256_f64.powf(length as f64) } else { magnitude };
            self.push(Node::Float(value));
        }
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    /// The lowest height to which the stack may be popped.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => Err("expected a value on the stack, found none".into()),
        }
    }

    fn pop(&mut self) -> Result<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or("expected a mark on the stack, found none")?;
        Ok(self.stack.split_off(mark))
    }

    fn recall(&mut self, index: u32) -> Result<()> {
        let &id = self.memo.get(&index).ok_or_else(|| format!("nothing was remembered as {index}"))?;
        self.stack.push(id);
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<()> {
        let list = self.top()?;
        match &mut self.nodes[list] {
            Node::List(values) => values.extend_from_slice(items),
            // A subclass of list: what it holds is not kept.
            Node::Object { .. } => {}
            _ => return Err("expected a list to append to".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("expected pairs of keys and values, found an odd number of items".into());
        }
        let dict = self.top()?;
        match &mut self.nodes[dict] {
            Node::Dict(entries) | Node::Object { items: entries, .. } => {
                entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            _ => return Err("expected a dictionary to add items to".into()),
        }
        Ok(())
    }

    /// `('storage', class, name, location, elements)`, which is how a tensor's storage is named.
    fn persistent_load(&mut self) -> Result<()> {
        let id = self.pop()?;
        let storage = self.tuple(id).and_then(|fields| match *fields {
            [tag, class, name, ..] if matches!(self.nodes[tag], Node::Text("storage")) => {
                match (&self.nodes[class], &self.nodes[name]) {
                    (Node::Global { name: class, .. }, Node::Text(name)) => Some((*class, *name)),
                    _ => None,
                }
            }
            _ => None,
        });
        let (class, name) = storage.ok_or("expected the description of a tensor's storage")?;
        if name.len() > MAX_STORAGE_NAME {
            return Err(format!("expected a storage name of at most {MAX_STORAGE_NAME} bytes, found {}", name.len()));
        }
        self.push(Node::Storage { name, storage_type: StorageType::from_class(class) });
        Ok(())
    }

    fn reduce(&mut self) -> Result<()> {
        let arguments = self.pop()?;
        let callable = self.pop()?;
        let (module, name) = match self.nodes[callable] {
            Node::Global { module, name } => (module, name),
            _ => ("", ""),
        };
        let node = match (module, name) {
            ("collections", "OrderedDict") if self.tuple(arguments).is_some_and(<[Id]>::is_empty) => {
                Node::Dict(Vec::new())
            }
            ("torch._utils", "_rebuild_tensor_v2") => Node::Tensor(Box::new(self.tensor(arguments)?)),
            ("torch._utils", "_rebuild_parameter") | ("torch", "Size") => {
                let &[first, ..] = self.tuple(arguments).unwrap_or_default() else {
                    return Err(format!("{module}.{name}: expected an argument"));
                };
                self.stack.push(first);
                return Ok(());
            }
            _ => {
                let arguments: Vec<&Node<'a>> =
                    self.tuple(arguments).unwrap_or_default().iter().take(4).map(|&id| &self.nodes[id]).collect();
                numpy::call(module, name, &arguments)?.unwrap_or(Node::Object { items: Vec::new(), state: None })
            }
        };
        self.push(node);
        Ok(())
    }

    /// A tensor view from `(storage, offset, size, stride, requires_grad, hooks)`.
    fn tensor(&self, arguments: Id) -> Result<TensorRef> {
        let Some(&[storage, offset, shape, strides, ..]) = self.tuple(arguments) else {
            return Err("tensor: expected a storage, an offset, a size and strides".into());
        };
        let Node::Storage { name, storage_type } = self.nodes[storage] else {
            return Err("tensor: expected a storage".into());
        };
        let (shape, strides) = (self.axes(shape)?, self.axes(strides)?);
        if shape.len() != strides.len() {
            return Err(format!("tensor: expected as many strides as axes, found {strides:?} for {shape:?}"));
        }
        let offset = self.count(offset)?;
        Ok(TensorRef { storage: name.to_owned(), storage_type, offset, shape, strides })
    }

    fn axes(&self, id: Id) -> Result<Vec<usize>> {
        let axes = self.tuple(id).ok_or("tensor: expected a tuple of lengths")?;
        if axes.len() > MAX_RANK {
            return Err(format!("tensor: expected at most {MAX_RANK} axes, found {}", axes.len()));
        }
        axes.iter().map(|&axis| self.count(axis)).collect()
    }

    fn count(&self, id: Id) -> Result<usize> {
        match self.nodes[id] {
            Node::Int(value) => usize::try_from(value).map_err(|_| format!("tensor: expected a length, found {value}")),
            _ => Err("tensor: expected a length".into()),
        }
    }

    fn tuple(&self, id: Id) -> Option<&[Id]> {
        if let Node::Tuple(items) = &self.nodes[id] { Some(items) } else { None }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| format!("expected UTF-8 text: {error}"))
}
