//! The model card: `README.md` with the front matter that the Hub reads.

use ksom_quantizers::{NeighborhoodKind, QuantizerKind};
use serde_json::json;

use super::card_onnx::onnx_section;
use super::name::HubName;
use crate::codes::{grid_layout, stored_bits};
use crate::error::{Error, Result};
use crate::evaluation::metrics::bits_per_pixel;
use crate::model::config::{ArchitectureKind, ModelConfig, Provenance};
use crate::model::network::description::describe_network;
use crate::record::recorded::RecordedMetrics;

/// The license that a card names where none was chosen: the Hub's word for one that is not in its list.
const NO_LICENSE: &str = "other";

/// Whose name the models of the zoo have on the Hub.
#[cfg(feature = "zoo")]
const ZOO_OWNER: &str = "ksom-rs";

/// What a card tells that is in none of the model's files.
#[derive(Clone, Debug, Default)]
pub struct CardOptions {
    /// The license's name on the Hub, such as `mit`.
    pub license: Option<String>,
    /// Data sets on the Hub that the model was trained on.
    pub datasets: Vec<String>,
    /// The name on the Hub of the model that this one was tuned from, where the configuration knows another name or
    /// none.
    pub base_model: Option<HubName>,
}

impl CardOptions {
    /// Whether nothing is to be told.
    pub(crate) fn is_default(&self) -> bool {
        self.license.is_none() && self.datasets.is_empty() && self.base_model.is_none()
    }

    pub(crate) fn check(&self) -> Result<()> {
        let plain = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if let Some(license) = self.license.as_ref().filter(|license| !plain(license, "-.+")) {
            return Err(Error::Invalid(format!(
                "{license:?} is no license's name on the Hub: expected one such as mit"
            )));
        }
        if let Some(set) = self.datasets.iter().find(|set| !plain(set, "-_./")) {
            return Err(Error::Invalid(format!("{set:?} is no data set's name on the Hub: expected owner/name")));
        }
        Ok(())
    }
}

/// The card of a model that is to be `name` on the Hub; `onnx` says whether it goes as ONNX files, too.
pub(crate) fn write_card(
    name: &HubName,
    config: &ModelConfig,
    metrics: &RecordedMetrics,
    options: &CardOptions,
    onnx: bool,
) -> String {
    let title = name.name();
    let mut card = format!("---\n{}---\n\n# {title}\n\n", front_matter(title, config, metrics, options, onnx));
    card += &format!("{}\n\n", summary(config));
    card += &format!(
        "## How to use it\n\nWith [ksom](https://github.com/ksom-rs/ksom):\n\n```sh\n\
         ksom encode photos/ -o codes.safetensors --model {repository}\n\
         ksom decode codes.safetensors -o decoded/ --model {repository}\n\
         ksom finetune {repository} --data photos/ --out runs/mine\n```\n\n\
         From Rust (crate `ksom-vqvae`, feature `hub`):\n\n```rust\n\
         let model = ksom_vqvae::Model::from_pretrained(\"{repository}\", &ksom_vqvae::Compute::cpu())?;\n\
         let codes = model.encode_images(&pictures)?;\n```\n\n\
         From Python (package `ksom`):\n\n```python\n\
         codes = ksom.Model.from_pretrained(\"{repository}\").encode([\"photo.jpg\"])\n```\n\n\
         The weights are plain safetensors with the tensor names of the paper's own PyTorch code; \
         [ksom.torch](https://github.com/ksom-rs/ksom/blob/main/docs/python.md) loads them in PyTorch.\n\n",
        repository = name.repository()
    );
    if onnx {
        card += &format!("{}\n", onnx_section(name.repository(), &config.architecture));
    }
    card += &format!("## The codes\n\n{}\n\n", codes(config));
    card += &format!("## The network\n\n{}\n", describe_network(config));
    card += &format!("## Training\n\n{}\n\n", training(&config.provenance));
    card += &figures(metrics);
    card + "## Intended use and limits\n\n\
            For experiments with discrete representations of pictures, and as a start for fine-tuning. Pictures unlike \
            those of its training come out worse, and nothing was done against biases of the training data. Not a codec \
            for pictures that matter: what is lost cannot be recovered.\n\n\
            The method: K. Irie, R. Csordás, J. Schmidhuber, *Self-Organising Neural Discrete Representation Learning à \
            la Kohonen*, ICANN 2024, [arXiv 2302.07950](https://arxiv.org/abs/2302.07950).\n"
}

/// YAML, in which any JSON value is one, too: so strings are quoted as JSON does.
fn front_matter(
    title: &str,
    config: &ModelConfig,
    metrics: &RecordedMetrics,
    options: &CardOptions,
    onnx: bool,
) -> String {
    let mut tags = vec!["candle", "ksom", "vq-vae", "vector-quantization", "discrete-representation"];
    if config.quantizer.neighborhood != NeighborhoodKind::None {
        tags.extend(["self-organizing-map", "kohonen"]);
    }
    if onnx {
        tags.push("onnx");
    }
    let list = |items: &[&str]| items.iter().map(|item| format!("- {}\n", json!(item))).collect::<String>();
    let license = options.license.as_deref().unwrap_or(NO_LICENSE);
    let mut yaml = format!(
        "license: {license}\nlibrary_name: candle\npipeline_tag: image-feature-extraction\ntags:\n{}",
        list(&tags)
    );
    if !options.datasets.is_empty() {
        let sets: Vec<&str> = options.datasets.iter().map(String::as_str).collect();
        yaml += &format!("datasets:\n{}", list(&sets));
    }
    if let Some(base) = base_on_the_hub(config, options) {
        yaml += &format!("base_model: {}\nbase_model_relation: finetune\n", json!(base));
    }
    let measured = [
        ("mse", "Validation MSE in normalized units", metrics.mse),
        ("psnr", "PSNR (dB)", metrics.psnr),
        ("ssim", "SSIM", metrics.ssim),
        ("ms_ssim", "MS-SSIM", metrics.ms_ssim),
    ];
    let measured: Vec<String> = measured
        .into_iter()
        .filter_map(|(kind, name, value)| {
            // A figure that is no number cannot be given in YAML that every reader takes.
            let value = value.filter(|value| value.is_finite())?;
            Some(format!("    - type: {kind}\n      name: {}\n      value: {}\n", json!(name), rounded(value)))
        })
        .collect();
    if !measured.is_empty() {
        let kind = options.datasets.first().map_or("custom", String::as_str);
        let data = config.provenance.data.as_deref().unwrap_or("not recorded");
        yaml += &format!(
            "model-index:\n- name: {}\n  results:\n  - task:\n      type: image-reconstruction\n      name: {}\n    \
             dataset:\n      type: {}\n      name: {}\n    metrics:\n{}",
            json!(title),
            json!("Image reconstruction from discrete codes"),
            json!(kind),
            json!(data),
            measured.concat()
        );
    }
    yaml
}

/// What the model was tuned from, by its name on the Hub: nothing else can be named in the front matter.
fn base_on_the_hub(config: &ModelConfig, options: &CardOptions) -> Option<String> {
    if let Some(base) = &options.base_model {
        return Some(base.repository().to_string());
    }
    let base = config.provenance.base_model.as_ref()?;
    // With a commit, it came from there.
    of_the_zoo(base).or_else(|| config.provenance.base_revision.as_ref().map(|_| base.clone()))
}

/// A built-in model's name on the Hub.
#[cfg(feature = "zoo")]
fn of_the_zoo(base: &str) -> Option<String> {
    ksom_models::find(base).map(|files| format!("{ZOO_OWNER}/{}", files.name))
}

#[cfg(not(feature = "zoo"))]
fn of_the_zoo(_: &str) -> Option<String> {
    None
}

fn summary(config: &ModelConfig) -> String {
    let (architecture, quantizer) = (&config.architecture, &config.quantizer);
    let network = match architecture.kind {
        ArchitectureKind::VqVae => "VQ-VAE",
        ArchitectureKind::VqVae2 => "VQ-VAE-2",
    };
    let grid = quantizer.grid.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
    let neighborhood = match quantizer.neighborhood {
        NeighborhoodKind::Hard => "a hard neighborhood",
        NeighborhoodKind::Gaussian => "a gaussian neighborhood",
        NeighborhoodKind::None => "no neighborhood",
    };
    let codebook = match (quantizer.kind, quantizer.neighborhood) {
        (QuantizerKind::Ksom, NeighborhoodKind::None) => "is learned by moving averages (EMA-VQ)".to_string(),
        (QuantizerKind::Ksom, _) => {
            format!("is a Kohonen self-organizing map on a grid of {grid} with {neighborhood}")
        }
        (QuantizerKind::GdSom, _) => {
            format!("is a map on a grid of {grid} with {neighborhood}, trained by gradient descent (GD-SOM)")
        }
        (QuantizerKind::SimVq, _) => "is a learned linear map of fixed vectors (SimVQ)".to_string(),
        (QuantizerKind::Fsq, _) => format!("is the lattice of {grid} levels (FSQ)"),
    };
    let levels: Vec<String> = architecture
        .levels()
        .iter()
        .map(|level| {
            let bits = bits_per_pixel(quantizer.num_codes, 1.0, (level.stride * level.stride) as f64);
            format!(
                "each {0}×{0} pixels into one of {1} codes ({bits} bits per pixel)",
                level.stride, quantizer.num_codes
            )
        })
        .collect();
    format!("A {network} whose codebook {codebook}. It turns {}.", levels.join(", and "))
}

/// What codes mean and what they take.
fn codes(config: &ModelConfig) -> String {
    let quantizer = &config.quantizer;
    let stored = stored_bits(quantizer.num_codes);
    let levels: Vec<String> = config
        .architecture
        .levels()
        .iter()
        .map(|level| {
            let bits = |each: f64| rounded(each / (level.stride * level.stride) as f64);
            let (exact, stored_bits) = (bits((quantizer.num_codes as f64).log2()), bits(f64::from(stored)));
            format!(
                "- `{}`: [H/{1}, W/{1}], rows from top to bottom; {exact} bits per pixel, {stored_bits} as stored (u{stored})",
                level.name, level.stride
            )
        })
        .collect();
    let layout = grid_layout(&quantizer.grid);
    format!("{}\n\nOn the codebook's grid {layout}.", levels.join("\n"))
}

fn training(provenance: &Provenance) -> String {
    let mut lines = Vec::new();
    if let Some(base) = &provenance.base_model {
        let commit = provenance.base_revision.as_ref().map(|commit| format!(" at `{commit}`")).unwrap_or_default();
        let base = match &provenance.base_revision {
            Some(_) => format!("[{base}](https://huggingface.co/{base})"),
            None => format!("`{base}`"),
        };
        lines.push(format!("- fine-tuned from {base}{commit}"));
    }
    let fields = [
        ("data", provenance.data.clone()),
        ("recipe", provenance.recipe.as_ref().map(|recipe| format!("`{recipe}`"))),
        ("steps", provenance.steps.map(|steps| steps.to_string())),
        ("seed", provenance.seed.map(|seed| seed.to_string())),
        ("written by", provenance.written_by.clone()),
    ];
    lines.extend(fields.into_iter().filter_map(|(name, value)| Some(format!("- {name}: {}", value?))));
    if lines.is_empty() { "Not recorded.".to_string() } else { lines.join("\n") }
}

fn figures(metrics: &RecordedMetrics) -> String {
    let codes: Vec<String> = metrics.codes.iter().map(|[used, all]| format!("{used} of {all}")).collect();
    let list = |values: &[f64], digits: usize| values.iter().map(|value| format!("{value:.digits$}")).collect();
    let text = |values: Vec<String>| Some(values.join(", ")).filter(|text| !text.is_empty());
    let rows = [
        ("MSE, normalized units", metrics.mse.map(rounded)),
        ("MSE of the model before fine-tuning, same pictures", metrics.mse_before.map(rounded)),
        ("PSNR", metrics.psnr.map(|psnr| format!("{psnr:.2} dB"))),
        ("PSNR of the mean MSE", metrics.psnr_of_mean_mse.map(|psnr| format!("{psnr:.2} dB"))),
        ("SSIM", metrics.ssim.map(|ssim| format!("{ssim:.4}"))),
        ("MS-SSIM", metrics.ms_ssim.map(|ssim| format!("{ssim:.4}"))),
        ("bits per pixel", metrics.bits_per_pixel.map(rounded)),
        ("codes in use", text(codes)),
        ("perplexity", text(list(&metrics.perplexity, 1))),
        ("topographic error", text(list(&metrics.topographic_error, 3))),
        ("rank correlation of grid and codebook distances", text(list(&metrics.rank_correlation, 3))),
        ("pictures", metrics.images.map(|images| images.to_string())),
    ];
    let rows: String =
        rows.into_iter().filter_map(|(name, value)| Some(format!("| {name} | {} |\n", value?))).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "## Figures\n\nOn the pictures kept for validation (`metrics.jsonl` has the whole record):\n\n| | |\n|---|---|\n{rows}\n"
    )
}

/// At most six decimals, and no zeros after the last digit that says something.
fn rounded(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_tells_what_is_known_and_no_more() {
        let name: HubName = "owner/tuned".parse().unwrap();
        let mut config = ModelConfig::vqvae();
        let bare = write_card(&name, &config, &RecordedMetrics::default(), &CardOptions::default(), false);
        for text in [
            "license: other\n",
            "library_name: candle\n",
            "Not recorded.",
            "512 codes",
            "owner/tuned",
            "(k % 32, k // 32)",
            "skip is rectified",
        ] {
            assert!(bare.contains(text), "{text}: {bare}");
        }
        for text in ["model-index", "base_model", "datasets", "## Figures", "onnx"] {
            assert!(!bare.contains(text), "{text}: {bare}");
        }

        config.provenance.base_model = Some("owner/base".into());
        config.provenance.base_revision = Some("0123456789abcdef0123456789abcdef01234567".into());
        config.provenance.data = Some("\"quoted\": 3 images".into());
        let metrics = RecordedMetrics {
            mse: Some(0.05),
            mse_before: Some(0.08),
            psnr: Some(f64::INFINITY),
            codes: vec![[9, 512]],
            ..RecordedMetrics::default()
        };
        let options =
            CardOptions { license: Some("mit".into()), datasets: vec!["cifar10".into()], ..CardOptions::default() };
        let card = write_card(&name, &config, &metrics, &options, false);
        for text in [
            "license: mit\n",
            "datasets:\n- \"cifar10\"\n",
            "base_model: \"owner/base\"\n",
            "value: 0.05\n",
            "name: \"\\\"quoted\\\": 3 images\"\n",
            "at `0123456789abcdef",
            "| MSE of the model before fine-tuning, same pictures | 0.08 |",
            "| codes in use | 9 of 512 |",
        ] {
            assert!(card.contains(text), "{text}: {card}");
        }
        assert!(!card.contains("type: psnr"), "{card}");

        let base = |base: &str, options: &CardOptions| {
            (config.provenance.base_model, config.provenance.base_revision) = (Some(base.into()), None);
            write_card(&name, &config, &metrics, options, false)
        };
        let mut base = base;
        assert!(base("cifar10-ksom", &options).contains("base_model: \"ksom-rs/cifar10-ksom\"\n"));
        assert!(!base("runs/of/mine", &options).contains("base_model:"));
        let told = CardOptions { base_model: Some("owner/mine".parse().unwrap()), ..options.clone() };
        assert!(base("runs/of/mine", &told).contains("base_model: \"owner/mine\"\n"));
    }

    #[test]
    fn odd_licenses_and_data_sets_are_refused() {
        let refuses = |license: Option<&str>, set: &str| {
            let options = CardOptions {
                license: license.map(String::from),
                datasets: vec![set.to_string()],
                ..CardOptions::default()
            };
            options.check().is_err()
        };
        assert!(!refuses(Some("cc-by-4.0"), "owner/set"));
        assert!(refuses(Some("mit\nx: y"), "owner/set") && refuses(None, "a b") && refuses(None, ""));
    }
}
