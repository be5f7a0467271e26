//! What a PyTorch checkpoint holds, as inert data.

use candle_core::DType;

/// One value of a pickled checkpoint.
///
/// Tuples and lists are both [`PthValue::List`]. Objects of unknown classes are dictionaries of their attributes and
/// items; references to classes and functions are [`PthValue::None`]. Integers beyond 64 bits are
/// [`PthValue::Float`].
#[derive(Clone, Debug, PartialEq)]
pub enum PthValue {
    /// Python's `None`, or anything that has no meaning as data.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    String(String),
    /// A list or a tuple.
    List(Vec<PthValue>),
    /// A dictionary or an object, in the order of insertion; string keys are unique.
    Dict(Vec<(PthValue, PthValue)>),
    /// A tensor, whose elements [`PthFile::tensor`](super::PthFile::tensor) reads.
    Tensor(TensorRef),
}

impl PthValue {
    /// The value under the string `key` of a dictionary; `None` if this is no dictionary or has no such key.
    pub fn get(&self, key: &str) -> Option<&PthValue> {
        self.as_dict()?.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The entries, if this is a dictionary.
    pub fn as_dict(&self) -> Option<&[(PthValue, PthValue)]> {
        if let Self::Dict(entries) = self { Some(entries) } else { None }
    }

    /// The elements, if this is a list or tuple.
    pub fn as_list(&self) -> Option<&[PthValue]> {
        if let Self::List(values) = self { Some(values) } else { None }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The integer, if this is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(value) = self { Some(*value) } else { None }
    }

    /// The number, if this is an integer or a floating-point number.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// The tensor, if this is one.
    pub fn as_tensor(&self) -> Option<&TensorRef> {
        if let Self::Tensor(tensor) = self { Some(tensor) } else { None }
    }

    /// The kind of value, in a word, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// The element type of a PyTorch storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageType {
    /// `FloatStorage`.
    F32,
    /// `DoubleStorage`.
    F64,
    /// `HalfStorage`.
    F16,
    /// `BFloat16Storage`.
    BF16,
    /// `LongStorage`.
    I64,
    /// `IntStorage`.
    I32,
    /// `ShortStorage`.
    I16,
    /// `ByteStorage`.
    U8,
    /// `BoolStorage`: one byte, 0 or 1.
    Bool,
    /// A type that candle does not have: such a tensor can be named but not read.
    Unsupported,
}

impl StorageType {
    pub(super) fn from_class(name: &str) -> Self {
        match name {
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => Self::Unsupported,
        }
    }

    /// The candle type that the elements are read as (booleans as 0 or 1 in `u8`), if there is one.
    pub fn dtype(self) -> Option<DType> {
        Some(match self {
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
            Self::I64 => DType::I64,
            Self::I32 => DType::I32,
            Self::I16 => DType::I16,
            Self::U8 | Self::Bool => DType::U8,
            Self::Unsupported => return None,
        })
    }
}

/// Where a tensor's elements lie in a checkpoint: a strided view of a storage. Offset and strides count elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorRef {
    pub(super) storage: String,
    pub(super) storage_type: StorageType,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl TensorRef {
    /// The lengths of the axes, row-major.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type.
    pub fn storage_type(&self) -> StorageType {
        self.storage_type
    }

    /// Name of the storage inside the archive (`data/<name>`).
    pub fn storage(&self) -> &str {
        &self.storage
    }

    /// The number of elements; `None` if the product of the axes that are not empty overflows.
    pub fn elements(&self) -> Option<usize> {
        let product = self.shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length.max(1)))?;
        Some(if self.shape.contains(&0) { 0 } else { product })
    }

    /// How many elements the storage must have to hold this view; `None` if the number overflows.
    pub(super) fn reach(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let last = self.shape.iter().zip(&self.strides).try_fold(self.offset, |last, (&length, &stride)| {
            last.checked_add(length.checked_sub(1)?.checked_mul(stride)?)
        })?;
        last.checked_add(1)
    }

    /// Whether the elements, of which there is at least one, lie in the storage in row-major order without gaps.
    pub(super) fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        for (&length, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if length != 1 && stride != expected {
                return false;
            }
            expected *= length;
        }
        true
    }
}
