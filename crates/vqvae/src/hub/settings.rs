//! Where the Hub is, who asks, and where pulled files lie: from the same environment variables as in Python.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::system::files::read_text;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// Seconds without an answer, or without a byte of one, after which a request has failed.
const DEFAULT_TIMEOUT: u64 = 10;
/// The longest file of a token that is read, in bytes.
const MAX_TOKEN_BYTES: u64 = 1 << 16;

/// A Hub and how to use it.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Its address, without a slash at the end.
    pub endpoint: String,
    /// Who asks; public models can be pulled without.
    pub token: Option<Token>,
    /// The folder that pulled files are kept in.
    pub cache: PathBuf,
    /// Use the cache alone.
    pub offline: bool,
    /// Never upload by xet, the Hub's storage of large files by their pieces.
    pub without_xet: bool,
    /// How long to wait for an answer, or for the next bytes of one.
    pub timeout: Duration,
}

/// An access token. It is sent to the Hub and shown nowhere.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token from a text, whose surrounding white space does not count; none where nothing is left.
    ///
    /// # Errors
    /// It holds something that cannot be in a token.
    pub fn new(text: &str) -> Result<Option<Self>> {
        let text = text.trim();
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::Invalid(
                "the Hub's token holds a space or another letter that no token has: check HF_TOKEN or the token file"
                    .into(),
            ));
        }
        Ok(if text.is_empty() { None } else { Some(Self(text.to_string())) })
    }

    /// The token itself, to be sent.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Hub {
    /// The Hub as the environment says: `HF_ENDPOINT`; `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` or the token stored by
    /// `hf auth login` (`HF_TOKEN_PATH`, or `token` in `HF_HOME`), unless `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set;
    /// `HF_HUB_CACHE`, or `hub` in `HF_HOME`; `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`; `HF_HUB_DISABLE_XET`;
    /// `HF_HUB_DOWNLOAD_TIMEOUT`.
    ///
    /// # Errors
    /// A variable holds something that it cannot mean, or there is no home directory.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().trim().to_string());
        let user_home = set("HOME").or_else(|| set("USERPROFILE")).map(PathBuf::from);
        let path = |name: &str| set(name).map(|value| expand(PathBuf::from(value), user_home.as_deref()));

        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|folder| folder.join("huggingface")))
            .or_else(|| user_home.as_ref().map(|home| home.join(".cache").join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| home.as_ref().map(|home| home.join("hub")))
            .ok_or_else(|| Error::Invalid("there is no home directory for the Hub's cache: set HF_HOME".into()))?;

        let stored = || {
            let file = path("HF_TOKEN_PATH").or_else(|| home.as_ref().map(|home| home.join("token")))?;
            read_text(&file, MAX_TOKEN_BYTES).ok()
        };
        let is_true = |name: &str| {
            text(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str()))
        };
        let given = |name: &str| text(name).filter(|token| !token.is_empty());
        let token = given("HF_TOKEN").or_else(|| given("HUGGING_FACE_HUB_TOKEN")).or_else(stored);
        let token = match token.filter(|_| !is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
            Some(token) => Token::new(&token)?,
            None => None,
        };

        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_string());
        let endpoint = endpoint.trim_end_matches('/').to_string();
        let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        // Credentials in an address would end up in messages.
        if host.is_none_or(|host| host.is_empty() || host.contains('@')) {
            return Err(Error::Invalid(
                "HF_ENDPOINT should be an address such as https://huggingface.co, without user name".into(),
            ));
        }
        // The second counts where the first says nothing.
        let offline = if given("HF_HUB_OFFLINE").is_some() { "HF_HUB_OFFLINE" } else { "TRANSFORMERS_OFFLINE" };
        let (offline, without_xet) = (is_true(offline), is_true("HF_HUB_DISABLE_XET"));
        let timeout = match text("HF_HUB_DOWNLOAD_TIMEOUT") {
            None => DEFAULT_TIMEOUT,
            Some(value) => value.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(|| {
                Error::Invalid(format!("HF_HUB_DOWNLOAD_TIMEOUT should be a number of seconds, found {value:?}"))
            })?,
        };
        Ok(Self { endpoint, token, cache, offline, without_xet, timeout: Duration::from_secs(timeout) })
    }
}

/// `~` at the beginning stands for the home directory, as in Python.
fn expand(path: PathBuf, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Result<Hub> {
        Hub::from_variables(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_cache_lies_where_python_has_it() {
        for (variables, cache) in [
            (&[("HOME", "/h")][..], "/h/.cache/huggingface/hub"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/f")], "/h/f/hub"),
            (&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")], "/c"),
            (&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "")], "/f/hub"),
        ] {
            assert_eq!(hub(variables).unwrap().cache, Path::new(cache), "{variables:?}");
        }
        assert!(hub(&[]).unwrap_err().to_string().contains("HF_HOME"));
    }

    #[test]
    fn the_token_is_trimmed_and_never_shown() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_str().unwrap();
        let token = |variables: &[(&str, &str)]| hub(variables).unwrap().token.map(|token| token.0);
        assert_eq!(token(&[("HF_HOME", folder)]), None);
        std::fs::write(home.path().join("token"), "hf_stored\n").unwrap();
        assert_eq!(token(&[("HF_HOME", folder)]).as_deref(), Some("hf_stored"));
        assert_eq!(token(&[("HF_HOME", folder), ("HF_TOKEN", " hf_given\n")]).as_deref(), Some("hf_given"));
        assert_eq!(token(&[("HF_HOME", folder), ("HF_TOKEN", "\n")]).as_deref(), Some("hf_stored"));
        let old = ("HUGGING_FACE_HUB_TOKEN", "hf_old");
        assert_eq!(token(&[("HF_HOME", folder), old]).as_deref(), Some("hf_old"));
        assert_eq!(token(&[("HF_HOME", folder), old, ("HF_TOKEN", "hf_new")]).as_deref(), Some("hf_new"));
        assert_eq!(token(&[("HF_HOME", folder), old, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);

        let shown = format!("{:?}", hub(&[("HF_HOME", folder)]).unwrap());
        assert!(!shown.contains("hf_stored"), "{shown}");
        let refused = hub(&[("HF_HOME", folder), ("HF_TOKEN", "hf_a b")]).unwrap_err().to_string();
        assert!(!refused.contains("hf_a"), "{refused}");
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        let with = |name, value| hub(&[("HOME", "/h"), (name, value)]);
        assert_eq!(with("HF_ENDPOINT", "http://localhost:80/").unwrap().endpoint, "http://localhost:80");
        for endpoint in ["localhost", "ftp://x", "https://", "https://me:secret@host"] {
            let refused = with("HF_ENDPOINT", endpoint).unwrap_err().to_string();
            assert!(refused.contains("HF_ENDPOINT") && !refused.contains("secret"), "{refused}");
        }
        assert!(with("HF_HUB_DOWNLOAD_TIMEOUT", "soon").is_err());
        assert!(with("HF_HUB_OFFLINE", "true").unwrap().offline);
        assert!(!with("HF_HUB_OFFLINE", "0").unwrap().offline);
        assert!(with("TRANSFORMERS_OFFLINE", "yes").unwrap().offline);
        let both = hub(&[("HOME", "/h"), ("TRANSFORMERS_OFFLINE", "1"), ("HF_HUB_OFFLINE", "0")]).unwrap();
        assert!(!both.offline && !both.without_xet);
        assert!(with("HF_HUB_DISABLE_XET", "1").unwrap().without_xet);
    }
}
