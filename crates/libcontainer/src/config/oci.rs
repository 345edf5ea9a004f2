//! The door for programs that have an [`oci_spec::runtime::Spec`] at hand.
//!
//! oci-spec's types are not used to read a config.json: for 14 KB of Docker's config they cost 0.35 ms and 1.9 MB more
//! per process (docs/dependencies.md), and oci-spec 0.10 knows fewer fields than version 1.3 of the specification.
//! What its types cannot hold, a conversion cannot bring along.

use oci_spec::runtime::Spec;

use super::Config;
use crate::error::{Error, ErrorKind, Result};

impl TryFrom<&Spec> for Config<'static> {
    type Error = Error;

    /// Converts by way of JSON values, so that the one set of rules for absent fields holds.
    ///
    /// # Errors
    /// If the value is no config: without `process` or `root`, for example.
    fn try_from(spec: &Spec) -> Result<Self> {
        let failed = |error: serde_json::Error| {
            Error::new(ErrorKind::InvalidConfig, "convert the spec to a config").detail(error.to_string())
        };
        let value = serde_json::to_value(spec).map_err(failed)?;
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            Error::invalid(path, error.into_inner().to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use std::path::Path;

    /// The configs that real engines wrote.
    fn fixtures() -> Vec<(String, String)> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/configs");
        let Ok(entries) = std::fs::read_dir(dir) else {
            println!("skip: fixtures: the library was built from its package, which has none");
            return Vec::new();
        };
        entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).expect("a fixture")))
            .filter(|(_, text)| text.contains("\"ociVersion\""))
            .collect()
    }

    /// oci-spec keeps capabilities as sets, in no order.
    fn sorted(mut config: Config<'_>) -> Config<'_> {
        if let Some(sets) = &mut config.process.capabilities {
            let sets = [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.inheritable];
            sets.into_iter().for_each(|set| set.sort());
            config.process.capabilities.iter_mut().for_each(|sets| sets.ambient.sort());
        }
        config
    }

    #[test]
    fn both_readers_agree_on_every_config_that_real_engines_wrote() {
        for (path, text) in fixtures() {
            let ours = sorted(parse(text.as_bytes()).expect(&path));
            let spec: Spec = serde_json::from_str(&text).expect(&path);
            let theirs = sorted(Config::try_from(&spec).expect(&path));
            // As text, which a reader of a failure can compare.
            let text = |config: &Config<'_>| serde_json::to_string_pretty(config).expect("JSON");
            assert_eq!(text(&ours), text(&theirs), "{path}");
        }
    }

    #[test]
    fn what_they_lack_of_version_1_3_is_known() {
        let with = |linux: &str| {
            format!(
                r#"{{"ociVersion":"1.3.0","process":{{"cwd":"/","user":{{"uid":0,"gid":0}}}},"root":{{"path":"r"}},"linux":{linux}}}"#
            )
        };
        for linux in [
            // Absent, 0 and -1 are three things; oci-spec makes absent 0.
            r#"{"resources":{"pids":{}}}"#,
            r#"{"intelRdt":{"enableCMT":true,"enableMBM":true}}"#,
        ] {
            let text = with(linux);
            let ours = parse(text.as_bytes()).expect(linux);
            let agree = serde_json::from_str::<Spec>(&text)
                .ok()
                .and_then(|spec| Config::try_from(&spec).ok())
                .is_some_and(|theirs| theirs == ours);
            // When this fails, oci-spec has caught up: take the case out here and in docs/dependencies.md.
            assert!(!agree, "{linux}");
        }
    }
}
