//! Reading and validating configs, over all the fixtures there are.

use std::fs;
use std::path::{Path, PathBuf};

use libcontainer::{Error, ErrorKind, config};
use serde_json::Value;

/// The JSON files of a directory of fixtures, by name, that are a config and not a process alone.
fn fixtures(directory: &str) -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(directory);
    let Ok(entries) = fs::read_dir(directory) else {
        println!("skip: fixtures: the library was built from its package, which has none");
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("a fixture")))
        .filter(|(path, text)| text.contains("\"ociVersion\"") || path.contains("/bad/"))
        .collect()
}

fn everything() -> Option<Value> {
    let (_, text) = fixtures("spec").into_iter().find(|(path, _)| path.ends_with("everything.json"))?;
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// What create does with a config's text before it compiles it.
fn check(text: &[u8]) -> Result<(), Error> {
    config::validate(&config::parse(text)?)
}

#[test]
fn every_field_of_the_specification_is_read() {
    let Some(written) = everything() else { return };
    let text = written.to_string();
    let config = config::parse(text.as_bytes()).expect("a config");
    // What was not read, or not under its own name, would be missing.
    let read = serde_json::to_value(&config).expect("JSON");
    assert_eq!(read, written);
}

/// Every value of a JSON text, as the pointer to it.
fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), into)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), into));
        }
        _ => {}
    }
}

#[test]
fn a_value_of_another_type_is_refused_wherever_it_stands() {
    let Some(good) = everything() else { return };
    let mut places = Vec::new();
    pointers(&good, "", &mut places);
    assert!(places.len() > 200, "only {}", places.len());
    for place in &places {
        let mut bad = good.clone();
        let value = bad.pointer_mut(place).expect("it is there");
        // An array for an object among them: the fields in a row.
        *value = match &*value {
            Value::Object(map) => map.values().cloned().collect(),
            Value::Array(_) => Value::Object([("0".to_owned(), Value::Bool(true))].into_iter().collect()),
            Value::String(_) => Value::Number(1.into()),
            _ => Value::String("1".to_owned()),
        };
        let error = config::parse(bad.to_string().as_bytes()).expect_err(place);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        let field = place.replace("/org.example.key", "/[\"org.example.key\"]");
        let field =
            field.replace("/net.ipv4.ip_forward", "/[\"net.ipv4.ip_forward\"]").replace("/io.max", "/[\"io.max\"]");
        let mut path = String::new();
        for part in field.split('/').skip(1) {
            match part.parse::<usize>() {
                Ok(index) => path.push_str(&format!("[{index}]")),
                Err(_) if part.starts_with('[') || path.is_empty() => path.push_str(part),
                Err(_) => path.push_str(&format!(".{part}")),
            }
        }
        assert_eq!(error.json_path().unwrap_or_default(), path, "{error}");
        assert!(error.to_string().contains(", expected "), "{error}");
    }
}

#[test]
fn null_is_absent_wherever_a_field_is_optional() {
    let Some(good) = everything() else { return };
    let mut places = Vec::new();
    pointers(&good, "", &mut places);
    for place in places.iter().filter(|place| !place.is_empty()) {
        let (parent, key) = place.rsplit_once('/').expect("a pointer");
        let mut without = good.clone();
        let Some(Value::Object(map)) = without.pointer_mut(parent) else { continue };
        map.remove(key);
        let mut null = good.clone();
        *null.pointer_mut(place).expect("it is there") = Value::Null;
        let (without, null) = (without.to_string(), null.to_string());
        // Where a map has any names at all, one of them is not a field.
        if ["annotations", "sysctl", "unified", "netDevices", "rdma", "timeOffsets"]
            .iter()
            .any(|map| parent.ends_with(map))
        {
            continue;
        }
        match (config::parse(without.as_bytes()), config::parse(null.as_bytes())) {
            (Ok(without), Ok(null)) => assert_eq!(without, null, "{place}"),
            (Err(error), Err(_)) => assert!(error.to_string().ends_with("is required"), "{place}: {error}"),
            (without, null) => panic!("{place}: absent is {without:?}, null is {null:?}"),
        }
    }
}

#[test]
fn the_examples_of_the_specification_are_good_or_bad() {
    for (path, text) in fixtures("spec/good") {
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut result = check(text.as_bytes());
        if text.contains("0.5.0-dev") {
            let error = result.expect_err(name).to_string();
            assert_eq!(error, "ociVersion: \"0.5.0-dev\" is not supported, only 1.x is");
            result = check(text.replace("0.5.0-dev", "1.0.0").as_bytes());
        }
        let error = result.err().map_or_else(String::new, |error| error.to_string());
        match name {
            "spec-example.json" => assert_eq!(error, "process.terminal: is not supported yet"),
            // Without a mount namespace: that compile refuses.
            "minimal-for-start.json" => assert_eq!(error, ""),
            // Written for other platforms, with a hostname and without namespaces.
            "freebsd-example.json" | "zos-example.json" => {
                assert!(error.starts_with("hostname: needs a uts namespace"), "{error}")
            }
            _ => assert_eq!(error, "process: is required", "{name}"),
        }
    }
    for (path, text) in fixtures("spec/bad") {
        assert!(check(text.as_bytes()).is_err(), "{path}");
    }
}

/// What is wrong with the specification's bad examples, in a config that is otherwise good.
#[test]
fn the_faults_of_bad_examples_are_named() {
    for (linux, text) in [
        (
            r#""resources":{"hugepageLimits":[{"limit":1234123,"pageSize":"64kB"}]}"#,
            r#"linux.resources.hugepageLimits[0].pageSize: "64kB" is not a page size such as 2MB"#,
        ),
        (r#""netDevices":{"eth0":{"name":23}}"#, "linux.netDevices.eth0.name: integer `23`, expected a string"),
        (
            r#""resources":{"rdma":{"mlx5_1":{"hcaHandles":"not a uint32"}}}"#,
            r#"linux.resources.rdma.mlx5_1.hcaHandles: string "not a uint32", expected a whole number from 0 to 4294967295"#,
        ),
    ] {
        let json = format!(
            r#"{{"ociVersion":"1.0.0","process":{{"cwd":"/","args":["sh"]}},"root":{{"path":"r"}},"linux":{{{linux}}}}}"#
        );
        assert_eq!(check(json.as_bytes()).expect_err(linux).to_string(), text);
    }
}

#[test]
fn configs_of_real_engines_are_valid_but_for_what_is_not_there_yet() {
    for (path, text) in fixtures("configs").into_iter().chain(fixtures("runnable")) {
        match check(text.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::Unsupported && path.contains("/configs/") => {}
            Err(error) => panic!("{path}: {error}"),
            Ok(()) => {}
        }
    }
}

#[test]
fn every_beginning_of_a_config_is_an_error() {
    for (path, text) in fixtures("configs").iter().chain(&fixtures("spec")) {
        let text = text.trim_end();
        // A hundred places of every file, and each byte of the end.
        let step = text.len() / 100 + 1;
        for end in (0..text.len()).step_by(step).chain(text.len() - 64..text.len()) {
            let error = config::parse(&text.as_bytes()[..end]).expect_err(path);
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{path}, {end} bytes: {error}");
        }
    }
}

#[test]
fn no_damage_to_a_config_makes_it_panic() {
    // xorshift: the same damage every time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let letters = b"{}[]\",:0-9.eE\\u\0\xff nulltrue/";
    for (_, text) in fixtures("configs").into_iter().chain(fixtures("spec")) {
        for _ in 0..60 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=random(3) {
                let place = random(bytes.len());
                match random(3) {
                    0 => bytes[place] = letters[random(letters.len())],
                    1 => drop(bytes.remove(place)),
                    _ => bytes.insert(place, letters[random(letters.len())]),
                }
            }
            if let Err(error) = check(&bytes) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
