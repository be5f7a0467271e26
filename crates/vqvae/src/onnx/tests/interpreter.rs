//! The few operators that graphs are made of, by candle's operations, as the operators' definitions have them.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::onnx::proto::{FLOAT, FLOAT16, INT64, ModelProto, NodeProto};

/// The outputs of a file for these inputs, by name. f16 is rounded to after every operation.
pub(super) fn compute(file: &ModelProto, inputs: &BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let graph = file.graph.as_ref().unwrap();
    let mut values = inputs.clone();
    for constant in &graph.initializer {
        let dtype = match constant.data_type {
            Some(FLOAT) => DType::F32,
            Some(FLOAT16) => DType::F16,
            Some(INT64) => DType::I64,
            other => panic!("{other:?}"),
        };
        let dims: Vec<usize> = constant.dims.iter().map(|&side| side as usize).collect();
        let tensor = Tensor::from_raw_buffer(constant.raw_data.as_ref().unwrap(), dtype, &dims, &Device::Cpu).unwrap();
        values.insert(constant.name.clone().unwrap(), tensor);
    }
    for node in &graph.node {
        let inputs: Vec<&Tensor> = node.input.iter().map(|name| &values[name]).collect();
        let outputs = operate(node, &inputs).unwrap_or_else(|error| panic!("{node:?}: {error}"));
        values.extend(node.output.iter().cloned().zip(outputs));
    }
    let output = |name: &Option<String>| (name.clone().unwrap(), values[name.as_ref().unwrap()].clone());
    graph.output.iter().map(|value| output(&value.name)).collect()
}

fn int(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name)).and_then(|found| found.i)
}

fn ints(node: &NodeProto, name: &str) -> Vec<usize> {
    let found = node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name)).unwrap();
    found.ints.iter().map(|&value| value as usize).collect()
}

fn operate(node: &NodeProto, inputs: &[&Tensor]) -> candle_core::Result<Vec<Tensor>> {
    let x = inputs[0];
    let last = x.rank() - 1;
    let output = match node.op_type.as_deref().unwrap() {
        "Identity" => x.clone(),
        "Cast" => x.to_dtype(match int(node, "to") {
            Some(to) if to == i64::from(FLOAT16) => DType::F16,
            _ => DType::F32,
        })?,
        "Relu" => x.relu()?,
        "Tanh" => x.tanh()?,
        "ReduceL2" => {
            assert_eq!((ints(node, "axes"), int(node, "keepdims")), (vec![1], Some(1)));
            x.sqr()?.sum_keepdim(1)?.sqrt()?
        }
        "Sub" => x.broadcast_sub(inputs[1])?,
        "Div" => x.broadcast_div(inputs[1])?,
        "Mul" => x.broadcast_mul(inputs[1])?,
        "Add" => x.broadcast_add(inputs[1])?,
        "Max" => x.broadcast_maximum(inputs[1])?,
        "Greater" => x.gt(inputs[1])?,
        "Where" => x.where_cond(inputs[1], inputs[2])?,
        "Clip" => x.broadcast_maximum(inputs[1])?.broadcast_minimum(inputs[2])?,
        "Concat" => Tensor::cat(inputs, int(node, "axis").unwrap() as usize)?,
        "Transpose" => x.permute(ints(node, "perm"))?.contiguous()?,
        "MatMul" => x.broadcast_matmul(inputs[1])?,
        "Gather" => {
            let sides = [inputs[1].dims(), &x.dims()[1..]].concat();
            x.index_select(&inputs[1].flatten_all()?, 0)?.reshape(sides)?
        }
        "Squeeze" => x.squeeze(inputs[1].to_vec1::<i64>()?[0] as usize)?,
        "ArgMax" => {
            assert_eq!((int(node, "axis"), int(node, "keepdims")), (Some(-1), Some(0)));
            assert_eq!(int(node, "select_last_index"), Some(0));
            largest(x)?.0
        }
        "TopK" => {
            assert_eq!((int(node, "axis"), inputs[1].to_vec1::<i64>()?), (Some(-1), vec![1]));
            let (places, values) = largest(x)?;
            return Ok(vec![values.unsqueeze(last)?, places.unsqueeze(last)?]);
        }
        "Conv" | "ConvTranspose" => return Ok(vec![convolution(node, inputs)?]),
        other => panic!("{other}"),
    };
    Ok(vec![output])
}

/// The places of the largest values along the last axis, the first of equals, and these values.
fn largest(x: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
    let (sides, last) = (&x.dims()[..x.rank() - 1], x.dim(x.rank() - 1)?);
    let rows: Vec<Vec<f32>> = x.reshape(((), last))?.to_vec2()?;
    let place = |row: &Vec<f32>| {
        (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).map_or(0, |place| place as i64)
    };
    let places: Vec<i64> = rows.iter().map(place).collect();
    let values: Vec<f32> = rows.iter().zip(&places).map(|(row, &place)| row[place as usize]).collect();
    Ok((Tensor::from_vec(places, sides, &Device::Cpu)?, Tensor::from_vec(values, sides, &Device::Cpu)?))
}

fn convolution(node: &NodeProto, inputs: &[&Tensor]) -> candle_core::Result<Tensor> {
    // Computed in f32, which a sum in f16 comes near at best.
    let [x, weight] = [inputs[0], inputs[1]].map(|tensor| tensor.to_dtype(DType::F32));
    let (x, weight) = (x?, weight?);
    let (kernel, pads, strides) = (ints(node, "kernel_shape"), ints(node, "pads"), ints(node, "strides"));
    assert_eq!(kernel, weight.dims()[2..]);
    assert!(pads.iter().all(|pad| *pad == pads[0]) && strides[0] == strides[1] && pads.len() == 4);
    let maps = match node.op_type.as_deref() {
        Some("Conv") => x.conv2d(&weight, pads[0], strides[0], 1, 1)?,
        _ => x.conv_transpose2d(&weight, pads[0], 0, strides[0], 1)?,
    };
    let maps = match inputs.get(2) {
        Some(bias) => maps.broadcast_add(&bias.to_dtype(DType::F32)?.reshape((1, (), 1, 1))?)?,
        None => maps,
    };
    maps.to_dtype(inputs[0].dtype())
}
