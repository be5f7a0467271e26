//! ksom-kernels
