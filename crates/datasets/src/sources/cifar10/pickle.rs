//! Python's pickle as data: dictionaries, lists, numbers, text, bytes and NumPy arrays of bytes. Nothing is called: what
//! a pickle asks to be called and is none of these becomes an object without contents.

use std::borrow::Cow;
use std::collections::HashMap;

/// A value's number.
type Id = usize;
type Result<T> = std::result::Result<T, String>;

/// The most values of a pickle: a batch of CIFAR-10 has some 50,000.
const MOST_VALUES: usize = 2_000_000;
/// The longest name of a class or a type that is copied.
const LONGEST_NAME: usize = 200;
/// The most axes of an array.
const MOST_AXES: usize = 8;

/// A value; those within it by their numbers.
pub(super) enum Value<'a> {
    None,
    Number(i64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function.
    Global(String, String),
    /// A NumPy array, once its state is known: shape and bytes.
    Array(Option<(Vec<usize>, Cow<'a, [u8]>)>),
    /// Something that was to be called.
    Other,
}

/// What a pickle holds.
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    top: Id,
}

impl<'a> Pickle<'a> {
    /// The value of the dictionary at `name`, be that text or bytes.
    pub fn entry(&self, name: &str) -> Option<&Value<'a>> {
        let Value::Dict(entries) = &self.values[self.top] else { return None };
        let is_named = |key: Id| match &self.values[key] {
            Value::Text(text) => text == name,
            Value::Bytes(bytes) => bytes.as_ref() == name.as_bytes(),
            _ => false,
        };
        entries.iter().find(|(key, _)| is_named(*key)).map(|(_, value)| &self.values[*value])
    }

    /// A whole number.
    pub fn number(&self, id: Id) -> Option<i64> {
        number(&self.values, id)
    }
}

impl<'a> Value<'a> {
    /// An array's shape and bytes.
    pub fn array(&self) -> Result<(&[usize], Cow<'a, [u8]>)> {
        match self {
            Value::Array(Some((shape, bytes))) => Ok((shape, bytes.clone())),
            _ => Err("expected an array of bytes".to_owned()),
        }
    }
}

fn number(values: &[Value<'_>], id: Id) -> Option<i64> {
    if let Value::Number(number) = values[id] { Some(number) } else { None }
}

/// Reads a pickle of any protocol that dictionaries of arrays are written in.
pub(super) fn parse(bytes: &[u8]) -> Result<Pickle<'_>> {
    let mut reader = Reader {
        rest: bytes,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        unwritten: bytes.len(),
    };
    loop {
        let [operation] = reader.array()?;
        if operation == b'.' {
            let top = reader.pop()?;
            return Ok(Pickle { values: reader.values, top });
        }
        reader.step(operation)?;
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// How many bytes may still be made of text.
    unwritten: usize,
}

impl<'a> Reader<'a> {
    fn step(&mut self, operation: u8) -> Result<()> {
        match operation {
            // The protocol, and a frame's length: nothing depends on them.
            0x80 => self.array::<1>().map(|_| ()),
            0x95 => self.array::<8>().map(|_| ()),
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Number(i64::from(operation == 0x88))),
            b'K' => self.unsigned(1).and_then(|value| self.push(Value::Number(value as i64))),
            b'M' => self.unsigned(2).and_then(|value| self.push(Value::Number(value as i64))),
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Number(value.into()))
            }
            0x8a => {
                let len = self.length(1)?;
                let digits = self.take(len)?;
                let mut wide = [if digits.last().is_some_and(|byte| *byte > 127) { 255 } else { 0 }; 8];
                wide.get_mut(..len).ok_or("a number is too large")?.copy_from_slice(digits);
                self.push(Value::Number(i64::from_le_bytes(wide)))
            }
            b'G' => self.array::<8>().and_then(|_| self.push(Value::Other)),
            // Text, and the strings of Python 2, which are bytes.
            b'X' => self.text(4),
            0x8c => self.text(1),
            0x8d => self.text(8),
            b'U' | b'C' => self.bytes(1),
            b'T' | b'B' => self.bytes(4),
            0x8e | 0x96 => self.bytes(8),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))
            }
            0x85..=0x87 => {
                let mut items = (0..operation - 0x84).map(|_| self.pop()).collect::<Result<Vec<Id>>>()?;
                items.reverse();
                self.push(Value::Tuple(items))
            }
            b'a' => self.pop().and_then(|item| self.append(&[item])),
            b'e' => self.pop_to_mark().and_then(|items| self.append(&items)),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])
            }
            b'u' => self.pop_to_mark().and_then(|items| self.set(&items)),
            b'0' => self.pop().map(|_| ()),
            b'q' => self.unsigned(1).and_then(|at| self.remember(at)),
            b'r' => self.unsigned(4).and_then(|at| self.remember(at)),
            0x94 => self.remember(self.memo.len() as u64),
            b'h' => self.unsigned(1).and_then(|at| self.recall(at)),
            b'j' => self.unsigned(4).and_then(|at| self.recall(at)),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(module, name))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module], &self.values[name]) {
                    (Value::Text(module), Value::Text(name)) if module.len() + name.len() <= LONGEST_NAME => {
                        let global = Value::Global(module.to_string(), name.to_string());
                        self.push(global)
                    }
                    _ => Err("a class without a name".to_owned()),
                }
            }
            b'R' => self.call(),
            b'b' => self.build(),
            // A buffer that is not to be changed.
            0x98 => Ok(()),
            other => Err(format!("unknown operation {other:#04x}")),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| format!("expected {len} more bytes, found {}", self.rest.len()))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A number of so many bytes.
    fn unsigned(&mut self, len: usize) -> Result<u64> {
        Ok(self.take(len)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn length(&mut self, len: usize) -> Result<usize> {
        usize::try_from(self.unsigned(len)?).map_err(|_| "a length is too large".to_owned())
    }

    fn text(&mut self, len: usize) -> Result<()> {
        let len = self.length(len)?;
        let text = std::str::from_utf8(self.take(len)?).map_err(|error| format!("expected UTF-8 text: {error}"))?;
        self.push(Value::Text(text.into()))
    }

    fn bytes(&mut self, len: usize) -> Result<()> {
        let len = self.length(len)?;
        let bytes = self.take(len)?;
        self.push(Value::Bytes(bytes.into()))
    }

    fn line(&mut self) -> Result<String> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or("expected a line")?;
        let line = self.take(end + 1)?;
        Ok(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        if self.values.len() == MOST_VALUES {
            return Err(format!("it holds more than {MOST_VALUES} values"));
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.last().filter(|_| self.stack.len() > floor);
        top.copied().ok_or_else(|| "expected a value, found none".to_owned())
    }

    fn pop(&mut self) -> Result<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or("expected a mark, found none")?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, at: u64) -> Result<()> {
        let id = self.top()?;
        self.memo.insert(at, id);
        Ok(())
    }

    fn recall(&mut self, at: u64) -> Result<()> {
        let id = *self.memo.get(&at).ok_or_else(|| format!("nothing was remembered as {at}"))?;
        if self.stack.len() == MOST_VALUES {
            return Err(format!("it holds more than {MOST_VALUES} values"));
        }
        self.stack.push(id);
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<()> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(values) => values.extend_from_slice(items),
            Value::Other => {}
            _ => return Err("expected a list to append to".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<()> {
        let dict = self.top()?;
        match &mut self.values[dict] {
            Value::Dict(entries) => entries.extend(items.as_chunks::<2>().0.iter().map(|&[key, value]| (key, value))),
            Value::Other => {}
            _ => return Err("expected a dictionary to add to".to_owned()),
        }
        Ok(())
    }

    /// What a call would give, for those few that make arrays and bytes.
    fn call(&mut self) -> Result<()> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Value::Global(module, name) = &self.values[callable] else {
            return self.push(Value::Other);
        };
        let arguments: &[Id] = if let Value::Tuple(arguments) = &self.values[arguments] { arguments } else { &[] };
        let value = match (module.as_str(), name.as_str(), arguments) {
            // Its state comes later.
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct", _) => Value::Array(None),
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer", &[buffer, dtype, shape, ..]) => {
                self.array_of(shape, dtype, buffer)?
            }
            ("numpy", "dtype", &[kind, ..]) => match &self.values[kind] {
                // All that is asked of a type is its name.
                Value::Text(kind) if kind.len() <= LONGEST_NAME => Value::Text(kind.clone()),
                Value::Bytes(kind) if kind.len() <= LONGEST_NAME => {
                    Value::Text(String::from_utf8_lossy(kind).into_owned().into())
                }
                _ => Value::Other,
            },
            // How bytes are written in protocol 2: as the text of their numbers.
            ("_codecs", "encode", &[text, ..]) => match &self.values[text] {
                Value::Text(text) => {
                    // A text can be remembered and written again and again.
                    self.unwritten = self.unwritten.checked_sub(text.len()).ok_or("more bytes than it can hold")?;
                    let bytes = text.chars().map(|letter| u8::try_from(u32::from(letter)));
                    Value::Bytes(
                        bytes.collect::<std::result::Result<Vec<u8>, _>>().map_err(|_| "bytes above 255")?.into(),
                    )
                }
                _ => Value::Other,
            },
            _ => Value::Other,
        };
        self.push(value)
    }

    /// Gives an array its state: version, shape, type, whether by columns, and bytes.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let object = self.top()?;
        if let (Value::Array(None), Value::Tuple(state)) = (&self.values[object], &self.values[state]) {
            let &[_, shape, dtype, by_columns, bytes] = state.as_slice() else {
                return Err("an array's state is of another form".to_owned());
            };
            if number(&self.values, by_columns) == Some(1) {
                return Err("an array that is stored by columns".to_owned());
            }
            self.values[object] = self.array_of(shape, dtype, bytes)?;
        }
        Ok(())
    }

    fn array_of(&self, shape: Id, dtype: Id, bytes: Id) -> Result<Value<'a>> {
        if !matches!(&self.values[dtype], Value::Text(kind) if ["u1", "|u1", "uint8", "B"].contains(&kind.as_ref())) {
            return Err("expected an array of unsigned bytes, found another type".to_owned());
        }
        let axes = match &self.values[shape] {
            Value::Tuple(axes) if axes.len() <= MOST_AXES => axes,
            _ => return Err("expected an array's shape".to_owned()),
        };
        let axis = |&id: &Id| number(&self.values, id).and_then(|axis| usize::try_from(axis).ok());
        let shape = axes.iter().map(axis).collect::<Option<Vec<usize>>>().ok_or("expected an array's shape")?;
        match &self.values[bytes] {
            Value::Bytes(bytes) => Ok(Value::Array(Some((shape, bytes.clone())))),
            _ => Err("expected an array's bytes".to_owned()),
        }
    }
}
