//! Every convolution and every gradient against sums over all pairs in f64.

use candle_core::{DType, Device, Result, Tensor};

use crate::model::network::conv_config::ConvConfig;
use crate::model::network::portable::{convolve, convolve_in_graph, input_grad, parameter_grads};

/// Numbers of either sign that a position determines.
fn numbers(seed: usize, len: usize) -> Vec<f64> {
    (0..len).map(|i| ((i * 2_654_435_761 + seed * 40_503) % 10_007) as f64 / 5_003.0 - 1.0).collect()
}

/// Maps [H, N, W, C] in f64.
struct Maps {
    shape: [usize; 4],
    values: Vec<f64>,
}

impl Maps {
    fn new(seed: usize, shape: [usize; 4]) -> Self {
        Self { shape, values: numbers(seed, shape.iter().product()) }
    }

    fn zeros(shape: [usize; 4]) -> Self {
        Self { shape, values: vec![0.0; shape.iter().product()] }
    }

    fn at(&self, row: usize, n: usize, column: usize, channel: usize) -> usize {
        ((row * self.shape[1] + n) * self.shape[2] + column) * self.shape[3] + channel
    }

    fn tensor(&self) -> Result<Tensor> {
        let values: Vec<f32> = self.values.iter().map(|&value| value as f32).collect();
        Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu)
    }
}

/// Calls `pair` with the places in `small`, `large` and the weight [small's channels, large's, k, k] of all that meet.
fn pairs(small: &Maps, large: &Maps, config: ConvConfig, mut pair: impl FnMut(usize, usize, usize)) {
    let ConvConfig { kernel, stride, padding, .. } = config;
    let [height, n, width, outputs] = small.shape;
    let [large_height, _, large_width, inputs] = large.shape;
    let inside = |at: usize, size: usize| at.checked_sub(padding).filter(|&at| at < size);
    for (i, picture, j) in (0..height * n * width).map(|p| (p / (n * width), p / width % n, p % width)) {
        for (r, c) in (0..kernel * kernel).map(|p| (p / kernel, p % kernel)) {
            let (Some(row), Some(column)) = (inside(i * stride + r, large_height), inside(j * stride + c, large_width))
            else {
                continue;
            };
            for (o, channel) in (0..outputs * inputs).map(|p| (p / inputs, p % inputs)) {
                let weight = ((o * inputs + channel) * kernel + r) * kernel + c;
                pair(small.at(i, picture, j, o), large.at(row, picture, column, channel), weight);
            }
        }
    }
}

/// Compares sums of `terms` products each.
fn assert_close(what: &str, config: ConvConfig, terms: usize, found: &Tensor, expected: &[f64]) -> Result<()> {
    let found = found.flatten_all()?.to_vec1::<f32>()?;
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0f64, |largest, value| largest.max(value.abs()));
    for (place, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(found) - expected).abs() <= 1e-6 * largest * (terms as f64).sqrt(),
            "{what} of a {0}×{0} kernel, stride {1}, transposed {2}, at {place}: {found} for {expected}",
            config.kernel,
            config.stride,
            config.transposed
        );
    }
    Ok(())
}

/// Forward, by the input, by the weight and by the bias, on the tape's way and in candle's graph.
fn check(config: ConvConfig, [height, n, width, inputs]: [usize; 4], outputs: usize) -> Result<()> {
    let size = |side: usize| match (config.transposed, config.stride) {
        (true, stride) => side * stride,
        (false, stride) => side / stride,
    };
    let x = Maps::new(1, [height, n, width, inputs]);
    let grad = Maps::new(2, [size(height), n, size(width), outputs]);
    let (first, second) = if config.transposed { (inputs, outputs) } else { (outputs, inputs) };
    let weight = numbers(3, first * second * config.kernel * config.kernel);
    let bias = numbers(4, outputs);

    let mut y: Vec<f64> = (0..grad.values.len()).map(|i| bias[i % outputs]).collect();
    let (mut by_x, mut by_weight) = (Maps::zeros(x.shape).values, vec![0.0; weight.len()]);
    let (small, large) = if config.transposed { (&x, &grad) } else { (&grad, &x) };
    pairs(small, large, config, |small, large, w| {
        let (of_x, of_y) = if config.transposed { (small, large) } else { (large, small) };
        y[of_y] += x.values[of_x] * weight[w];
        by_x[of_x] += grad.values[of_y] * weight[w];
        by_weight[w] += grad.values[of_y] * x.values[of_x];
    });
    let mut by_bias = vec![0.0; outputs];
    grad.values.iter().enumerate().for_each(|(i, value)| by_bias[i % outputs] += value);

    let tensor = |values: &[f64], shape: &[usize]| {
        Tensor::from_vec(values.iter().map(|&value| value as f32).collect::<Vec<_>>(), shape, &Device::Cpu)
    };
    let shape = [first, second, config.kernel, config.kernel];
    let (weight, bias) = (tensor(&weight, &shape)?, tensor(&bias, &[outputs])?);
    let (points, window) = (height * n * width * config.stride.pow(2), config.kernel.pow(2));
    let (x, grad) = (x.tensor()?, grad.tensor()?);
    assert_close("output", config, window * inputs, &convolve(&x, &weight, Some(&bias), None, config, false)?, &y)?;
    assert_close("gradient by the input", config, window * outputs, &input_grad(&weight, &grad, config)?, &by_x)?;
    let (weight_grad, bias_grad) = parameter_grads(&x, &grad, config)?;
    assert_close("gradient by the weight", config, points, &weight_grad, &by_weight)?;
    assert_close("gradient by the bias", config, points, &bias_grad.expect("there is a bias"), &by_bias)?;

    let (x, weight) = (candle_core::Var::from_tensor(&x)?, candle_core::Var::from_tensor(&weight)?);
    let y = convolve_in_graph(x.as_tensor(), weight.as_tensor(), config)?;
    let store = (y * &grad)?.sum_all()?.backward()?;
    let grads = [x, weight].map(|var| store.get(var.as_tensor()).expect("a gradient").clone());
    assert_close("graph's gradient by the input", config, window * outputs, &grads[0], &by_x)?;
    assert_close("graph's gradient by the weight", config, points, &grads[1], &by_weight)
}

#[test]
fn convolutions_and_gradients_are_those_of_f64() -> Result<()> {
    for (height, width) in [(2, 2), (4, 6), (6, 2), (10, 14)] {
        for (n, inputs, outputs) in [(1, 1, 1), (3, 5, 2), (2, 3, 7)] {
            for config in [ConvConfig::same(3), ConvConfig::same(1), ConvConfig::halving(), ConvConfig::doubling()] {
                check(config, [height, n, width, inputs], outputs)?;
            }
        }
    }
    // Odd sides, for what keeps or doubles them.
    for config in [ConvConfig::same(3), ConvConfig::same(1), ConvConfig::doubling()] {
        check(config, [1, 2, 5, 3], 4)?;
        check(config, [7, 1, 1, 2], 3)?;
    }
    // Large enough for several tiles.
    check(ConvConfig::same(3), [40, 3, 64, 96], 2)?;
    check(ConvConfig::halving(), [64, 2, 96, 192], 3)?;
    check(ConvConfig::doubling(), [40, 3, 64, 96], 2)
}

/// candle has no bf16 products on the CPU; f16 goes the same way.
#[test]
fn products_in_half_precision_come_out_in_f32() -> Result<()> {
    let maps = |seed, shape| Maps::new(seed, shape).tensor();
    for config in [ConvConfig::same(3), ConvConfig::halving(), ConvConfig::doubling()] {
        let half = ConvConfig { products: Some(DType::F16), ..config };
        let weight = maps(3, [16, 16, config.kernel, config.kernel])?.affine(0.1, 0.0)?;
        let x = maps(1, [8, 2, 8, 16])?;
        let full = convolve(&x, &weight, None, None, config, false)?;
        let grad = maps(2, full.dims4().map(|(h, n, w, c)| [h, n, w, c])?)?;
        let pairs = [
            (full, convolve(&x, &weight, None, None, half, false)?),
            (input_grad(&weight, &grad, config)?, input_grad(&weight, &grad, half)?),
            (parameter_grads(&x, &grad, config)?.0, parameter_grads(&x, &grad, half)?.0),
        ];
        for (full, half) in pairs {
            assert_eq!(half.dtype(), DType::F32);
            let difference = (&full - half)?.abs()?.max_all()?.to_scalar::<f32>()?;
            let largest = full.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(difference > 0.0 && difference < 4e-3 * largest, "{difference} of {largest}");
        }
    }
    Ok(())
}
