//! The model `photos-ksom-f8` of ksom's zoo. `ksom-models` collects all of them.

/// `config.json`.
pub const CONFIG: &str = include_str!("config.json");
/// `model.safetensors`.
pub const WEIGHTS: &[u8] = include_bytes!("model.safetensors");
/// `metrics.jsonl`.
pub const METRICS: &str = include_str!("metrics.jsonl");
