//! The objects that a pickle builds, and how they become values.

use std::collections::HashMap;

use super::value::{PthValue, StorageType, TensorRef};

/// Most values that the result may hold, with shared ones counted each time.
const MAX_VALUES: usize = 1_000_000;
/// Most bytes of text that the result may hold, with shared strings counted each time.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// Deepest nesting of the result.
const MAX_DEPTH: usize = 64;

/// The error says what was expected and found.
pub(super) type Result<T, E = String> = std::result::Result<T, E>;
/// The index of a node in the arena.
pub(super) type Id = usize;

/// A type of NumPy's, as far as scalars need it.
#[derive(Clone, Debug)]
pub(super) struct NumpyType {
    /// Its code, such as `i8`.
    pub(super) code: String,
    pub(super) big_endian: bool,
}

/// One object of the stack machine.
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// Text that was made while reading.
    OwnText(String),
    Bytes(Vec<u8>),
    NumpyType(NumpyType),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// The name of a class or function.
    Global {
        module: &'a str,
        name: &'a str,
    },
    /// An object of a class that is not known: its dictionary items and the state it was built with.
    Object {
        items: Vec<(Id, Id)>,
        state: Option<Id>,
    },
    Storage {
        name: &'a str,
        storage_type: StorageType,
    },
    Tensor(Box<TensorRef>),
}

/// Copies a node and all that it refers to out of the arena.
pub(super) struct Copier<'n, 'a> {
    nodes: &'n [Node<'a>],
    values: usize,
    text_bytes: usize,
}

impl<'n, 'a> Copier<'n, 'a> {
    pub(super) fn new(nodes: &'n [Node<'a>]) -> Self {
        Self { nodes, values: 0, text_bytes: 0 }
    }

    /// The value of node `id`, which lies `depth` levels inside the result.
    pub(super) fn value(&mut self, id: Id, depth: usize) -> Result<PthValue> {
        if depth > MAX_DEPTH {
            return Err(format!("expected values nested at most {MAX_DEPTH} deep"));
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(format!("expected at most {MAX_VALUES} values"));
        }
        Ok(match &self.nodes[id] {
            Node::None | Node::Global { .. } | Node::Storage { .. } | Node::Bytes(_) | Node::NumpyType(_) => {
                PthValue::None
            }
            Node::Bool(value) => PthValue::Bool(*value),
            Node::Int(value) => PthValue::Int(*value),
            Node::Float(value) => PthValue::Float(*value),
            Node::Text(text) => PthValue::String(self.text(text)?),
            Node::OwnText(text) => PthValue::String(self.text(text)?),
            Node::Tuple(items) | Node::List(items) => {
                PthValue::List(items.iter().map(|&item| self.value(item, depth + 1)).collect::<Result<_>>()?)
            }
            Node::Dict(items) => self.dict(&[items], depth)?,
            Node::Object { items, state } => match state.map(|state| &self.nodes[state]) {
                Some(Node::Dict(attributes) | Node::Object { items: attributes, .. }) => {
                    self.dict(&[items, attributes], depth)?
                }
                _ => self.dict(&[items], depth)?,
            },
            Node::Tensor(tensor) => PthValue::Tensor(TensorRef::clone(tensor)),
        })
    }

    /// As in Python, a key that comes again keeps its place and takes the new value.
    fn dict(&mut self, parts: &[&'n Vec<(Id, Id)>], depth: usize) -> Result<PthValue> {
        let mut entries: Vec<(PthValue, PthValue)> = Vec::new();
        let mut places: HashMap<&'a str, usize> = HashMap::new();
        for &(key, value) in parts.iter().copied().flatten() {
            let value = self.value(value, depth + 1)?;
            if let Node::Text(text) = self.nodes[key] {
                if let Some(&place) = places.get(text) {
                    entries[place].1 = value;
                    continue;
                }
                places.insert(text, entries.len());
            }
            entries.push((self.value(key, depth + 1)?, value));
        }
        Ok(PthValue::Dict(entries))
    }

    fn text(&mut self, text: &str) -> Result<String> {
        self.text_bytes += text.len();
        if self.text_bytes > MAX_TEXT_BYTES {
            return Err(format!("expected at most {MAX_TEXT_BYTES} bytes of text"));
        }
        Ok(text.to_owned())
    }
}
