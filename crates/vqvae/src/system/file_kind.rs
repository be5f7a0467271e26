//! What a file is, by its first bytes and by the names in it: so that something else than was expected is called by its
//! name wherever a file is opened.

use std::fmt;

/// So many first bytes are enough to tell.
pub(crate) const HEAD: usize = 1024;

/// Kinds of files that people have, by their first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A file of tensors.
    Safetensors,
    /// A NumPy array.
    Npy,
    /// What `torch.save` writes.
    Torch,
    /// What stands in for a file where git-lfs did not fetch it: the size that it promises.
    LfsPointer(Option<u64>),
    /// Anything else that has a name.
    Other(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// First bytes, and what they begin.
const MAGICS: [(&[u8], &str); 22] = [
    (
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19",
        "a checkpoint of PyTorch before 1.6: load it and save it with torch.save again",
    ),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file: unpack it first"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"\xfd7zXZ\0", "an xz file: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras, h5py)"),
    (b"GGUF", "a GGUF file (llama.cpp)"),
    (b"PAR1", "a Parquet file"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"RIFF", "a picture (WebP) or a recording"),
    (b"II*\0", "a picture (TIFF)"),
    (b"MM\0*", "a picture (TIFF)"),
    (b"BM", "a picture (BMP)"),
    (b"%PDF", "a PDF document"),
];

impl FileKind {
    /// The kind of a file with these first bytes: all of it, or [`HEAD`].
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let head = &bytes[..bytes.len().min(HEAD)];
        if head.is_empty() {
            return Self::Other("an empty file");
        }
        if head.starts_with(b"\x93NUMPY") {
            return Self::Npy;
        }
        if head.starts_with(b"version https://git-lfs.github.com/") {
            let text = String::from_utf8_lossy(head);
            return Self::LfsPointer(text.lines().find_map(|line| line.strip_prefix("size ")?.trim().parse().ok()));
        }
        // A header's length, and then JSON.
        if head.len() > 8 && head[8] == b'{' && head[4..8] == [0; 4] {
            return Self::Safetensors;
        }
        if head.starts_with(b"PK\x03\x04") {
            let has = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
            if has(b"/data.pkl") || has(b"/byteorder") || has(b"/version") || has(b"/.format_version") {
                return Self::Torch;
            }
            if has(b".npy") {
                return Self::Other("a NumPy archive (.npz): save each array alone, with numpy.save");
            }
        }
        if let Some((_, name)) = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Self::Other(name);
        }
        if head.get(257..262) == Some(b"ustar") {
            return Self::Other("a tar archive: unpack it first");
        }
        Self::of_text(head)
    }

    fn of_text(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).to_lowercase();
        if ["<!doctype", "<html", "<head", "<?xml", "<!--"].iter().any(|tag| start.starts_with(tag)) {
            return Self::Other(
                "a web page: what was downloaded is a page about the file, or one that asks for a login; download the file itself",
            );
        }
        // All of a text, but for a letter that may be cut in half at the end.
        let is_text = !text.trim_end_matches('\u{fffd}').contains(['\0', '\u{fffd}']);
        match start.chars().next() {
            _ if !is_text => Self::Unknown,
            Some('{' | '[') if start.starts_with(['{', '[']) => Self::Other("JSON text"),
            None => Self::Other("a file of blanks"),
            Some(_) => Self::Other("a text file"),
        }
    }

    /// That this was found where `expected` was.
    pub(crate) fn instead(&self, expected: &str) -> String {
        format!("expected {expected}, found {self}")
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safetensors => f.write_str("a safetensors file"),
            Self::Npy => f.write_str("a NumPy array (.npy)"),
            Self::Torch => f.write_str("a PyTorch file (.pth, .pt, .ckpt)"),
            Self::LfsPointer(size) => {
                let of = size.map(|size| format!(" to a file of {size} bytes")).unwrap_or_default();
                write!(
                    f,
                    "a Git LFS pointer{of}, not the file itself: run `git lfs pull` in that repository, or `ksom pull owner/name` for a model on the Hub"
                )
            }
            Self::Other(name) => f.write_str(name),
            Self::Unknown => f.write_str("something else"),
        }
    }
}

/// Parts of tensors' names, all of which a model has, and what it is.
const FOREIGN: [(&[&str], &str); 15] = [
    (&["encoder.down_blocks.", "quantize.embedding.weight"], "a VQModel of diffusers"),
    (&["encoder.down_blocks.", "decoder.up_blocks."], "an autoencoder of diffusers (AutoencoderKL)"),
    (&["first_stage_model.", "model.diffusion_model."], "a Stable Diffusion checkpoint"),
    (&["encoder.down.", "quantize.embedding.weight"], "a VQGAN checkpoint (taming-transformers)"),
    (&["encoder.down.", "decoder.up."], "an autoencoder of latent diffusion"),
    (&["encoder.conv_blocks.", "quantize.embedding.weight"], "a VQ tokenizer of LlamaGen"),
    (&["encoder.blocks.group_1"], "a discrete VAE of DALL·E"),
    (
        &["quantize_t.embed", "enc_b.blocks."],
        "a VQ-VAE-2 whose codebooks are kept under other names (vq-vae-2-pytorch)",
    ),
    (&["_vq_vae._embedding.weight"], "a VQ-VAE whose codebook is kept under another name (pytorch-vq-vae)"),
    (&["_codebook.embed"], "a model with a codebook of vector-quantize-pytorch"),
    (&["unet."], "a diffusion model"),
    (&["down_blocks.", "mid_block.", "up_blocks."], "a U-Net of diffusers"),
    (&["model.layers.", "self_attn."], "a language model"),
    (&["transformer.h."], "a language model"),
    (&["encoder.layer.", "attention."], "a transformer"),
];

/// What a checkpoint is that is none of ours, by the names of its tensors.
pub(crate) fn foreign_model<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    let has = |part: &str| names.clone().any(|name| name.contains(part));
    FOREIGN.iter().find(|(parts, _)| parts.iter().all(|part| has(part))).map(|(_, what)| *what)
}

/// What a `config.json` belongs to that is none of ours.
pub(crate) fn foreign_config(text: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let word = |key: &str| json.get(key)?.as_str().filter(|word| word.len() < 100).map(str::to_string);
    if let Some(class) = word("_class_name") {
        return Some(format!("a model of diffusers ({class})"));
    }
    if let Some(kind) = word("model_type") {
        return Some(format!("a model of transformers ({kind})"));
    }
    json.get("architectures")?;
    Some("a model of transformers".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_what_they_are() {
        let says = |bytes: &[u8], text: &str| {
            let kind = FileKind::of(bytes).to_string();
            assert!(kind.contains(text), "{text}: {kind}");
        };
        says(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1234\n",
            "pointer to a file of 1234 bytes",
        );
        says(b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer");
        says(b"\n<!DOCTYPE html><html>", "a web page");
        says(b"\x93NUMPY\x01\0", "NumPy array");
        says(b"PK\x03\x04......archive/data.pkl", "PyTorch");
        says(b"PK\x03\x04......arr_0.npy", "numpy.save");
        says(b"PK\x03\x04......readme.txt", "a zip archive");
        says(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "before 1.6");
        says(b"\x80\x04\x95", "a Python pickle");
        says(b"{\"a\": 1}", "JSON");
        says(b"hello", "a text file");
        says(b"", "empty");
        says(&[&[9, 0, 0, 0, 0, 0, 0, 0], b"{}".as_slice()].concat(), "safetensors");
        says(&[0xC3, 0x28, 0x99, 7, 0], "something else");
    }

    #[test]
    fn models_of_others_are_told_by_their_names() {
        let told = |names: &[&str]| foreign_model(names.iter().copied());
        assert_eq!(
            told(&["encoder.conv_in.weight", "encoder.down.0.block.0.conv1.weight", "quantize.embedding.weight"]),
            Some("a VQGAN checkpoint (taming-transformers)")
        );
        assert_eq!(
            told(&["encoder.down_blocks.0.x", "decoder.up_blocks.0.x", "quantize.embedding.weight"]),
            Some("a VQModel of diffusers")
        );
        assert_eq!(told(&["_encoder._conv_1.weight", "_vq_vae._w"]), None);
        assert_eq!(told(&["enc_b.blocks.0.weight", "quantize_t._w"]), None);
        assert!(foreign_config("{\"_class_name\": \"VQModel\"}").unwrap().contains("VQModel"));
        assert_eq!(foreign_config("{\"schema_version\": 1}"), None);
    }
}
