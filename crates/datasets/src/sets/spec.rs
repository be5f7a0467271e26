//! How a data set is named: `kind:path`, several joined by `+`.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DatasetError;

/// What kind of data set lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataKind {
    /// A folder of image files, in any layout.
    Folder,
    /// CIFAR-10 in its binary form.
    Cifar10,
    /// Parquet files with encoded images, as on the Hub.
    Parquet,
    /// Tar shards, as WebDataset has them.
    Wds,
    /// A data set on the Hugging Face Hub, `owner/name[@revision][:config[:split]]`, which is no path: whoever opens it
    /// fetches it first.
    Hub,
    /// MNIST's IDX files.
    Mnist,
    /// Fashion-MNIST's IDX files.
    FashionMnist,
    /// ImageNet (ILSVRC 2012): `train/<class>/`, `val/` flat or by class.
    ImageNet,
    /// CelebA-HQ: `train/` and `val/`.
    CelebaHq,
    /// AFHQ: `train/<animal>/`, `val/<animal>/` (version 2: `test/`).
    Afhq,
}

impl DataKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Folder,
        Self::Cifar10,
        Self::Parquet,
        Self::Wds,
        Self::Hub,
        Self::Mnist,
        Self::FashionMnist,
        Self::ImageNet,
        Self::CelebaHq,
        Self::Afhq,
    ];

    /// What stands before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Cifar10 => "cifar10",
            Self::Parquet => "parquet",
            Self::Wds => "wds",
            Self::Hub => "hub",
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::ImageNet => "imagenet",
            Self::CelebaHq => "celebahq",
            Self::Afhq => "afhq",
        }
    }
}

impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One data set of a specification.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    kind: Option<DataKind>,
    path: PathBuf,
}

impl Member {
    /// The kind that was stated; `None` where it is to be detected.
    pub fn kind(&self) -> Option<DataKind> {
        self.kind
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A data set, or a mixture of several, as it is named on the command line and in a config.
///
/// `folder:PATH`, `cifar10:PATH`, `parquet:PATH`, `wds:PATH`, `hub:OWNER/NAME`, `mnist:PATH`, `fashion-mnist:PATH`, `imagenet:PATH`,
/// `celebahq:PATH`, `afhq:PATH`, or a bare path whose kind is detected; several joined by `+` are a mixture. A plus
/// sign within a path is written twice, unless the whole is the path of something that is there: that is taken as it is.
///
/// ```
/// use ksom_datasets::DataSpec;
/// use ksom_datasets::sets::DataKind;
///
/// let spec: DataSpec = "celebahq:data/faces+data/a++b".parse()?;
/// assert_eq!(spec.members()[0].kind(), Some(DataKind::CelebaHq));
/// assert_eq!(spec.members()[1].kind(), None);
/// assert_eq!(spec.members()[1].path().to_str(), Some("data/a+b"));
/// assert_eq!(spec.to_string(), "celebahq:data/faces+data/a++b");
/// # Ok::<(), ksom_datasets::DatasetError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataSpec {
    members: Vec<Member>,
}

impl DataSpec {
    /// The data sets, at least one.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The same data sets by paths that mean the same in every folder.
    pub fn absolute(&self) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let absolute = |member: &Member| match member.kind {
            Some(DataKind::Hub) => member.clone(),
            kind => Member { kind, path: below(&here, &member.path) },
        };
        Self { members: self.members.iter().map(absolute).collect() }
    }

    /// The same with other members in the place of those that `replace` says something of.
    ///
    /// # Errors
    /// Those of `replace`.
    pub fn replaced<E>(
        &self,
        mut replace: impl FnMut(&Member) -> Result<Option<(DataKind, PathBuf)>, E>,
    ) -> Result<Self, E> {
        let replaced = |member: &Member| {
            let other = replace(member)?.map(|(kind, path)| Member { kind: Some(kind), path });
            Ok(other.unwrap_or_else(|| member.clone()))
        };
        Ok(Self { members: self.members.iter().map(replaced).collect::<Result<_, E>>()? })
    }

    /// The specification of one data set at `path`, of a given kind.
    ///
    /// # Errors
    /// When the path is empty.
    pub fn of(kind: DataKind, path: impl Into<PathBuf>) -> Result<Self, DatasetError> {
        let path: PathBuf = path.into();
        if path.as_os_str().is_empty() {
            return Err(refuse("", "a path is needed"));
        }
        Ok(Self { members: vec![Member { kind: Some(kind), path }] })
    }

    /// Reads a specification that may not be Unicode: then it is one data set, no mixture.
    ///
    /// # Errors
    /// As where it is read from text.
    pub fn from_os_str(text: &OsStr) -> Result<Self, DatasetError> {
        if let Some(text) = text.to_str() {
            return text.parse();
        }
        let known = DataKind::ALL.into_iter().find_map(|kind| Some((kind, after_prefix(text, &format!("{kind}:"))?)));
        let (kind, path) = match known {
            Some((kind, path)) => (Some(kind), path),
            None => (None, PathBuf::from(text)),
        };
        Ok(Self { members: vec![Member { kind, path }] })
    }
}

/// What follows a prefix of text that is not Unicode.
#[cfg(unix)]
fn after_prefix(text: &OsStr, prefix: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let rest = text.as_bytes().strip_prefix(prefix.as_bytes())?;
    Some(PathBuf::from(OsStr::from_bytes(rest)))
}

#[cfg(not(unix))]
fn after_prefix(_text: &OsStr, _prefix: &str) -> Option<PathBuf> {
    None
}

impl FromStr for DataSpec {
    type Err = DatasetError;

    fn from_str(text: &str) -> Result<Self, DatasetError> {
        if text.contains('+')
            && let Some(member) = one_path(text)
        {
            return Ok(Self { members: vec![member] });
        }
        let members: Result<Vec<_>, _> = pieces(text).into_iter().map(|piece| member(text, piece)).collect();
        Ok(Self { members: members? })
    }
}

/// The data set whose path the text is as it stands, behind its kind, if that is there.
fn one_path(text: &str) -> Option<Member> {
    let known =
        DataKind::ALL.into_iter().find_map(|kind| Some((kind, text.strip_prefix(kind.name())?.strip_prefix(':')?)));
    let (kind, path) = known.map_or((None, text), |(kind, path)| (Some(kind), path));
    // What is written in two ways is read in one: with two plus signs for one, as it is written down.
    let is_ours = kind.is_none() && path.starts_with('+');
    (!is_ours && Path::new(path).exists()).then(|| Member { kind, path: PathBuf::from(path) })
}

impl fmt::Display for DataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, member) in self.members.iter().enumerate() {
            if number > 0 {
                f.write_str("+")?;
            }
            if let Some(kind) = member.kind {
                write!(f, "{kind}:")?;
            }
            f.write_str(&member.path.to_string_lossy().replace('+', "++"))?;
        }
        Ok(())
    }
}

impl TryFrom<String> for DataSpec {
    type Error = DatasetError;

    fn try_from(text: String) -> Result<Self, DatasetError> {
        text.parse()
    }
}

impl From<DataSpec> for String {
    fn from(spec: DataSpec) -> Self {
        spec.to_string()
    }
}

/// `path` as seen from `folder`. What would be a pattern in the folder's own name is none.
fn below(folder: &Path, path: &Path) -> PathBuf {
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[']) && !path.exists();
    match folder.to_str().filter(|_| is_pattern && path.is_relative()) {
        Some(folder) => Path::new(&glob::Pattern::escape(folder)).join(path),
        None => folder.join(path),
    }
}

/// Splits at single plus signs; two in a row stand for one.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![];
    let mut piece = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '+' || letters.next_if_eq(&'+').is_some() {
            piece.push(letter);
        } else {
            pieces.push(std::mem::take(&mut piece));
        }
    }
    pieces.push(piece);
    pieces
}

fn member(whole: &str, piece: String) -> Result<Member, DatasetError> {
    if after_scheme(&piece).or(piece.split_once(':').and_then(|(_, path)| after_scheme(path))).is_some() {
        let reason = "a data set is read from this disk: fetch its files first; one on the Hub is hub:OWNER/NAME";
        return Err(refuse(whole, reason));
    }
    let (kind, path) = match piece.split_once(':') {
        // One letter before the colon is a drive of Windows.
        Some((prefix, path)) if prefix.len() > 1 && prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
            let kind = DataKind::ALL.into_iter().find(|kind| kind.name() == prefix);
            let kind = kind.ok_or_else(|| {
                let known = DataKind::ALL.map(DataKind::name).join(", ");
                refuse(whole, format!("there is no kind {prefix:?} (kinds: {known}); write ./{piece} if it is a path"))
            })?;
            (Some(kind), path.to_owned())
        }
        _ => (None, piece),
    };
    if path.is_empty() {
        return Err(refuse(whole, "a path is missing (a plus sign within a path is written twice)"));
    }
    if kind.is_none() && path.starts_with('+') {
        return Err(refuse(whole, "a path that begins with a plus sign needs ./ or a kind before it"));
    }
    Ok(Member { kind, path: PathBuf::from(path) })
}

/// What follows `http://` or `https://`, where something is an address and no path.
pub(crate) fn after_scheme(text: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let found = text.get(..scheme.len())?;
        found.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    })
}

fn refuse(spec: &str, reason: impl Into<String>) -> DatasetError {
    DatasetError::Spec { spec: spec.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_paths_are_paths() {
        let spec: DataSpec = r"C:\pictures+imagenet:D:\data".parse().unwrap();
        assert_eq!(spec.members()[0].kind(), None);
        assert_eq!(spec.members()[0].path(), Path::new(r"C:\pictures"));
        assert_eq!(spec.members()[1].kind(), Some(DataKind::ImageNet));
        assert_eq!(spec.members()[1].path(), Path::new(r"D:\data"));
    }

    #[test]
    #[cfg(unix)]
    fn absolute_paths_mean_the_same_everywhere() {
        for (folder, path, absolute) in
            [("/h/[a]", "b+c", "/h/[a]/b+c"), ("/h/[a]", "b/*.png", "/h/[[]a[]]/b/*.png"), ("/h", "/b", "/b")]
        {
            assert_eq!(below(Path::new(folder), Path::new(path)), Path::new(absolute));
        }
        let spec: DataSpec = "folder:/a+mnist:b++c".parse().unwrap();
        let absolute = spec.absolute();
        assert_eq!(absolute.members()[0], spec.members()[0]);
        assert!(absolute.members()[1].path().is_absolute() && absolute.members()[1].path().ends_with("b+c"));
        assert_eq!(absolute.to_string().parse::<DataSpec>().unwrap(), absolute);
    }

    #[test]
    fn refuses_and_says_why() {
        for (text, says) in [
            ("", "path is missing"),
            ("https://host/cifar.tar", "fetch its files"),
            ("wds:http://host/{0..9}.tar", "fetch its files"),
            ("folder:", "path is missing"),
            ("a+", "path is missing"),
            ("cifar:x", "kinds: folder, cifar10"),
            ("++x", "needs ./"),
        ] {
            let error = text.parse::<DataSpec>().unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(text in "(folder:|afhq:|)[a-c+:/\\\\]{0,8}([+](mnist:|)[a-c+/]{1,5})?") {
            if let Ok(spec) = text.parse::<DataSpec>() {
                let again: DataSpec = spec.to_string().parse().unwrap();
                prop_assert_eq!(&again, &spec);
            }
        }

        #[test]
        fn round_trips_from_a_path(path in "[a-c+:/]{1,10}") {
            let spec = DataSpec::of(DataKind::Folder, &path).unwrap();
            let again: DataSpec = spec.to_string().parse().unwrap();
            prop_assert_eq!(again.members()[0].path().to_str(), Some(path.as_str()));
        }
    }
}
