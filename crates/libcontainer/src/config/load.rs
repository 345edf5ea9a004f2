//! Reading config.json: from a bundle's directory, or from bytes.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::Config;
use crate::error::{Error, ErrorKind, Result};

/// The largest config.json that is read, in bytes. Real ones have some ten thousand.
const SIZE_MAX: u64 = 16 << 20;

/// A bundle: a directory with a config, read once.
#[derive(Clone, Debug)]
pub struct Bundle {
    path: PathBuf,
    file: PathBuf,
    bytes: Vec<u8>,
}

impl Bundle {
    /// Reads the config of the bundle at `path`: its config.json, or another file, relative to the working directory.
    ///
    /// # Errors
    /// If there is no such directory or regular file, or the file is larger than 16 MiB.
    pub fn load(path: &Path, file: Option<&Path>) -> Result<Bundle> {
        let open = |error: &std::io::Error| Error::io("open bundle", error).path(path);
        let path = path.canonicalize().map_err(|e| open(&e))?;
        if !path.is_dir() {
            return Err(Error::system("open bundle", nix::errno::Errno::ENOTDIR).path(&path));
        }
        let file = file.map_or_else(|| path.join("config.json"), Path::to_owned);
        let bytes = read(&file)?;
        Ok(Bundle { path, file, bytes })
    }

    /// The bundle's directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The config's bytes, as read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The config, borrowed from the bundle's bytes.
    ///
    /// # Errors
    /// As [`parse`], with the file's path where no field is to blame.
    pub fn config(&self) -> Result<Config<'_>> {
        parse(&self.bytes).map_err(|error| if error.json_path().is_some() { error } else { error.path(&self.file) })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    // Not blocked by a FIFO that somebody has put there.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|e| Error::io("open config", &e).path(path))?;
    let metadata = file.metadata().map_err(|e| Error::io("open config", &e).path(path))?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::InvalidConfig, "config is not a regular file:").path(path));
    }
    let mut bytes = Vec::with_capacity(metadata.len().min(SIZE_MAX) as usize + 1);
    file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read config", &e).path(path))?;
    if bytes.len() as u64 > SIZE_MAX {
        let words = format!("config is larger than {} MiB:", SIZE_MAX >> 20);
        return Err(Error::new(ErrorKind::InvalidConfig, words).path(path));
    }
    Ok(bytes)
}

/// Reads a config.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`]: where in the text it stops being JSON, or which field has another type than the
/// specification gives it.
pub fn parse(bytes: &[u8]) -> Result<Config<'_>> {
    // serde would take an array as the fields in a row.
    if bytes.trim_ascii_start().first() == Some(&b'[') && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return Err(Error::new(ErrorKind::InvalidConfig, "config is an array, expected an object:"));
    }
    serde_json::from_slice(bytes).map_err(|error| explain::<Config<'_>>(bytes, &error))
}

/// Reads again, slowly, to find out which field it was.
pub(crate) fn explain<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8], error: &serde_json::Error) -> Error {
    let invalid = |words: String| Error::new(ErrorKind::InvalidConfig, words);
    if bytes.is_empty() {
        return invalid("config is empty:".to_owned());
    }
    if std::str::from_utf8(bytes).is_err() {
        return invalid("config is not UTF-8:".to_owned());
    }
    let place = format!("line {}, column {}", error.line(), error.column());
    let words = plain_words(error);
    match error.classify() {
        Category::Data => {}
        Category::Eof => return invalid(format!("config ends too early, at {place}:")),
        _ => return invalid(format!("config is not JSON at {place} ({words}):")),
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(located) => {
            let path = located.path().to_string();
            let words = plain_words(located.inner());
            // A missing field is reported at the object that lacks it.
            match words.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
                Some(field) if path == "." => Error::invalid(field.to_owned(), "is required"),
                Some(field) => Error::invalid(format!("{path}.{field}"), "is required"),
                None if path == "." => invalid(format!("config is not an object ({words}):")),
                None => Error::invalid(path, words),
            }
        }
        Ok(_) => invalid(format!("config is not valid at {place} ({words}):")),
    }
}

/// serde's message without the place, which the JSON path tells better.
fn plain_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words);
    words
        .replace("invalid type: ", "")
        .replace("invalid value: ", "")
        .replace("u32", "a number from 0 to 4294967295")
        .replace("u16", "a number from 0 to 65535")
        .replace("u64", "a number from 0 to 18446744073709551615")
        .replace("i64", "a whole number")
        .replace("i32", "a number from -2147483648 to 2147483647")
        .replace("unknown variant", "unknown value")
        .replace("struct ", "an object: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> String {
        parse(json.as_bytes()).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn an_error_names_the_field_and_what_was_expected() {
        let with =
            |rest: &str| format!(r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"process":{{"cwd":"/"}}{rest}}}"#);
        for (json, text) in [
            (with(""), ""),
            (with(r#","hostname":5"#), "hostname: integer `5`, expected a string"),
            (
                with(r#","linux":{"namespaces":[{"type":"pid"},{"type":"moon"}]}"#),
                "linux.namespaces[1].type: unknown value `moon`, expected one of `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup`, `time`",
            ),
            (with(r#","mounts":[{"type":"proc"}]"#), "mounts[0].destination: is required"),
            (
                r#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":{"uid":4294967296}},"root":{"path":"r"}}"#.into(),
                "process.user.uid: integer `4294967296`, expected a number from 0 to 4294967295",
            ),
            (r#"{"ociVersion":"1.0.2"}"#.into(), "process: is required"),
            ("[]".into(), "config is an array, expected an object:"),
            ("5".into(), "config is not an object (integer `5`, expected an object: Config):"),
            ("".into(), "config is empty:"),
            ("{".into(), "config ends too early, at line 1, column 1:"),
            ("nonsense".into(), "config is not JSON at line 1, column 2 (expected ident):"),
        ] {
            assert_eq!(words(&json), text, "{json}");
        }
        assert!(words(&with("}")).starts_with("config is not JSON at line 1"), "trailing text");
        assert!(parse(b"{\"ociVersion\":\"\xff\"}").unwrap_err().to_string().contains("not UTF-8"));
        let deep = format!("{{\"process\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(words(&deep).starts_with("process"), "{}", words(&deep));
    }
}
