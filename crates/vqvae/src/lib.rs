//! ksom-vqvae
