//! `strip-config DIR OUT`: writes the runnable variant of every config in DIR to OUT, and says what was taken out.

use std::path::PathBuf;
use std::{env, fs, process};

fn main() {
    let [from, to] = env::args_os().skip(1).map(PathBuf::from).collect::<Vec<_>>().try_into().unwrap_or_else(|_| {
        eprintln!("usage: strip-config DIR OUT");
        process::exit(2)
    });
    fs::create_dir_all(&to).expect("OUT can be made");
    let mut files: Vec<PathBuf> = fs::read_dir(from).expect("DIR can be read").flatten().map(|e| e.path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let text = fs::read_to_string(path).expect("a config can be read");
        if !text.contains("\"ociVersion\"") {
            continue;
        }
        let (config, taken) = integration::strip::runnable(&text);
        let name = path.file_name().unwrap_or_default();
        println!("{}: {}", name.to_string_lossy(), taken.join(" "));
        let text = serde_json::to_string_pretty(&config).expect("JSON") + "\n";
        fs::write(to.join(name), text).expect("OUT can be written");
    }
}
