//! `owner/name[@revision][:config[:split]]`: a data set on the Hub.

use std::fmt;
use std::str::FromStr;

use super::name::HubName;
use crate::error::Error;

/// A data set on the Hub, and which part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubDataName {
    /// The repository.
    pub name: HubName,
    /// One of its configurations.
    pub config: Option<String>,
    /// One of its splits.
    pub split: Option<String>,
}

impl fmt::Display for HubDataName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        [&self.config, &self.split].into_iter().flatten().try_for_each(|part| write!(f, ":{part}"))
    }
}

impl FromStr for HubDataName {
    type Err = Error;

    /// # Errors
    /// The text is not of that form.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default().parse().map_err(|_| refuse(text))?;
        let mut part = || match parts.next() {
            None => Ok(None),
            Some(word) if !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_. ".contains(c)) => {
                Ok(Some(word.to_string()))
            }
            Some(_) => Err(refuse(text)),
        };
        let (config, split) = (part()?, part()?);
        if parts.next().is_some() { Err(refuse(text)) } else { Ok(Self { name, config, split }) }
    }
}

fn refuse(text: &str) -> Error {
    Error::Invalid(format!(
        "{text:?} is not a data set on the Hub: expected owner/name[@revision][:config[:split]], such as uoft-cs/cifar10"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let name: HubDataName = "o/n@v1:plain_text:train".parse().unwrap();
        assert_eq!((name.config.as_deref(), name.split.as_deref()), (Some("plain_text"), Some("train")));
        assert_eq!((name.name.to_string(), name.to_string()), ("o/n@v1".into(), "o/n@v1:plain_text:train".into()));
        assert_eq!("o/n".parse::<HubDataName>().unwrap().config, None);
        for wrong in ["cifar10", "o/n:", "o/n:a:b:c", "o/n:../x", "o/n::train"] {
            assert!(wrong.parse::<HubDataName>().is_err(), "{wrong}");
        }
    }
}
