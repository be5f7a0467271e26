//! Results on stdout: text for people or JSON for programs. The one place that renders them.

use std::io::{Write, stdout};

use anyhow::{Context, Result};
use ksom_vqvae::evaluation::LevelEvaluation;
use ksom_vqvae::model::ArchitectureKind;
use serde::Serialize;

use crate::console::printable;
use crate::settings::Settings;

/// Stands in a table for a number that there is not.
pub const NO_NUMBER: &str = "–";

/// A command's result: plain data, and how it reads as text.
pub trait Report: Serialize {
    /// The text, block by block.
    fn blocks(&self) -> Vec<Block>;

    /// The exit code that goes with it.
    fn exit_code(&self) -> u8 {
        0
    }
}

/// A part of a text.
pub enum Block {
    Line(String),
    /// What could be done next, or where something lies: left out when only results are wanted.
    Hint(String),
    /// Names and values, the values aligned.
    Fields(Vec<(&'static str, String)>),
    /// A header and rows of as many cells; columns of numbers are aligned right.
    Table {
        header: Vec<String>,
        rows: Vec<Vec<String>>,
    },
}

/// Prints a result, unless another process speaks for this one; gives its exit code.
pub fn print(report: &impl Report, settings: &Settings) -> Result<u8> {
    if !settings.team.leads() {
        return Ok(report.exit_code());
    }
    let mut text = if settings.json {
        serde_json::to_string_pretty(report).context("cannot write the result as JSON")?
    } else {
        let blocks = report.blocks();
        let shown = blocks.iter().filter(|block| !(settings.console.quiet && matches!(block, Block::Hint(_))));
        printable(&shown.map(render).collect::<Vec<_>>().join("\n"))
    };
    text.push('\n');
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write the result to stdout")?;
    Ok(report.exit_code())
}

fn render(block: &Block) -> String {
    match block {
        Block::Line(line) | Block::Hint(line) => line.clone(),
        Block::Fields(fields) => {
            let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
            lines.join("\n")
        }
        Block::Table { header, rows } => {
            let all = || std::iter::once(header).chain(rows);
            let width =
                |column: usize| all().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
            let widths: Vec<usize> = (0..header.len()).map(width).collect();
            let is_numeric = |column: usize| rows.iter().filter_map(|row| row.get(column)).all(|cell| is_number(cell));
            let numeric: Vec<bool> = (0..header.len()).map(is_numeric).collect();
            let line = |row: &Vec<String>| {
                let cells = row.iter().zip(widths.iter().zip(&numeric)).map(|(cell, (&width, numeric))| {
                    if *numeric { format!("{cell:>width$}") } else { format!("{cell:width$}") }
                });
                cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
            };
            all().map(line).collect::<Vec<_>>().join("\n")
        }
    }
}

/// Whether a cell is a number, perhaps with a unit, or stands for one that is missing.
fn is_number(cell: &str) -> bool {
    let number = cell.split(' ').next().unwrap_or(cell);
    ["", NO_NUMBER].contains(&cell) || number.parse::<f64>().is_ok()
}

/// A table of these columns.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> Block {
    Block::Table { header: header.iter().map(ToString::to_string).collect(), rows }
}

/// Four significant digits.
pub fn significant(value: f64) -> String {
    const DIGITS: i32 = 4;
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let exponent = value.abs().log10().floor() as i32;
    if (-4..DIGITS + 2).contains(&exponent) {
        format!("{value:.*}", (DIGITS - 1 - exponent).max(0) as usize)
    } else {
        format!("{value:.*e}", (DIGITS - 1) as usize)
    }
}

/// A size in bytes, for people.
pub fn bytes(count: u64) -> String {
    let scaled = |unit: u32| count as f64 / f64::from(1u32 << unit);
    match count {
        0..1_024 => format!("{count} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", scaled(10)),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", scaled(20)),
        _ => format!("{:.1} GiB", scaled(30)),
    }
}

/// A time span, for people.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{:.1} s", seconds.max(0.0)),
        10..60 => format!("{whole} s"),
        60..600 => format!("{} min {:02} s", whole / 60, whole % 60),
        600..3_600 => format!("{} min", whole / 60),
        _ => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// `1 picture`, `3,000 pictures`.
pub fn pictures(count: usize) -> String {
    if count == 1 { "1 picture".to_string() } else { format!("{} pictures", grouped(count)) }
}

/// A whole number with commas between its thousands.
pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

/// A grid's or picture's sides.
pub fn sides<T: ToString>(sides: &[T]) -> String {
    sides.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

/// Use of a codebook in a few words.
pub fn usage(level: &LevelEvaluation) -> String {
    format!("{} of {} codes used, perplexity {:.1}", level.codes_in_use, level.num_codes, level.perplexity)
}

/// An architecture's name for people.
pub fn architecture_name(kind: ArchitectureKind) -> &'static str {
    match kind {
        ArchitectureKind::VqVae => "VQ-VAE",
        ArchitectureKind::VqVae2 => "VQ-VAE-2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1.000"),
            (0.012_345_6, "0.01235"),
            (123_456.0, "123456"),
            (12_345_678.0, "1.235e7"),
            (1.5e-7, "1.500e-7"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn spans_and_sizes() {
        assert_eq!(duration(59.7), "1 min 00 s");
        assert_eq!(duration(3_725.0), "1 h 02 min");
        assert_eq!([7, 999, 1_000, 12_345_678].map(grouped), ["7", "999", "1,000", "12,345,678"]);
        assert_eq!(bytes(1_023), "1023 bytes");
        assert_eq!(bytes(1_536), "1.5 KiB");
    }

    #[test]
    fn columns_are_aligned() {
        let block = table(&["name", "mse"], vec![vec!["a".into(), "10".into()], vec!["longer".into(), "1".into()]]);
        assert_eq!(render(&block), "name    mse\na        10\nlonger    1");
        assert_eq!(render(&Block::Fields(vec![("a", "1".into()), ("bcd", "2".into())])), "a    1\nbcd  2");
    }
}
