//! How fast a data set is decoded and batched on this machine.
//!
//! `cargo run --release -p ksom-datasets --example throughput -- folder:PATH [BATCH] [WORKERS] [SIDE]`

use std::time::Instant;

use ksom_datasets::loading::batches;
use ksom_datasets::{
    DataOptions, DataSpec, ImageSource, Loader, LoaderOptions, Normalization, Order, Preprocess, open,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let spec: DataSpec = arguments.next().ok_or("which data set? e.g. folder:photos")?.parse()?;
    let batch = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let mut options = LoaderOptions::default();
    if let Some(workers) = arguments.next() {
        options.workers = workers.parse()?;
        options.ahead = options.workers + 1;
    }
    if let Some(side) = arguments.next() {
        let side = side.parse()?;
        options.preprocess = Preprocess::squash(side, side);
    }

    let start = Instant::now();
    let data = open(&spec, &DataOptions { valid_fraction: 0.0, ..DataOptions::default() })?;
    println!("{} in {:.2?}", data.description, start.elapsed());

    let start = Instant::now();
    let statistics = Normalization::measure(data.train.as_ref(), &options.preprocess)?;
    println!("mean {:?} std {:?}", statistics.mean, statistics.std);
    report("first pass on all cores, statistics", data.train.as_ref(), start);

    let start = Instant::now();
    for batch in batches(data.train.clone(), batch, options)? {
        batch?;
    }
    report("a pass in order, batched", data.train.as_ref(), start);

    let fresh = open(&spec, &DataOptions { valid_fraction: 0.0, keep_decoded: 0, ..DataOptions::default() })?;
    for (what, source) in [("kept in memory as far as it fits", data.train), ("decoded anew", fresh.train)] {
        let order = Order::new(0, source.len(), batch)?;
        let count = source.len().div_ceil(batch).clamp(1, 200);
        let start = Instant::now();
        for batch in Loader::new(source, order, 0, options)?.take(count) {
            batch?;
        }
        let rate = count as f64 / start.elapsed().as_secs_f64();
        println!("{} workers, {what}: {rate:.1} batches of {batch} per second", options.workers);
    }
    Ok(())
}

fn report(what: &str, source: &dyn ImageSource, start: Instant) {
    let time = start.elapsed();
    let rate = source.len() as f64 / time.as_secs_f64();
    println!("{what}: {} images in {time:.2?}, {rate:.0} per second", source.len());
}
