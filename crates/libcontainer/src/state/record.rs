//! The content of state.json.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroup::CgroupPlan;
use crate::{Error, ErrorKind, Result};

/// How far `create` got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// `create` is at work, or died over it.
    Creating,
    /// init waits for `start`, or has been started.
    Created,
}

/// What later commands need to know about a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// [`Record::VERSION`].
    pub version: u32,
    pub oci_version: String,
    pub id: String,
    pub phase: Phase,
    /// init's pid in the runtime's pid namespace; 0 while it is being created.
    pub pid: i32,
    /// Field 22 of /proc/PID/stat: together with the pid it names one process until the next boot.
    pub start_time: u64,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    /// RFC 3339.
    pub created: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// User id of whoever created it.
    pub owner: u32,
    /// Whether init is pid 1 of a pid namespace of its own, whose processes all die with it.
    pub own_pid_namespace: bool,
    pub cgroup: CgroupPlan,
    #[serde(default)]
    pub hooks: HookRecords,
    /// What init still does after `start` gave the word, to name the config field if it fails.
    #[serde(default)]
    pub late_ops: Vec<LateOp>,
}

/// The hooks that run after `create`, as the config had them then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HookRecords {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<HookRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<HookRecord>,
}

/// One hook: config.md, "POSIX-platform Hooks".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRecord {
    /// The program.
    pub path: PathBuf,
    /// Its arguments, args[0] first; empty stands for the path alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its whole environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Seconds until it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
}

/// An op of the plan behind `AwaitStart`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LateOp {
    /// Its index in the plan.
    pub index: u32,
    /// Its name.
    pub op: String,
    /// What it does, in words.
    pub words: String,
    /// What it does it to: the program that it executes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The JSON path of the field that it serves.
    pub field: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl Record {
    /// The version of the format; one that changes the meaning of a field gets the next number.
    pub const VERSION: u32 = 1;

    /// The record as it is written.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|e| Error::new(ErrorKind::System, "write the container's state").detail(e.to_string()))
    }

    /// Reads a record; the error says what is wrong with it, but not where it lies.
    pub fn from_json(json: &[u8]) -> Result<Record> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let broken = |detail: String| Error::new(ErrorKind::System, "read the container's state").detail(detail);
        match serde_json::from_slice::<Record>(json) {
            Ok(record) if record.version == Self::VERSION => Ok(record),
            outcome => Err(match (serde_json::from_slice::<Version>(json), outcome) {
                (Ok(Version { version }), _) if version != Self::VERSION => broken(format!(
                    "it has the format's version {version}, and this gantry knows version {}",
                    Self::VERSION
                )),
                (_, Err(e)) => broken(e.to_string()),
                (_, Ok(_)) => broken("it has no version".to_owned()),
            }),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cgroup::Version;

    pub(crate) fn example(id: &str) -> Record {
        Record {
            version: Record::VERSION,
            oci_version: "1.3.0".to_owned(),
            id: id.to_owned(),
            phase: Phase::Created,
            pid: 42,
            start_time: 4711,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: "2026-11-21T04:48:04.000000005Z".to_owned(),
            annotations: [("org.example/key".to_owned(), "value".to_owned())].into(),
            owner: 0,
            own_pid_namespace: true,
            cgroup: CgroupPlan { version: Version::V2, dirs: Vec::new() },
            hooks: HookRecords {
                poststart: vec![HookRecord { path: "/bin/true".into(), ..HookRecord::default() }],
                poststop: Vec::new(),
            },
            late_ops: vec![LateOp {
                index: 40,
                op: "Exec".to_owned(),
                words: "execute".to_owned(),
                path: Some("sh".into()),
                field: "process.args[0]".to_owned(),
                label: None,
            }],
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let record = example("c1");
        let json = record.to_json().expect("serialises");
        assert_eq!(Record::from_json(&json).expect("parses"), record);
    }

    #[test]
    fn a_record_of_another_version_or_a_broken_one_says_what_is_wrong() {
        let json = String::from_utf8(example("c1").to_json().expect("serialises")).expect("is text");
        let newer = json.replacen("\"version\":1", "\"version\":2", 1);
        for (text, needle) in [
            (newer.as_str(), "version 2"),
            (r#"{"version":3,"shape":"unknown"}"#, "version 3"),
            ("", "EOF"),
            (&json[..json.len() / 2], "EOF"),
            ("[]", "expected"),
            (r#"{"version":1}"#, "missing field"),
            ("{}", "missing field"),
        ] {
            let error = Record::from_json(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(needle), "{error}");
        }
    }
}
