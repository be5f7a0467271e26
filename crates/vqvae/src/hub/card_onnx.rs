//! What a card says of the ONNX files beside the model: how to run them in Python and in the browser.

use crate::model::config::Architecture;

/// The folder of the ONNX files in a repository.
pub(crate) const ONNX_FOLDER: &str = "onnx";

/// The section, for the model that is `repository` on the Hub.
pub(crate) fn onnx_section(repository: &str, architecture: &Architecture) -> String {
    let stride = architecture.stride();
    let levels: Vec<String> = architecture
        .levels()
        .iter()
        .map(|level| format!("`{0}` i64 [N, H/{1}, W/{1}]", level.name, level.stride))
        .collect();
    format!(
        r#"## In onnxruntime, without ksom

`{ONNX_FOLDER}/encoder.onnx` takes `pixels` f32 [N, 3, H, W], RGB in 0…1, and gives {levels}; `{ONNX_FOLDER}/decoder.onnx` goes
back. N, H and W are open, H and W being multiples of {stride}: pad by repeating the last row and column, crop after decoding.
The files' metadata names fingerprint, grid and normalization.

```python
import numpy as np, onnxruntime as ort
from huggingface_hub import hf_hub_download
from PIL import Image

load = lambda part: ort.InferenceSession(hf_hub_download("{repository}", f"{ONNX_FOLDER}/{{part}}.onnx"))
encoder, decoder = load("encoder"), load("decoder")
names = [output.name for output in encoder.get_outputs()]

picture = np.asarray(Image.open("photo.png").convert("RGB"))
height, width = picture.shape[:2]
padded = np.pad(picture, ((0, -height % {stride}), (0, -width % {stride}), (0, 0)), mode="edge")
pixels = padded.transpose(2, 0, 1)[None].astype(np.float32) / 255
codes = dict(zip(names, encoder.run(names, {{"pixels": pixels}})))
decoded = decoder.run(["pixels"], codes)[0][0, :, :height, :width]
Image.fromarray(np.rint(decoded.transpose(1, 2, 0) * 255).astype(np.uint8)).save("decoded.png")
```

In the browser, with onnxruntime-web, for a `canvas` whose sides are multiples of {stride}:

```js
import * as ort from "https://cdn.jsdelivr.net/npm/onnxruntime-web/dist/ort.min.mjs";

const load = (part) =>
  ort.InferenceSession.create(`https://huggingface.co/{repository}/resolve/main/{ONNX_FOLDER}/${{part}}.onnx`);
const [encoder, decoder] = [await load("encoder"), await load("decoder")];

const {{ width, height }} = canvas;
const {{ data }} = canvas.getContext("2d").getImageData(0, 0, width, height);
const area = width * height;
const values = Float32Array.from({{ length: 3 * area }}, (_, i) => data[4 * (i % area) + Math.floor(i / area)] / 255);
const codes = await encoder.run({{ pixels: new ort.Tensor("float32", values, [1, 3, height, width]) }});
const {{ pixels }} = await decoder.run(codes);
```
"#,
        levels = levels.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_names_the_models_own_files_and_levels() {
        let text = onnx_section("owner/mine", &Architecture::vqvae2());
        for part in [
            "`onnx/encoder.onnx` takes",
            "`codes_top` i64 [N, H/8, W/8] and `codes_bottom` i64 [N, H/4, W/4]",
            "hf_hub_download(\"owner/mine\", f\"onnx/{part}.onnx\")",
            "https://huggingface.co/owner/mine/resolve/main/onnx/${part}.onnx",
            "(0, -height % 8)",
            "{\"pixels\": pixels}",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(onnx_section("owner/mine", &Architecture::vqvae()).contains("`codes` i64 [N, H/4, W/4]; "));
    }
}
