//! The checked-in runnable configs are what today's refusals leave of the real ones.

use std::fs;
use std::path::Path;

use serde_json::Value;

#[test]
fn runnable_configs_are_up_to_date() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let mut count = 0;
    for entry in fs::read_dir(fixtures.join("configs")).expect("fixtures") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a fixture");
        if path.extension().is_none_or(|e| e != "json") || !text.contains("\"ociVersion\"") {
            continue;
        }
        let (config, _) = integration::strip::runnable(&text);
        let name = path.file_name().expect("a name");
        let checked_in = fs::read_to_string(fixtures.join("runnable").join(name)).expect("a runnable variant");
        let checked_in: Value = serde_json::from_str(&checked_in).expect("JSON");
        let hint = "run: cargo run -p integration --bin strip-config fixtures/configs fixtures/runnable";
        assert_eq!(config, checked_in, "{} is out of date; {hint}", name.display());
        count += 1;
    }
    assert!(count > 20, "only {count} configs were found");
}
