//! ksom-quantizers
