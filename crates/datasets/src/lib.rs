//! ksom-datasets
