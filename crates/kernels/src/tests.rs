//! The kernels other than convolution against plain recomputations in float64.

use crate::simd::detect;
use crate::testing::{assert_close, random, values, with_threads};
use crate::{
    AdamW, Backend, adamw_step, code_sums, mean_squared_error, nchw_to_nhwc, nearest, nearest_two, nhwc_to_nchw, relu,
    relu_grad, squared_norm, straight_through_grad, sum,
};
use candle_core::{DType, Device, Result, Tensor, Var};
use proptest::prelude::*;

/// Squared distances in f64 of each row of `x` to each row of `w`.
fn distances(x: &[f32], w: &[f32], depth: usize) -> Vec<Vec<f64>> {
    let distance = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(&x, &w)| (f64::from(x) - f64::from(w)).powi(2)).sum();
    x.chunks_exact(depth).map(|x| w.chunks_exact(depth).map(|w| distance(x, w)).collect()).collect()
}

/// The two smallest of `distances`, the first of equals.
fn two_smallest(distances: &[f64]) -> [u32; 2] {
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    [order[0] as u32, order[1.min(order.len() - 1)] as u32]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn passes_are_those_of_float64(n in 1..40_000usize, seed: u64) {
        let [a, b, c] = [0, 1, 2].map(|i| random(seed ^ i, vec![n]).unwrap());
        let each = |f: &dyn Fn(f64, f64, f64) -> f64| -> Vec<f64> {
            let (a, b, c) = (values(&a), values(&b), values(&c));
            (0..n).map(|i| f(f64::from(a[i]), f64::from(b[i]), f64::from(c[i]))).collect()
        };
        assert_close("sum", &values(&sum(&a, &b).unwrap()), &each(&|a, b, _| a + b), 1e-6);
        let rectified = each(&|a, b, _| if b > 0.0 { a } else { 0.0 });
        assert_close("relu_grad", &values(&relu_grad(&a, &b).unwrap()), &rectified, 0.0);
        let through = each(&|a, b, c| a + 3.0 * 2.0 / n as f64 * (b - c));
        assert_close("through", &values(&straight_through_grad(&a, &b, &c, 3.0).unwrap()), &through, 1e-6);
        let (error, grad) = mean_squared_error(&a, &b, 0.5).unwrap();
        let expected = each(&|a, b, _| (a - b).powi(2)).iter().sum::<f64>() / n as f64;
        prop_assert!((error - expected).abs() <= 1e-12, "{} {}", error, expected);
        assert_close("error's gradient", &values(&grad), &each(&|a, b, _| (a - b) / n as f64), 1e-7);
        let threads = [1, 3].map(|threads| with_threads(threads, || mean_squared_error(&a, &b, 0.5).unwrap().0));
        prop_assert_eq!(threads[0].to_bits(), threads[1].to_bits());
    }

    #[test]
    fn nearest_codes_are_those_of_float64(n in 0..300usize, k in 1..200usize, d in 1..70usize, seed: u64) {
        let (x, w) = (random(seed, vec![n, d]).unwrap(), random(seed ^ 1, vec![k, d]).unwrap());
        let expected: Vec<[u32; 2]> = distances(&values(&x), &values(&w), d).iter().map(|d| two_smallest(d)).collect();
        let two = nearest_two(&x, &w).unwrap().to_vec2::<u32>().unwrap();
        prop_assert_eq!(&two, &expected.iter().map(|e| e.to_vec()).collect::<Vec<_>>());
        let one = with_threads(2, || nearest(&x, &w)).unwrap().to_vec1::<u32>().unwrap();
        prop_assert_eq!(one, expected.iter().map(|e| e[0]).collect::<Vec<_>>());
        for isa in detect::available() {
            let w = values(&w);
            let mut codes = vec![0; 2 * n];
            crate::nearest::Codebook::new(isa, &w, k, d).search(&values(&x), 2, &mut codes);
            prop_assert_eq!(codes, expected.concat(), "{}", isa.name);
        }
    }

    #[test]
    fn code_sums_are_those_of_float64(n in 0..500usize, k in 1..100usize, d in 1..70usize, seed: u64) {
        let x = random(seed, vec![n, d]).unwrap();
        let codes: Vec<u32> = (0..n as u64).map(|i| (seed.wrapping_mul(i * i + 7) % k as u64) as u32).collect();
        let (mut expected, mut expected_counts) = (vec![0f64; k * d], vec![0f64; k]);
        for (x, &code) in values(&x).chunks_exact(d).zip(&codes) {
            expected_counts[code as usize] += 1.0;
            for (sum, &x) in expected[code as usize * d..].iter_mut().zip(x) {
                *sum += f64::from(x);
            }
        }
        let codes = Tensor::from_vec(codes, n, &Device::Cpu).unwrap();
        let (sums, counts) = code_sums(&x, &codes, k).unwrap();
        assert_close("sums", &values(&sums), &expected, 1e-4);
        assert_close("counts", &values(&counts), &expected_counts, 0.0);
    }

    #[test]
    fn layouts_are_permutations(n in 0..4usize, c in 1..40usize, h in 1..40usize, w in 1..40usize, seed: u64) {
        let x = Var::from_tensor(&random(seed, vec![n, c, h, w]).unwrap()).unwrap();
        let last = nchw_to_nhwc(&x).unwrap();
        prop_assert_eq!(values(&last), values(&x.permute((0, 2, 3, 1)).unwrap()));
        let back = nhwc_to_nchw(&last).unwrap();
        prop_assert_eq!(back.dims(), x.dims());
        prop_assert_eq!(values(&back), values(&x));
        if n > 0 {
            let weight = random(seed ^ 1, vec![n, h, w, c]).unwrap();
            let grads = (&last * &weight).unwrap().sum_all().unwrap().backward().unwrap();
            prop_assert_eq!(values(grads.get(&x).unwrap()), values(&weight.permute((0, 3, 1, 2)).unwrap()));
        }
    }

    #[test]
    fn norm_is_that_of_float64(n in 0..100_000usize, seed: u64) {
        let x = random(seed, vec![n]).unwrap();
        let expected: f64 = values(&x).iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let [one, three] = [1, 3].map(|threads| with_threads(threads, || squared_norm(&x)).unwrap());
        prop_assert_eq!(one.to_bits(), three.to_bits());
        prop_assert!((one - expected).abs() <= 1e-12 * expected);
    }
}

#[test]
fn first_of_equal_codes_is_nearest() -> Result<()> {
    let row = random(3, vec![1, 24])?;
    let w = Tensor::cat(&[random(4, vec![40, 24])?, row.repeat((60, 1))?], 0)?;
    assert_eq!(nearest(&row, &w)?.to_vec1::<u32>()?, [40]);
    assert_eq!(nearest_two(&row, &w)?.to_vec2::<u32>()?, [[40, 41]]);
    Ok(())
}

#[test]
fn far_codes_do_not_disturb() -> Result<()> {
    // Unused codes of a KSOM begun with zero counts lie this far out.
    let near = random(5, vec![50, 16])?;
    let w = Tensor::cat(
        &[(random(6, vec![50, 16])? * 3e5)?, near.clone(), Tensor::full(f32::MAX, (3, 16), &Device::Cpu)?],
        0,
    )?;
    assert_eq!(nearest(&near, &w)?.to_vec1::<u32>()?, (50..100).collect::<Vec<u32>>());
    let beyond = Tensor::full(f32::MAX, (3, 16), &Device::Cpu)?;
    assert_eq!(nearest_two(&near, &beyond)?.to_vec2::<u32>()?[0], [0, 1]);
    Ok(())
}

#[test]
fn inputs_and_scores_beyond_f32_have_codes() -> Result<()> {
    let rows = |values: &[f32]| Tensor::from_slice(values, (values.len() / 2, 2), &Device::Cpu);
    let codes = rows(&[-1.0, 0.0, 1.0, 0.0, 3e38, 3e38])?;
    // Distances of infinite inputs are infinite, of NaN they are none, and codes whose norm is beyond f32 are too far.
    let inputs = rows(&[
        f32::INFINITY,
        1.0,
        f32::NEG_INFINITY,
        f32::INFINITY,
        f32::NAN,
        0.0,
        3e38,
        2e38,
        -3e38,
        3e38,
        0.9,
        0.1,
    ])?;
    assert_eq!(nearest(&inputs, &codes)?.to_vec1::<u32>()?, [0, 0, 0, 0, 0, 1]);
    assert_eq!(nearest_two(&inputs, &codes)?.dims(), [6, 2]);
    Ok(())
}

#[test]
fn relu_rectifies_and_keeps_nan() -> Result<()> {
    let x = Var::new(&[-1f32, 0.0, 2.0, f32::NAN, -0.5], &Device::Cpu)?;
    let y = relu(&x)?;
    let found = values(&y);
    assert_eq!((&found[..3], found[4]), (&[0.0, 0.0, 2.0][..], 0.0));
    assert!(found[3].is_nan());
    let grads = y.sum_all()?.backward()?;
    assert_eq!(grads.get(&x).map(values).unwrap_or_default()[..3], [0.0, 0.0, 1.0]);
    Ok(())
}

#[test]
fn adamw_follows_its_formula() -> Result<()> {
    let n = 40_000;
    let hp = AdamW { lr: 0.01, weight_decay: 0.1, ..AdamW::default() };
    let p = Var::from_tensor(&random(1, vec![n])?)?;
    let (m, v) = (Var::zeros(n, DType::F32, &Device::Cpu)?, Var::zeros(n, DType::F32, &Device::Cpu)?);
    let mut expected: Vec<[f64; 3]> = values(&p).iter().map(|&p| [f64::from(p), 0.0, 0.0]).collect();
    for step in 1..=5 {
        let grad = random(10 + step, vec![n])?;
        adamw_step(&p, &grad, &m, &v, &hp, step, 0.5)?;
        let (bias1, bias2) = (1.0 - hp.beta1.powi(step as i32), 1.0 - hp.beta2.powi(step as i32));
        for ([p, m, v], g) in expected.iter_mut().zip(values(&grad)) {
            let g = f64::from(g) * 0.5;
            *p *= 1.0 - hp.lr * hp.weight_decay;
            *m = hp.beta1 * *m + (1.0 - hp.beta1) * g;
            *v = hp.beta2 * *v + (1.0 - hp.beta2) * g * g;
            *p -= hp.lr * (*m / bias1) / ((*v / bias2).sqrt() + hp.eps);
        }
    }
    for (i, (name, var)) in [("p", &p), ("m", &m), ("v", &v)].into_iter().enumerate() {
        assert_close(name, &values(var), &expected.iter().map(|e| e[i]).collect::<Vec<_>>(), 1e-6);
    }
    let message = |result: Result<()>| result.unwrap_err().to_string();
    assert!(message(adamw_step(&p, &p, &m, &v, &hp, 1, 1.0)).contains("each in a storage of its own"));
    assert!(message(adamw_step(&p, &random(1, vec![n])?, &m, &v, &hp, 0, 1.0)).contains("a step of at least 1"));
    assert!(message(adamw_step(&p, &random(1, vec![7])?, &m, &v, &hp, 1, 1.0)).contains("expected grad of shape"));
    Ok(())
}

#[test]
fn refusals_say_what_was_expected() -> Result<()> {
    let (x, w) = (random(0, vec![4, 3])?, random(1, vec![5, 2])?);
    let message = |result: Result<Tensor>| result.map(|_| ()).unwrap_err().to_string();
    assert!(message(nearest(&x, &w)).contains("expected w of shape [5, 3], found [5, 2]"));
    assert!(message(nearest(&x, &w.narrow(0, 0, 0)?)).contains("expected w"));
    let codes = Tensor::new(&[0u32, 1, 2, 9], &Device::Cpu)?;
    assert!(message(code_sums(&x, &codes, 5).map(|s| s.0)).contains("expected codes less than 5, found 9"));
    assert!(message(nchw_to_nhwc(&x)).contains("expected x of shape four axes"));
    Ok(())
}

#[test]
fn fast_backend_is_for_f32_on_cpu() {
    assert_eq!(Backend::best_for(&Device::Cpu, DType::F32), Backend::Fast);
    assert_eq!(Backend::best_for(&Device::Cpu, DType::F64), Backend::Portable);
}
