//! What is told of files that were left out, or are odd.

use ksom_datasets::DataSet;
use ksom_datasets::files::PassedOver;
use ksom_datasets::sources::Remarks;

use crate::console::Console;

/// At most so many lines of one kind; the rest are counted.
const MOST_LINES: usize = 20;

/// Tells what was passed over when pictures were looked for.
pub fn tell_passed_over(passed_over: &PassedOver, console: &Console) {
    tell_each(passed_over.unreachable(), "entries that cannot be opened", console);
    if !passed_over.is_empty() {
        console.warn(&passed_over.to_string(), None);
    }
}

/// Tells what is left out of a data set.
pub fn tell_left_out(data: &DataSet, console: &Console) {
    tell_passed_over(&data.passed_over, console);
    for (name, reason) in &data.unreadable {
        console.warn(&format!("left out {name}: {reason}"), None);
    }
}

/// Tells, when it goes out of scope, what was odd about a data set's pictures that were read all the same.
pub struct RemarksAtEnd {
    remarks: Remarks,
    console: Console,
}

impl RemarksAtEnd {
    pub fn of(data: &DataSet, console: &Console) -> Self {
        Self { remarks: data.remarks.clone(), console: *console }
    }
}

impl Drop for RemarksAtEnd {
    fn drop(&mut self) {
        let remarks = self.remarks.take().into_iter().map(|(name, remark)| format!("{name}: {remark}"));
        tell_each(&remarks.collect::<Vec<_>>(), "pictures like these", &self.console);
    }
}

fn tell_each(lines: &[impl std::fmt::Display], what: &str, console: &Console) {
    for line in lines.iter().take(MOST_LINES) {
        console.warn(&line.to_string(), None);
    }
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        console.warn(&format!("and {more} more {what}"), None);
    }
}
