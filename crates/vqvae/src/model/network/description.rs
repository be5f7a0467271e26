//! The network in words, exact enough to build it again elsewhere: for model cards. docs/network.md has the same at
//! length.

use crate::model::config::{ArchitectureKind, ModelConfig};

/// The layers of a model as Markdown: convolutions with their sizes, strides and paddings, where the ReLUs are, and how
/// pixels come in and go out.
pub(crate) fn describe_network(config: &ModelConfig) -> String {
    let a = &config.architecture;
    let (h, half, r, count) = (a.hidden, a.hidden / 2, a.residual_hidden, a.residual_layers);
    let (d, k) = (config.quantizer.dim, config.quantizer.num_codes);
    let normalization = &config.preprocessing.normalization;
    let pixels = format!(
        "Pixels in 0…1, RGB, [N, 3, H, W], normalized per channel: (x − mean) / deviation with mean {:?} and deviation \
         {:?}. Sides are first brought to a multiple of {} by repeating the last column and row; what comes out is \
         cropped back, denormalized and rounded.",
        normalization.mean,
        normalization.std,
        a.stride()
    );
    let further = |name: &str, from: usize, layer: &str| -> String {
        let stage = |i| format!("`{name}{}`, {layer} 4×4, stride 2, padding 1 ({h} → {h}), ReLU; ", from + i);
        (0..a.further_stages()).map(stage).collect()
    };
    let (down, up) = (further("_conv_", 4, "conv"), further("_conv_trans_", 3, "transposed conv"));
    let layers = match a.kind {
        ArchitectureKind::VqVae => format!(
            "- encoder `_encoder`: conv 4×4, stride 2, padding 1 (3 → {half}), ReLU; conv 4×4, stride 2, padding 1 \
             ({half} → {h}), ReLU; {down}conv 3×3, padding 1 ({h} → {h}); {count} residual blocks; ReLU\n\
             - a residual block: relu(x) + conv 1×1 (relu(conv 3×3, padding 1 (relu(x)))), {h} → {r} → {h}, without \
             biases. **The skip is rectified, too**: relu(x), not x\n\
             - `_pre_vq_conv`: conv 1×1 ({h} → {d})\n\
             - codebook `_vq_vae._w` [{k}, {d}]: the nearest row by Euclidean distance\n\
             - decoder `_decoder`: conv 3×3, padding 1 ({d} → {h}); {count} residual blocks; ReLU; {up}transposed conv \
             4×4, stride 2, padding 1 ({h} → {half}), ReLU; transposed conv 4×4, stride 2, padding 1 ({half} → 3)\n"
        ),
        ArchitectureKind::VqVae2 => {
            let (both, wide) = (2 * d, d + h);
            format!(
                "- `enc_b`: conv 4×4, stride 2, padding 1 (3 → {half}), ReLU; conv 4×4, stride 2, padding 1 ({half} → {h}), \
                 ReLU; conv 3×3, padding 1 ({h} → {h}); {count} residual blocks; ReLU\n\
                 - `enc_t`, on its output: conv 4×4, stride 2, padding 1 ({h} → {half}), ReLU; conv 3×3, padding 1 \
                 ({half} → {h}); {count} residual blocks; ReLU\n\
                 - a residual block: x + conv 1×1 (relu(conv 3×3, padding 1 (relu(x)))), {h} → {r} → {h}, with biases; \
                 the skip is x as it is\n\
                 - top codes: `quantize_conv_t`, conv 1×1 ({h} → {d}); codebook `quantize_t._w` [{k}, {d}], the nearest \
                 row by Euclidean distance\n\
                 - `dec_t`, on the quantized top: conv 3×3, padding 1 ({d} → {h}); {count} residual blocks; ReLU; \
                 transposed conv 4×4, stride 2, padding 1 ({h} → {d})\n\
                 - bottom codes: `quantize_conv_b`, conv 1×1 ({wide} → {d}) on the channels of `dec_t` followed by those \
                 of `enc_b`; codebook `quantize_b._w` [{k}, {d}]\n\
                 - `upsample_t`: transposed conv 4×4, stride 2, padding 1 ({d} → {d}) on the quantized top\n\
                 - `dec`, on the channels of `upsample_t` followed by the quantized bottom: conv 3×3, padding 1 \
                 ({both} → {h}); {count} residual blocks; ReLU; transposed conv 4×4, stride 2, padding 1 ({h} → {half}), \
                 ReLU; transposed conv 4×4, stride 2, padding 1 ({half} → 3)\n"
            )
        }
    };
    format!("{pixels}\n\n{layers}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_are_those_of_the_model() {
        let text = describe_network(&ModelConfig::vqvae());
        for part in ["(3 → 64)", "(64 → 128)", "128 → 32 → 128", "skip is rectified", "[512, 64]", "multiple of 4"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let mut config = ModelConfig::vqvae();
        config.architecture.downsample = 16;
        let text = describe_network(&config);
        for part in [
            "`_conv_4`, conv 4×4",
            "`_conv_5`, conv",
            "`_conv_trans_3`, transposed conv",
            "`_conv_trans_4`",
            "multiple of 16",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = describe_network(&ModelConfig::vqvae2());
        for part in ["(192 → 64)", "(128 → 128)", "with biases", "`quantize_b._w` [512, 64]", "multiple of 8"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
