//! The update written as in the paper, with a one-hot matrix, densely and in f64: slow, and independent of the crate.

use ksom_quantizers::{NeighborhoodKind, QuantizerConfig};

/// State of KSOM, row-major.
pub struct Dense {
    pub config: QuantizerConfig,
    pub w: Vec<f64>,
    pub m: Vec<f64>,
    pub c: Vec<f64>,
    pub t: u64,
}

impl Dense {
    /// A_t[a, b]
    fn weight(&self, a: usize, b: usize) -> f64 {
        let (mut a_rest, mut b_rest, mut squared) = (a, b, 0.0);
        for &axis in &self.config.grid {
            squared += ((a_rest % axis) as f64 - (b_rest % axis) as f64).powi(2);
            (a_rest, b_rest) = (a_rest / axis, b_rest / axis);
        }
        let (distance, shrink) = (f64::sqrt(squared), 1.0 + self.t as f64 * self.config.shrink_step);
        match self.config.neighborhood {
            _ if a == b => 1.0,
            NeighborhoodKind::Hard => f64::from(distance < 1.5) / shrink,
            NeighborhoodKind::Gaussian => (-distance * shrink / self.config.gaussian_base).exp(),
            NeighborhoodKind::None => 0.0,
        }
    }

    /// One training step on the inputs `x` [N, D] with their codes.
    pub fn step(&mut self, x: &[f64], codes: &[usize]) {
        let (k, dim) = (self.config.num_codes, self.config.dim);
        let one_hot = |n: usize, j: usize| f64::from(codes[n] == j);
        let (mut n, mut d) = (vec![0.0; k], vec![0.0; k * dim]);
        for i in 0..k {
            for sample in 0..codes.len() {
                let share: f64 = (0..k).map(|j| one_hot(sample, j) * self.weight(j, i)).sum();
                n[i] += share;
                for e in 0..dim {
                    d[i * dim + e] += share * x[sample * dim + e];
                }
            }
        }
        let QuantizerConfig { decay, epsilon, skip_unused, .. } = self.config;
        let used = |i: usize| !skip_unused || n[i] > 0.0;
        for i in (0..k).filter(|&i| used(i)) {
            self.c[i] = decay * self.c[i] + (1.0 - decay) * n[i];
        }
        if !skip_unused {
            let total: f64 = self.c.iter().sum();
            for c in &mut self.c {
                *c = (*c + epsilon) / (total + k as f64 * epsilon) * total;
            }
        }
        for i in (0..k).filter(|&i| used(i)) {
            let row = i * dim..(i + 1) * dim;
            for ((m, w), d) in self.m[row.clone()].iter_mut().zip(&mut self.w[row.clone()]).zip(&d[row]) {
                *m = decay * *m + (1.0 - decay) * d;
                *w = *m / self.c[i];
            }
        }
        self.t += 1;
    }
}
