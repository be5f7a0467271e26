//! A graph in the making: values by name, nodes in the order of computing, constants.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use safetensors::View;

use super::precision::Precision;
use super::proto::{
    ATTRIBUTE_INT, ATTRIBUTE_INTS, AttributeProto, DimensionProto, FLOAT, FLOAT16, GraphProto, INT64, NodeProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::checkpoint::is_finite;
use crate::error::{Error, Result};

/// The most bytes of constants: a file of this format holds less than 2 GiB.
const MAX_BYTES: usize = (2 << 30) - (16 << 20);

/// A side of an input or output.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Fixed(usize),
    /// Any, the same wherever this name stands.
    Open(&'static str),
}

/// A graph in the making.
pub(super) struct Graph<'a> {
    weights: &'a BTreeMap<String, Tensor>,
    pub(super) precision: Precision,
    proto: GraphProto,
    bytes: usize,
}

/// An attribute that is a whole number.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: Some(name.into()), i: Some(value), ints: Vec::new(), r#type: Some(ATTRIBUTE_INT) }
}

/// An attribute that is a list of whole numbers.
pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: Some(name.into()), i: None, ints, r#type: Some(ATTRIBUTE_INTS) }
}

fn element(dtype: DType) -> i32 {
    match dtype {
        DType::F16 => FLOAT16,
        DType::I64 => INT64,
        _ => FLOAT,
    }
}

impl<'a> Graph<'a> {
    /// An empty one, to be made of these weights.
    pub(super) fn new(name: &str, weights: &'a BTreeMap<String, Tensor>, precision: Precision) -> Self {
        let proto = GraphProto { name: Some(name.to_string()), ..GraphProto::default() };
        Self { weights, precision, proto, bytes: 0 }
    }

    /// What was made.
    pub(super) fn finish(self) -> GraphProto {
        self.proto
    }

    /// An input; gives its name.
    pub(super) fn input(&mut self, name: &str, dtype: DType, sides: &[Side], meaning: &str) -> String {
        self.proto.input.push(value(name, dtype, sides, meaning));
        name.to_string()
    }

    /// Names a value as an output.
    pub(super) fn output(&mut self, name: &str, dtype: DType, sides: &[Side], meaning: &str) {
        self.proto.output.push(value(name, dtype, sides, meaning));
    }

    /// An operation with one output; gives the output's name.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: impl Into<String>,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = output.into();
        self.node_of(operator, inputs, &[&output], attributes);
        output
    }

    /// An operation with several outputs.
    pub(super) fn node_of(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        self.proto.node.push(NodeProto {
            input: names(inputs),
            output: names(outputs),
            name: outputs.first().map(ToString::to_string),
            op_type: Some(operator.to_string()),
            attribute,
        });
    }

    /// A value in another type; the value itself where it is of this type.
    pub(super) fn cast(&mut self, x: &str, from: DType, to: DType) -> String {
        if from == to {
            return x.to_string();
        }
        let output = format!("{x}.{}", to.as_str());
        self.node("Cast", &[x], output, vec![int("to", element(to).into())])
    }

    /// A constant as it is; gives its name.
    ///
    /// # Errors
    /// The file would be too large.
    pub(super) fn constant(&mut self, name: impl Into<String>, tensor: &Tensor) -> Result<String> {
        let name = name.into();
        let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
        let data = View::data(&tensor).into_owned();
        self.bytes += data.len();
        if self.bytes > MAX_BYTES {
            return Err(Error::Invalid(format!(
                "an ONNX file holds less than 2 GiB, and this model's weights are more{}",
                if self.precision.stored() == DType::F32 {
                    "; as 16-bit floats they would take half of it"
                } else {
                    ""
                }
            )));
        }
        self.proto.initializer.push(TensorProto {
            dims: tensor.dims().iter().map(|&side| side as i64).collect(),
            data_type: Some(element(tensor.dtype())),
            name: Some(name.clone()),
            raw_data: Some(data),
        });
        Ok(name)
    }

    /// A weight by its name in the checkpoint, in the type that convolutions compute in; gives the value's name.
    ///
    /// # Errors
    /// There is none of this name, or it does not fit into the type that weights are kept in.
    pub(super) fn weight(&mut self, name: &str) -> Result<String> {
        let Some(weight) = self.weights.get(name) else {
            let problems = vec![format!("{name} is missing")];
            return Err(Error::Weights { origin: "the model".to_string(), problems });
        };
        let (stored, computed) = (self.precision.stored(), self.precision.computed());
        let kept = weight.to_dtype(stored)?;
        if !is_finite(&kept)? {
            return Err(Error::Invalid(format!(
                "{name} holds values that are not finite numbers in {}",
                stored.as_str()
            )));
        }
        let name = self.constant(name, &kept)?;
        Ok(self.cast(&name, stored, computed))
    }
}

fn value(name: &str, dtype: DType, sides: &[Side], meaning: &str) -> ValueInfoProto {
    let dim = sides.iter().map(|side| match *side {
        Side::Fixed(side) => DimensionProto { dim_value: Some(side as i64), dim_param: None },
        Side::Open(name) => DimensionProto { dim_value: None, dim_param: Some(name.to_string()) },
    });
    let tensor =
        TensorTypeProto { elem_type: Some(element(dtype)), shape: Some(TensorShapeProto { dim: dim.collect() }) };
    ValueInfoProto {
        name: Some(name.to_string()),
        r#type: Some(TypeProto { tensor_type: Some(tensor) }),
        doc_string: Some(meaning.to_string()),
    }
}
