//! The command line as clap parses it. Each command's own arguments stand in its file under `commands/`.

use clap::{Parser, Subcommand};

use crate::arguments::GlobalArgs;
use crate::commands::{
    bench, compare, convert, decode, encode, eval, experiment, explore, export, finetune, info, list, map,
    neighborhood, perturb, plot, pull, push, reconstruct, train, usage,
};

/// Turn pictures into discrete codes and back with Kohonen VQ-VAEs: train, fine-tune, encode, decode, inspect.
#[derive(Parser)]
#[command(name = "ksom", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Example:\n  ksom reconstruct photo.jpg -o out.png --side-by-side")]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Train(train::TrainArgs),
    Finetune(finetune::FinetuneArgs),
    Encode(encode::EncodeArgs),
    Decode(decode::DecodeArgs),
    Reconstruct(reconstruct::ReconstructArgs),
    Compare(compare::CompareArgs),
    Eval(eval::EvalArgs),
    Experiment(experiment::ExperimentArgs),
    Plot(plot::PlotArgs),
    Explore(explore::ExploreArgs),
    Map(map::MapArgs),
    Usage(usage::UsageArgs),
    Perturb(perturb::PerturbArgs),
    Neighborhood(neighborhood::NeighborhoodArgs),
    Bench(bench::BenchArgs),
    Info(info::InfoArgs),
    List(list::ListArgs),
    Pull(pull::PullArgs),
    Push(push::PushArgs),
    #[cfg(feature = "shards")]
    PushData(crate::commands::push_data::PushDataArgs),
    Convert(convert::ConvertArgs),
    Export(export::ExportArgs),
}
