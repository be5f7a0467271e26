//! Repositories with their commits, and who may do what.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{OWNER_TOKEN, READER_TOKEN};

/// Files whose names end so are stored as large ones.
const LARGE: [&str; 3] = [".safetensors", ".parquet", ".tar"];

/// Everything that the server holds.
#[derive(Default)]
pub struct Store {
    pub repositories: BTreeMap<String, Repository>,
    /// Uploaded large files by SHA-256, until a commit names them.
    pub objects: HashMap<String, Vec<u8>>,
    /// Their parts, by number.
    pub parts: HashMap<String, BTreeMap<usize, Vec<u8>>>,
    /// Files that somebody asked about after their upload.
    pub verified: HashSet<String>,
    /// How large files come.
    pub transfer: Transfer,
}

/// How the server wants large files to come.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Transfer {
    /// In one piece.
    #[default]
    Basic,
    /// In one piece, with a header that the server names.
    WithHeader,
    /// In pieces of so many bytes.
    Multipart(usize),
    /// By xet where that is offered, else in one piece. There is no xet here.
    Xet,
    /// By a way that nobody knows.
    Unknown,
    /// Not at all.
    Refused,
}

type Tree = BTreeMap<String, Arc<File>>;

/// A model repository.
#[derive(Default)]
pub struct Repository {
    pub private: bool,
    pub branches: BTreeMap<String, String>,
    pub commits: BTreeMap<String, Tree>,
    pub pull_requests: usize,
}

/// A file of a commit.
pub struct File {
    pub bytes: Vec<u8>,
    pub large: bool,
}

/// What a commit does to a file: new contents, or none.
pub type Change = (String, Option<Vec<u8>>);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Nobody,
    Reader,
    Owner,
}

impl Who {
    /// By the header `Authorization`; none where it is wrong.
    pub fn from_header(header: Option<&str>) -> Option<Self> {
        match header.map(|header| header.strip_prefix("Bearer ")) {
            None => Some(Self::Nobody),
            Some(Some(OWNER_TOKEN)) => Some(Self::Owner),
            Some(Some(READER_TOKEN)) => Some(Self::Reader),
            Some(_) => None,
        }
    }
}

impl File {
    /// Git's name of the file: of what stands for it where it is large.
    pub fn oid(&self) -> String {
        if !self.large {
            return git_oid(&self.bytes);
        }
        let (sha256, size) = (self.sha256(), self.bytes.len());
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n");
        git_oid(pointer.as_bytes())
    }

    pub fn sha256(&self) -> String {
        hexadecimal(&Sha256::digest(&self.bytes))
    }
}

impl Repository {
    pub fn new(private: bool) -> Self {
        let mut repository = Self { private, ..Self::default() };
        repository.commit("main", Vec::new());
        repository
    }

    /// The commit of a branch or of a commit's own name.
    pub fn commit_of(&self, revision: &str) -> Option<&str> {
        let commit = self.branches.get(revision).map_or(revision, String::as_str);
        self.commits.get_key_value(commit).map(|(commit, _)| commit.as_str())
    }

    pub fn tree(&self, revision: &str) -> Option<(&str, &Tree)> {
        let commit = self.commit_of(revision)?;
        Some((commit, self.commits.get(commit)?))
    }

    /// Adds a commit to a branch.
    pub fn commit(&mut self, branch: &str, changes: Vec<Change>) -> String {
        let mut tree = self.tree(branch).map(|(_, tree)| tree.clone()).unwrap_or_default();
        for (path, bytes) in changes {
            match bytes {
                Some(bytes) => {
                    let large = is_large(&path);
                    tree.insert(path, Arc::new(File { bytes, large }))
                }
                None => tree.remove(&path),
            };
        }
        let commit = hexadecimal(&Sha1::digest(format!("{branch} {}", self.commits.len())));
        self.commits.insert(commit.clone(), tree);
        self.branches.insert(branch.to_string(), commit.clone());
        commit
    }
}

impl Store {
    pub fn file(&self, repository: &str, branch: &str, path: &str) -> Option<Vec<u8>> {
        Some(self.repositories.get(repository)?.tree(branch)?.1.get(path)?.bytes.clone())
    }

    pub fn files(&self, repository: &str, branch: &str) -> Vec<String> {
        let tree = self.repositories.get(repository).and_then(|repository| repository.tree(branch));
        tree.map(|(_, tree)| tree.keys().cloned().collect()).unwrap_or_default()
    }

    pub fn head(&self, repository: &str, branch: &str) -> Option<String> {
        self.repositories.get(repository)?.branches.get(branch).cloned()
    }

    pub fn put(&mut self, repository: &str, private: bool, files: &[(&str, &[u8])]) -> String {
        let repository = self.repositories.entry(repository.to_string()).or_insert_with(|| Repository::new(private));
        repository.commit("main", files.iter().map(|(path, bytes)| (path.to_string(), Some(bytes.to_vec()))).collect())
    }
}

pub fn is_large(path: &str) -> bool {
    LARGE.iter().any(|ending| path.ends_with(ending))
}

fn git_oid(bytes: &[u8]) -> String {
    hexadecimal(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
