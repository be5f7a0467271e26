//! The quantizers and grids against golden files made by the paper's own code (tests/golden/README.md).

mod support;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use ksom_quantizers::{
    Backend, GdSom, Grid, Neighborhood, NeighborhoodKind, Quantizer, QuantizerConfig, QuantizerKind,
};
use support::{
    Golden, assert_close, assert_codes, build_from, golden_backends, golden_device, golden_dir, golden_files,
    own_golden_dir, state_of, train,
};

/// What was compared and how well it agreed.
#[derive(Default)]
struct Tally {
    files: BTreeMap<String, usize>,
    ties: usize,
    worst: f64,
}

impl Tally {
    fn close(&mut self, found: &Tensor, expected: &Tensor, what: &str) {
        self.worst = self.worst.max(assert_close(found, expected, what));
    }

    fn print(&self, what: &str) {
        for (family, count) in &self.files {
            println!("{what}: {count} files of {family}");
        }
        println!("{what}: {} ties, at most {:.1} % of the tolerance used", self.ties, 100.0 * self.worst);
    }
}

fn quantizer_config(golden: &Golden) -> QuantizerConfig {
    let variant = golden.text("variant");
    let known = ["hard_som", "hardsom_noupdate_zero", "gd_som"];
    assert!(known.contains(&variant), "{}: unknown variant {variant:?}", golden.name);
    let gradient = variant == "gd_som";
    let mut config = QuantizerConfig {
        kind: if gradient { QuantizerKind::GdSom } else { QuantizerKind::Ksom },
        neighborhood: serde_json::from_value(golden.config["neighborhood"].clone()).unwrap(),
        grid: golden.shape("grid_shape"),
        shrink_step: golden.number("shrink_step"),
        gaussian_base: golden.number("gaussian_base"),
        commitment: golden.number("commitment_cost"),
        skip_unused: variant == "hardsom_noupdate_zero",
        ..QuantizerConfig::ksom(golden.number("num_embeddings") as usize, golden.number("embedding_dim") as usize)
    };
    if gradient {
        config.kohonen_cost = golden.number("kohonen_cost");
    } else {
        config.decay = golden.number("decay");
        config.epsilon = golden.number("epsilon");
        config.counter_init = golden.number("counter_init");
    }
    let automatic = Grid::auto(config.num_codes, golden.number("grid_dim") as usize).unwrap();
    assert_eq!(automatic.shape(), config.grid, "{}: automatic grid", golden.name);
    config
}

/// Compares a forward pass and its gradients; gives the golden codes, with which the trajectory goes on.
fn check_forward(
    golden: &Golden,
    prefix: &str,
    quantizer: &dyn Quantizer,
    tally: &mut Tally,
) -> (Tensor, Tensor, candle_core::backprop::GradStore) {
    let label = |what: &str| format!("{} {prefix}.{what}", golden.name);
    let get = |what: &str| golden.get(&format!("{prefix}.{what}"));
    let x = Var::from_tensor(get("input")).unwrap();
    let mut quantized = quantizer.forward(&x).unwrap();
    let codes = get("codes").to_dtype(DType::U32).unwrap();
    let ties = assert_codes(&quantized.codes, &codes, &x, quantizer.codebook(), &label("codes"));
    if ties > 0 {
        // Everything else is compared as it follows from the golden codes.
        quantized = quantizer.forward_with(&x, &codes).unwrap();
        tally.ties += ties;
    }
    assert_codes(&quantizer.assign(&x).unwrap(), &codes, &x, quantizer.codebook(), &label("assign"));
    tally.close(&quantized.output, get("quantized"), &label("quantized"));
    tally.close(&quantized.loss, get("loss"), &label("loss"));
    // The output is the codebook's row to the bit.
    let rows = quantizer.lookup(&quantized.codes).unwrap();
    assert_eq!(rows.to_vec2::<f32>().unwrap(), quantized.output.to_vec2::<f32>().unwrap(), "{}", label("lookup"));
    if prefix == "eval" {
        let grads = quantized.loss.backward().unwrap();
        return (x.as_tensor().detach(), codes, grads);
    }
    tally.close(&quantized.perplexity, get("perplexity"), &label("perplexity"));
    let objective = (&quantized.loss + (&quantized.output * get("output_grad")).unwrap().sum_all().unwrap()).unwrap();
    let grads = objective.backward().unwrap();
    let input_grad = grads.get(&x).unwrap_or_else(|| panic!("{}: none", label("input_grad")));
    tally.close(input_grad, get("input_grad"), &label("input_grad"));
    (x.as_tensor().detach(), codes, grads)
}

fn check_ksom(golden: &Golden, config: &QuantizerConfig, backend: Backend, tally: &mut Tally) {
    let init = |name: &str| golden.get(&format!("init.{name}")).clone();
    let state = [
        ("_w", init("embedding")),
        ("_ema_w", init("ema_sum")),
        ("_ema_cluster_size", init("counts")),
        ("counter", Tensor::zeros((), DType::F32, &golden_device()).unwrap()),
    ];
    let mut quantizer = build_from(config, &state, backend).unwrap();
    for step in 0..golden.number("steps") as usize {
        let prefix = format!("step{step}");
        let (x, codes, _) = check_forward(golden, &prefix, quantizer.as_ref(), tally);
        train(quantizer.as_mut(), &x, &codes);
        for (name, golden_name) in [("_w", "embedding"), ("_ema_w", "ema_sum"), ("_ema_cluster_size", "counts")] {
            let name_there = format!("{prefix}.{golden_name}");
            let label = format!("{} {name_there}", golden.name);
            tally.close(&state_of(quantizer.as_ref(), name), golden.get(&name_there), &label);
        }
    }
    assert_eq!(quantizer.steps().unwrap(), golden.number("steps") as u64);
    assert!(quantizer.vars().is_empty());
    check_forward(golden, "eval", quantizer.as_ref(), tally);
}

fn check_gd_som(golden: &Golden, config: &QuantizerConfig, backend: Backend, tally: &mut Tally) {
    let w = Var::from_tensor(golden.get("init.embedding")).unwrap();
    let variables = VarMap::new();
    variables.data().lock().unwrap().insert("w".into(), w.clone());
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &golden_device());
    let mut quantizer = GdSom::new(config, vb).unwrap();
    quantizer.set_backend(backend).unwrap();
    for step in 0..golden.number("steps") as usize {
        let prefix = format!("step{step}");
        let (x, codes, grads) = check_forward(golden, &prefix, &quantizer, tally);
        // The variable that the caller made is the one that is trained.
        let gradient = grads.get(&w).unwrap_or_else(|| panic!("{} {prefix}: no embedding_grad", golden.name));
        let label = |what: &str| format!("{} {prefix}.{what}", golden.name);
        tally.close(gradient, golden.get(&format!("{prefix}.embedding_grad")), &label("embedding_grad"));
        train(&mut quantizer, &x, &codes);
        let var = quantizer.vars().remove(0).1;
        var.set(&(var.as_tensor() - gradient.affine(0.05, 0.0).unwrap()).unwrap()).unwrap();
        let after = "embedding_after_sgd_0.05";
        tally.close(quantizer.codebook(), golden.get(&format!("{prefix}.{after}")), &label(after));
    }
    if golden.names().any(|name| name.starts_with("eval.")) {
        check_forward(golden, "eval", &quantizer, tally);
    }
}

#[test]
fn golden_quantizers() {
    let Some(dir) = golden_dir() else { return };
    for &backend in golden_backends() {
        let mut tally = Tally::default();
        let files = golden_files(&dir.join("quantizer"));
        assert!(!files.is_empty(), "no golden files in {}/quantizer", dir.display());
        for path in files {
            let golden = Golden::read(&path);
            let config = quantizer_config(&golden);
            *tally.files.entry(format!("{}-{}", golden.text("variant"), golden.text("neighborhood"))).or_default() += 1;
            match config.kind {
                QuantizerKind::Ksom => check_ksom(&golden, &config, backend, &mut tally),
                QuantizerKind::GdSom => check_gd_som(&golden, &config, backend, &mut tally),
                other => panic!("{}: the paper has no {other:?}", golden.name),
            }
        }
        tally.print(&format!("{backend:?}"));
    }
}

#[test]
fn golden_automatic_grids() {
    let Some(dir) = own_golden_dir() else { return };
    let path = dir.join("grid/auto_shapes.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_str(&text).unwrap();
    assert!(!shapes.is_empty());
    for (key, shape) in &shapes {
        let (codes, dims) = key.strip_suffix('d').and_then(|key| key.split_once('x')).unwrap();
        let grid = Grid::auto(codes.parse().unwrap(), dims.parse().unwrap()).unwrap();
        assert_eq!(grid.shape(), shape, "{key}");
    }
    println!("{} automatic grid shapes", shapes.len());
}

#[test]
fn golden_grids() {
    let Some(dir) = golden_dir() else { return };
    let files = golden_files(&dir.join("grid"));
    assert!(!files.is_empty(), "no golden files in {}/grid", dir.display());
    let mut tally = Tally::default();
    for path in files {
        let golden = Golden::read(&path);
        let k = golden.number("num_embeddings") as usize;
        *tally.files.entry(format!("grid-{}d", golden.number("grid_dim"))).or_default() += 1;
        let grid = Grid::auto(k, golden.number("grid_dim") as usize).unwrap();
        assert_eq!(grid.shape(), golden.shape("grid_shape"), "{}", golden.name);

        let coordinates: Vec<f64> = (0..k).flat_map(|code| grid.coordinates(code).unwrap()).map(|c| c as f64).collect();
        assert_eq!(coordinates, support::numbers(golden.get("coords")), "{}: coordinates", golden.name);
        let distances: Vec<f64> =
            (0..k).flat_map(|a| (0..k).map(move |b| (a, b))).map(|(a, b)| grid.distance(a, b).unwrap()).collect();
        let distances = Tensor::from_vec(distances, (k, k), &Device::Cpu).unwrap();
        tally.close(&distances, golden.get("distances"), &format!("{} distances", golden.name));

        let mut matrices = 0;
        for name in golden.names().filter(|name| name.contains(".step")) {
            let (kind, step) = name.split_once(".step").unwrap();
            let config = QuantizerConfig {
                neighborhood: serde_json::from_value::<NeighborhoodKind>(kind.into()).unwrap(),
                grid: grid.shape().to_vec(),
                shrink_step: golden.number("shrink_step"),
                gaussian_base: golden.number("gaussian_base"),
                ..QuantizerConfig::ksom(k, 1)
            };
            let neighborhood = Neighborhood::new(&config).unwrap();
            let t = step.parse().unwrap();
            let label = format!("{} {name}", golden.name);
            let matrix = neighborhood.matrix(t, &golden_device(), DType::F32).unwrap();
            tally.close(&matrix, golden.get(name), &label);
            // What `apply` multiplies by, column by column.
            let identity = Tensor::eye(k, DType::F32, &golden_device()).unwrap();
            tally.close(&neighborhood.apply(t, &identity).unwrap(), golden.get(name), &label);
            matrices += 1;
        }
        assert!(matrices > 0, "{}: no neighborhood matrices", golden.name);
    }
    tally.print("grids");
}
