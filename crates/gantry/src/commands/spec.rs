//! `spec`: a config.json to begin with.
//!
//! The two configs are files beside the sources, in the order in which people read them. They are what runc writes,
//! except that both ask for a cgroup namespace, on whatever host they are made.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use nix::unistd::{getegid, geteuid};

use super::Context;
use crate::cli::parse::Parsed;
use crate::cli::table;
use crate::error::{Error, Result};

/// For root.
const DEFAULT: &str = include_str!("../spec/default.json");
/// For everybody else: with a user namespace, and without what needs root of the host.
const ROOTLESS: &str = include_str!("../spec/rootless.json");
/// What stands in [`ROOTLESS`] for the user's ids. No ids of anybody: -1 and -2, as unsigned.
const UID: &str = "4294967295";
const GID: &str = "4294967294";

/// `gantry spec`.
pub fn spec(_: &mut Context<'_>, parsed: &Parsed) -> Result<u8> {
    let text = if parsed.is_on(&table::SPEC_ROOTLESS) {
        rootless(geteuid().as_raw(), getegid().as_raw())
    } else {
        DEFAULT.to_owned()
    };
    let bundle = parsed.path(&table::BUNDLE).unwrap_or_else(|| ".".into());
    let path = bundle.join(parsed.path(&table::SPEC_FILE).unwrap_or_else(|| "config.json".into()));
    write(&path, &text)?;
    Ok(0)
}

fn rootless(uid: u32, gid: u32) -> String {
    ROOTLESS.replace(UID, &uid.to_string()).replace(GID, &gid.to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = match File::options().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::usage(format!("{path:?} exists: remove it first")));
        }
        Err(e) => return Err(Error::io("create", path, &e)),
    };
    file.write_all(text.as_bytes()).map_err(|e| Error::io("write", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(text: &str) -> Value {
        serde_json::from_str(text).expect("is JSON")
    }

    #[test]
    fn both_are_configs_of_this_version() {
        for text in [DEFAULT, &rootless(1000, 1000)] {
            libcontainer::config::parse(text.as_bytes()).expect("is a config");
            assert_eq!(parse(text)["ociVersion"], super::super::text::SPEC_VERSION);
        }
    }

    #[test]
    fn the_rootless_config_is_the_other_one_changed_as_runc_changes_it() {
        let mut expected = parse(DEFAULT);
        let map = |id: u32| json!([{ "containerID": 0, "hostID": id, "size": 1 }]);
        let linux = expected["linux"].as_object_mut().expect("an object");
        linux.remove("resources");
        linux.insert("uidMappings".to_owned(), map(1000));
        linux.insert("gidMappings".to_owned(), map(100));
        let namespaces = linux["namespaces"].as_array_mut().expect("an array");
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({ "type": "user" }));
        for mount in expected["mounts"].as_array_mut().expect("an array") {
            if mount["destination"] == "/sys" {
                *mount = json!({
                    "destination": "/sys",
                    "type": "none",
                    "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
                });
            }
            if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
                options.retain(|option| option != "gid=5");
            }
        }
        assert_eq!(parse(&rootless(1000, 100)), expected);
    }

    #[test]
    fn an_existing_file_stays_as_it_is() {
        let path = std::env::temp_dir().join(format!("gantry-spec-test-{}", std::process::id()));
        write(&path, "one").expect("is written");
        let error = write(&path, "two").expect_err("is refused");
        assert!(error.to_string().ends_with("exists: remove it first"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), "one");
        std::fs::remove_file(&path).expect("ours");
    }
}
