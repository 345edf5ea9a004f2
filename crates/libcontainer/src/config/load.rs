//! Reading config.json: from a bundle's directory, or from bytes.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use super::Config;
use super::types::Object;
use crate::error::{Error, ErrorKind, Result};

/// The largest config.json that is read, in bytes. Real ones have some ten thousand.
const SIZE_MAX: u64 = 16 << 20;
/// The operation that an error names where no field is to blame.
const READ: &str = "read config";

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
    let refused = |words: String| Err(Error::new(ErrorKind::InvalidConfig, READ).path(path).detail(words));
    if !metadata.is_file() {
        return refused("not a regular file".to_owned());
    }
    let too_large = || refused(format!("larger than {} MiB", SIZE_MAX >> 20));
    if metadata.len() > SIZE_MAX {
        return too_large();
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|e| Error::io(READ, &e).path(path))?;
    // It may have grown since.
    if bytes.len() as u64 > SIZE_MAX { too_large() } else { Ok(bytes) }
}

/// Reads a config.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`]: where in the text it stops being JSON, or which field has another type than the
/// specification gives it.
pub fn parse(bytes: &[u8]) -> Result<Config<'_>> {
    object(bytes)
}

/// Reads an object of any type. Only a second reading, after a failure, keeps track of where in the text it is.
pub(crate) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    let invalid = |words: String| Err(Error::new(ErrorKind::InvalidConfig, READ).detail(words));
    if bytes.is_empty() {
        return invalid("empty".to_owned());
    }
    // All at once is faster than string by string, and covers the fields that are ignored.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return invalid(format!("not UTF-8 at byte {}", error.valid_up_to())),
    };
    let error = match serde_json::from_str::<Object<T>>(text) {
        Ok(Object(value)) => return Ok(value),
        Err(error) => error,
    };
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Eof => invalid(format!("ends too early, at {place}")),
        Category::Syntax | Category::Io => invalid(format!("not JSON at {place} ({})", plain_words(&error))),
        Category::Data => Err(locate::<T>(text, &place)),
    }
}

/// Reads again, slowly, to find out which field it was.
fn locate<'a, T: Deserialize<'a>>(text: &'a str, place: &str) -> Error {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Err(located) = serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer) else {
        return Error::new(ErrorKind::InvalidConfig, READ).detail(format!("not valid at {place}"));
    };
    blame(located.path(), located.inner())
}

/// The error that names the field.
pub(super) fn blame(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Error {
    let mut field = json_path(path);
    let words = plain_words(error);
    let named = |prefix: &str| words.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('`'));
    // These two are reported at the object that lacks the field, or has it twice.
    for (prefix, problem) in [("missing field `", "is required"), ("duplicate field `", "is given twice")] {
        if let Some(name) = named(prefix) {
            if !field.is_empty() && !field.ends_with(&format!(".{name}")) {
                field.push('.');
                field.push_str(name);
            } else if field.is_empty() {
                field.push_str(name);
            }
            return Error::invalid(field, problem);
        }
    }
    match field.is_empty() {
        true => Error::new(ErrorKind::InvalidConfig, READ).detail(words),
        false => Error::invalid(field, words),
    }
}

/// `process.rlimits[0].type`; a key that has dots of its own stands in brackets: `annotations["org.x"]`.
fn json_path(path: &serde_path_to_error::Path) -> String {
    let mut text = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } if key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !key.is_empty() => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Map { key } => text.push_str(&format!("[{key:?}]")),
            // A word of an enumeration, which the message tells.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

/// serde's message in words that need no Rust, and without the place, which the JSON path tells better.
fn plain_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words);
    let found = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "));
    // What was found may hold any words at all, what was expected does not.
    let Some((found, expected)) = found.and_then(|text| text.rsplit_once(", expected ")) else {
        return text.replacen("unknown variant", "unknown value", 1);
    };
    let found = match found {
        "sequence" => "an array",
        "map" => "an object",
        other => other,
    };
    let expected = match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0 to 18446744073709551615",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" => "a whole number from -9223372036854775808 to 9223372036854775807",
        "a sequence" => "an array",
        "a map" => "an object",
        other => other,
    };
    format!("{found}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> String {
        parse(json.as_bytes()).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn an_error_names_the_field_and_what_was_expected() {
        let user = |uid: &str| {
            format!(r#"{{"ociVersion":"1.0.2","process":{{"cwd":"/","user":{{"uid":{uid}}}}},"root":{{"path":"r"}}}}"#)
        };
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
            (with(r#","mounts":{}"#), "mounts: an object, expected an array"),
            (with(r#","mounts":[["/proc"]]"#), "mounts[0]: an array, expected an object"),
            (with(r#","mounts":[null]"#), "mounts[0]: null, expected an object"),
            (with(r#","hostname":"a","hostname":"b""#), "hostname: is given twice"),
            (with(r#","linux":{"sysctl":{"net.x":1}}"#), r#"linux.sysctl["net.x"]: integer `1`, expected a string"#),
            (
                with(r#","linux":{"resources":{"rdma":{"a":[1,2]}}}"#),
                "linux.resources.rdma.a: an array, expected an object",
            ),
            (
                user("4294967296"),
                "process.user.uid: integer `4294967296`, expected a whole number from 0 to 4294967295",
            ),
            (user("-1"), "process.user.uid: integer `-1`, expected a whole number from 0 to 4294967295"),
            (user("1.5"), "process.user.uid: floating point `1.5`, expected a whole number from 0 to 4294967295"),
            (
                user(r#""u32, expected struct at line 1""#),
                r#"process.user.uid: string "u32, expected struct at line 1", expected a whole number from 0 to 4294967295"#,
            ),
            (
                r#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":[0,0]},"root":{"path":"r"}}"#.into(),
                "process.user: an array, expected an object",
            ),
            (r#"{"ociVersion":"1.0.2"}"#.into(), "process: is required"),
            (r#"{"ociVersion":"1.0.2","process":null}"#.into(), "process: null, expected an object"),
            (r#"["1.0.2",{"cwd":"/"},{"path":"r"}]"#.into(), "read config: an array, expected an object"),
            ("5".into(), "read config: integer `5`, expected an object"),
            ("".into(), "read config: empty"),
            (" \n".into(), "read config: ends too early, at line 2, column 0"),
            ("{".into(), "read config: ends too early, at line 1, column 1"),
            ("nonsense".into(), "read config: not JSON at line 1, column 2 (expected ident)"),
            ("{\n  \"a\" 1}".into(), "read config: not JSON at line 2, column 7 (expected `:`)"),
            (with("") + "{}", "read config: not JSON at line 1, column 65 (trailing characters)"),
            ("[".repeat(100_000), "read config: an array, expected an object"),
        ] {
            assert_eq!(words(&json), text, "{json}");
        }
        // What is ignored may be as deep as it likes: it is skipped without recursion, in the second reading too.
        let deep = |name: &str| format!(r#","{name}":{}{}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(words(&with(&deep("x"))), "");
        assert_eq!(words(&with(&(deep("x") + r#","hostname":5"#))), "hostname: integer `5`, expected a string");
        assert_eq!(words(&with(&deep("mounts"))), "mounts[0]: an array, expected an object");
        let not_utf8 = parse(b"{\"ociVersion\":\"\xff\"}").unwrap_err();
        assert_eq!(not_utf8.to_string(), "read config: not UTF-8 at byte 15");
    }

    /// A directory of the test's own, removed with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("libcontainer-load-{}-{name}", std::process::id()));
            std::fs::create_dir(&path).expect("a directory");
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_bundle_says_which_file_is_wrong() {
        let scratch = Scratch::new("wrong");
        let config = scratch.0.join("config.json");
        let load = || Bundle::load(&scratch.0, None).and_then(|bundle| bundle.config().map(drop));
        let error = |words: &str| words.replace("FILE", &format!("{config:?}"));
        let fails = |words: &str| assert_eq!(load().unwrap_err().to_string(), error(words));

        fails("open config FILE: no such file or directory");
        std::fs::write(&config, "{").expect("a file");
        fails("read config FILE: ends too early, at line 1, column 1");
        // A hole takes no room, and is refused by its size alone.
        let file = std::fs::File::create(&config).expect("a file");
        file.set_len(100 << 20).expect("a hole");
        fails("read config FILE: larger than 16 MiB");
        std::fs::remove_file(&config).expect("it is there");
        nix::unistd::mkfifo(&config, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        fails("read config FILE: not a regular file");
        std::fs::remove_file(&config).expect("it is there");
        std::fs::create_dir(&config).expect("a directory");
        fails("read config FILE: not a regular file");

        let missing = scratch.0.join("missing");
        let error = Bundle::load(&missing, None).unwrap_err();
        assert_eq!(error.to_string(), format!("open bundle {missing:?}: no such file or directory"));
    }

    #[test]
    fn a_bundle_can_have_its_config_elsewhere() {
        let scratch = Scratch::new("elsewhere");
        let other = scratch.0.join("other.json");
        let text = r#"{"ociVersion":"1.0.2","process":{"cwd":"/"},"root":{"path":"r"}}"#;
        std::fs::write(&other, text).expect("a file");
        let bundle = Bundle::load(&scratch.0, Some(&other)).expect("a bundle");
        assert_eq!(bundle.config().expect("a config").root.path, "r");
        assert_eq!(bundle.bytes(), text.as_bytes());
        assert_eq!(bundle.path(), scratch.0.canonicalize().expect("a path"));
    }
}
