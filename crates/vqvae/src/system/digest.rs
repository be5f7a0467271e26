//! SHA-256 and other digests, in hexadecimal.

use std::io::Read;

use sha2::{Digest, Sha256};

/// The digest of all that a reader gives, in hexadecimal.
pub(crate) fn digest(mut hash: impl Digest, mut file: impl Read) -> std::io::Result<String> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// SHA-256 of some bytes, in hexadecimal: what the Hub, `sha256sum` and `ksom list` call a file of weights.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
