//! Which of the shards a process does, where several share them out.

use std::fmt;
use std::str::FromStr;

/// Part `index` of `of`: of a list of shards those whose number leaves the rest `index` when divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    index: u64,
    of: u64,
}

/// The variables that say which of several processes this one is, and of how many: those of Open MPI, of MPICH and
/// Slurm's `srun --mpi=pmi2`, of PyTorch's and others' launchers. The first pair that is there counts.
const RANKS: [(&str, &str); 3] =
    [("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"), ("RANK", "WORLD_SIZE")];

impl Part {
    /// All of it.
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// Whether the shard of this number is in it.
    pub fn has(self, number: usize) -> bool {
        number as u64 % self.of == self.index
    }

    /// The part that the environment says, and the variables that say so: a task of a Slurm array, a rank of several, or a
    /// rank within a task. Nothing where it says nothing.
    ///
    /// # Errors
    /// A variable is no number, or contradicts another one.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<(Self, String)>, String> {
        let number = |name: &str| match variable(name).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => match text.trim().parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("expected a number in the variable {name}, found {text:?}")),
            },
        };
        let checked = |index: u64, of: u64, names: String| match index < of {
            true => Ok((Self { index, of }, names)),
            false => Err(format!("{names}: expected a number below {of}, found {index}")),
        };
        let mut parts = Vec::new();
        if let (Some(id), Some(count)) = (number("SLURM_ARRAY_TASK_ID")?, number("SLURM_ARRAY_TASK_COUNT")?) {
            let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            let index = id.checked_sub(first).filter(|behind| behind % step == 0).map(|behind| behind / step);
            let last = number("SLURM_ARRAY_TASK_MAX")?;
            let has_gaps = last.is_some_and(|last| last.checked_sub(first).map(|span| span / step + 1) != Some(count));
            match index {
                Some(index) if !has_gaps => {
                    parts.push(checked(index, count, "SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT".to_string())?);
                }
                _ => {
                    return Err(format!(
                        "the task {id} of a Slurm array of {count} tasks from {first} in steps of {step} has no place among them: number the tasks without gaps, or say which part is to be done"
                    ));
                }
            }
        }
        for (rank, size) in RANKS {
            if let (Some(index), Some(of)) = (number(rank)?, number(size)?) {
                parts.push(checked(index, of, format!("{rank}, {size}"))?);
                break;
            }
        }
        Ok(parts.into_iter().reduce(|(outer, a), (inner, b)| {
            // A rank within a task of an array.
            let of = outer.of.saturating_mul(inner.of);
            (Self { index: outer.index * inner.of + inner.index, of }, format!("{a}, {b}"))
        }))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Part {
    type Err = String;

    /// # Errors
    /// The text is not `i/n` with i from 0 to n − 1.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            _ => Err("expected i/n with i from 0 to n − 1, such as 0/4, 1/4, 2/4 and 3/4".to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Ok(Part::from_environment(variable)?.map(|(part, _)| part.to_string()))
    }

    #[test]
    fn parts_cover_everything_once() {
        for of in 1..6 {
            let parts: Vec<Part> = (0..of).map(|i| format!("{i}/{of}").parse().unwrap()).collect();
            for number in 0..20 {
                assert_eq!(parts.iter().filter(|part| part.has(number)).count(), 1);
            }
        }
        for wrong in ["4/4", "1", "a/b", "0/0", "-1/2", "1/", ""] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_environment_says_which() {
        let slurm = |id, count, min, max, step| {
            found(&[
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_COUNT", count),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_MAX", max),
                ("SLURM_ARRAY_TASK_STEP", step),
            ])
        };
        assert_eq!(slurm("1", "4", "1", "4", "1"), Ok(Some("0/4".into())));
        assert_eq!(slurm("4", "4", "1", "4", "1"), Ok(Some("3/4".into())));
        assert_eq!(slurm("30", "4", "10", "40", "10"), Ok(Some("2/4".into())));
        // --array=1,3,7
        assert!(slurm("7", "3", "1", "7", "1").unwrap_err().contains("without gaps"));
        assert!(slurm("3", "3", "1", "7", "1").is_err());
        assert_eq!(found(&[("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "3")]), Ok(Some("2/3".into())));
        assert_eq!(
            found(&[("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2"), ("RANK", "7")]),
            Ok(Some("1/2".into()))
        );
        assert_eq!(found(&[("PMI_RANK", "0"), ("PMI_SIZE", "2")]), Ok(Some("0/2".into())));
        assert_eq!(found(&[("RANK", "3"), ("WORLD_SIZE", "4")]), Ok(Some("3/4".into())));
        assert_eq!(found(&[("RANK", "3")]), Ok(None));
        assert_eq!(found(&[]), Ok(None));
        assert!(found(&[("RANK", "4"), ("WORLD_SIZE", "4")]).unwrap_err().contains("below 4"));
        assert!(found(&[("RANK", "x"), ("WORLD_SIZE", "4")]).unwrap_err().contains("RANK"));
        // Two ranks in each of three tasks.
        let both = [("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "3"), ("RANK", "1"), ("WORLD_SIZE", "2")];
        assert_eq!(found(&both), Ok(Some("5/6".into())));
    }
}
