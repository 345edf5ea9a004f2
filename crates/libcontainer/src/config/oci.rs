//! The door for programs that have an [`oci_spec::runtime::Spec`] at hand.
//!
//! oci-spec's types are not used to read a config.json: they cost time, memory and above all size, as measured in
//! docs/dependencies.md, and oci-spec 0.10 is wrong for version 1.3 of the specification in these places:
//!
//! | field                             | the specification          | oci-spec 0.10            | the conversion |
//! |-----------------------------------|----------------------------|--------------------------|----------------|
//! | `process.scheduler.flags`         | `SCHED_FLAG_RESET_ON_FORK` | `SCHED_RESET_ON_FORK`    | repairs it     |
//! | `process.scheduler.flags`         | `SCHED_FLAG_DL_OVERRUN`    | `SCHED_FLAG_D_L_OVERRUN` | repairs it     |
//! | `linux.intelRdt`, before 1.3      | `enableCMT`, `enableMBM`   | `enableCmt`, `enableMbm` | repairs it     |
//! | `linux.resources.pids.limit`      | absent is not 0            | absent is 0              | keeps the 0    |
//! | `linux.devices[].major`, `.minor` | absent for a FIFO          | absent is 0              | keeps the 0    |
//!
//! Capabilities are sets there, and come out in no order.

use oci_spec::runtime::Spec;
use serde_json::Value;

use super::Config;
use super::load::blame;
use crate::error::{Error, ErrorKind, Result};

impl TryFrom<&Spec> for Config<'static> {
    type Error = Error;

    /// Converts by way of JSON values, so that the one set of rules for absent fields holds.
    ///
    /// # Errors
    /// If the value is no config: without `process` or `root`, for example.
    fn try_from(spec: &Spec) -> Result<Self> {
        let mut value = serde_json::to_value(spec).map_err(|error| {
            Error::new(ErrorKind::InvalidConfig, "convert the spec to a config").detail(error.to_string())
        })?;
        repair(&mut value);
        serde_path_to_error::deserialize(value).map_err(|error| blame(error.path(), error.inner()))
    }
}

/// Gives things the names that the specification gives them.
fn repair(value: &mut Value) {
    for flag in value.pointer_mut("/process/scheduler/flags").and_then(Value::as_array_mut).into_iter().flatten() {
        match flag.as_str() {
            Some("SCHED_RESET_ON_FORK") => *flag = "SCHED_FLAG_RESET_ON_FORK".into(),
            Some("SCHED_FLAG_D_L_OVERRUN") => *flag = "SCHED_FLAG_DL_OVERRUN".into(),
            _ => {}
        }
    }
    if let Some(rdt) = value.pointer_mut("/linux/intelRdt").and_then(Value::as_object_mut) {
        for (theirs, name) in [("enableCmt", "enableCMT"), ("enableMbm", "enableMBM")] {
            if let Some(enable) = rdt.remove(theirs) {
                rdt.insert(name.to_owned(), enable);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use std::path::Path;

    /// The configs that real engines wrote, and the specification's own examples: those with a user, which oci-spec
    /// cannot do without.
    fn fixtures() -> Vec<(String, String)> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
        let read = |directory: &str| std::fs::read_dir(fixtures.join(directory)).into_iter().flatten();
        let found: Vec<_> = read("configs")
            .chain(read("spec/good"))
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).expect("a fixture")))
            .filter(|(_, text)| ["\"ociVersion\"", "\"process\"", "\"user\""].iter().all(|field| text.contains(field)))
            .collect();
        if found.is_empty() {
            println!("skip: fixtures: the library was built from its package, which has none");
        }
        found
    }

    /// oci-spec keeps capabilities as sets, in no order.
    fn sorted(mut config: Config<'_>) -> Config<'_> {
        if let Some(sets) = &mut config.process.capabilities {
            let sets = [
                &mut sets.bounding,
                &mut sets.effective,
                &mut sets.permitted,
                &mut sets.inheritable,
                &mut sets.ambient,
            ];
            sets.into_iter().for_each(|set| set.sort());
        }
        config
    }

    fn assert_agree(ours: Config<'_>, theirs: Config<'_>, what: &str) {
        // As text, which a reader of a failure can compare.
        let text = |config: Config<'_>| serde_json::to_string_pretty(&sorted(config)).expect("JSON");
        assert_eq!(text(ours), text(theirs), "{what}");
    }

    #[test]
    fn both_readers_agree_on_every_fixture() {
        for (path, text) in fixtures() {
            let spec: Spec = serde_json::from_str(&text).expect(&path);
            let theirs = Config::try_from(&spec).expect(&path);
            assert_agree(parse(text.as_bytes()).expect(&path), theirs, &path);
        }
    }

    /// If this fails, oci-spec has changed: bring the table above and [`repair`] up to date.
    #[test]
    fn they_differ_on_every_field_of_version_1_3_where_it_is_written_down_and_nowhere_else() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/spec/everything.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            println!("skip: fixtures: the library was built from its package, which has none");
            return;
        };
        let ours = parse(text.as_bytes()).expect("a config");
        let error = serde_json::from_str::<Spec>(&text).expect_err("they do not know the flags");
        assert!(error.to_string().starts_with("unknown variant `SCHED_FLAG_RESET_ON_FORK`"), "{error}");
        // In their own words they read it all,
        let text = [
            ("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"),
            ("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"),
            ("enableCMT", "enableCmt"),
            ("enableMBM", "enableMbm"),
        ]
        .iter()
        .fold(text.clone(), |text, (name, theirs)| text.replace(name, theirs));
        let spec: Spec = serde_json::from_str(&text).expect("a spec");
        let mut theirs = Config::try_from(&spec).expect("a config");
        // but for the numbers of a FIFO.
        assert_eq!((theirs.linux.devices[1].major, theirs.linux.devices[1].minor), (Some(0), Some(0)));
        (theirs.linux.devices[1].major, theirs.linux.devices[1].minor) = (None, None);
        assert_agree(ours, theirs, "everything.json");
    }

    #[test]
    fn an_absent_number_of_processes_becomes_0() {
        let text = r#"{"ociVersion":"1.3.0","process":{"cwd":"/","user":{"uid":0,"gid":0}},"root":{"path":"r"},
            "linux":{"resources":{"pids":{}}}}"#;
        let spec: Spec = serde_json::from_str(text).expect("a spec");
        let limit = |config: Config<'_>| config.linux.resources.and_then(|r| r.pids).expect("pids").limit;
        assert_eq!(limit(parse(text.as_bytes()).expect("a config")), None);
        assert_eq!(limit(Config::try_from(&spec).expect("a config")), Some(0));
    }

    #[test]
    fn a_spec_without_a_process_is_no_config() {
        let spec: Spec = serde_json::from_str(r#"{"ociVersion":"1.3.0","root":{"path":"r"}}"#).expect("a spec");
        assert_eq!(Config::try_from(&spec).unwrap_err().to_string(), "process: is required");
    }
}
