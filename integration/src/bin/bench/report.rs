//! What was measured, as text, as JSON, and as the tables of docs/performance.md.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::chart;
use crate::measure::{Sample, median, percentile};
use crate::scenario::{Results, Scenario};

const BEGIN: &str = "<!-- begin: make bench -->";
const END: &str = "<!-- end: make bench -->";

/// The results of all layouts.
#[derive(Debug, Default)]
pub struct Report {
    layouts: Vec<Results>,
}

impl Results {
    /// The medians of a scenario, by subject.
    pub fn medians(&self, scenario: Scenario) -> Vec<Sample> {
        let series = self.series.iter().filter(|series| series.scenario == scenario);
        series.map(|series| median(&series.samples)).collect()
    }

    /// The scenarios in the order of measuring.
    pub fn scenarios(&self) -> Vec<Scenario> {
        self.series.iter().filter(|series| series.subject == 0).map(|series| series.scenario).collect()
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.subjects.iter().position(|subject| subject.name == name)
    }

    fn table(&self) -> Vec<Vec<String>> {
        let mut head = vec![format!("cgroup {}, wall / CPU in ms", self.layout)];
        head.extend(self.subjects.iter().map(|subject| subject.name.to_owned()));
        let ratios = [("crun", "gantry : crun"), ("floor", "gantry : floor")];
        let ratios: Vec<_> = ratios.iter().filter_map(|(name, title)| Some((self.index(name)?, *title))).collect();
        let gantry = self.index("gantry");
        let compared = gantry.map_or(&[][..], |_| ratios.as_slice());
        head.extend(compared.iter().map(|(_, title)| (*title).to_owned()));
        let mut rows = vec![head];
        for scenario in self.scenarios() {
            let medians = self.medians(scenario);
            let mut row = vec![scenario.title()];
            row.extend(medians.iter().map(|m| format!("{} / {}", ms(m.wall), ms(m.cpu))));
            for (other, _) in compared {
                let (own, other) = (medians[gantry.unwrap_or(0)], medians[*other]);
                row.push(format!("{} / {}", ratio(own.wall, other.wall), ratio(own.cpu, other.cpu)));
            }
            rows.push(row);
        }
        let blank = vec![String::new(); compared.len()];
        let mut row = vec!["peak memory of run, MB".to_owned()];
        row.extend(self.peaks.iter().map(|kib| format!("{:.1}", *kib as f64 * 1.024 / 1000.0)));
        row.extend(blank.clone());
        rows.push(row);
        let mut row = vec!["binary, MB".to_owned()];
        row.extend(self.subjects.iter().map(|subject| format!("{:.1}", subject.size() as f64 / 1e6)));
        row.extend(blank);
        rows.push(row);
        rows
    }

    fn json(&self) -> Value {
        let series: Vec<_> = self
            .series
            .iter()
            .map(|series| {
                let us = |percent, time: fn(&Sample) -> Duration| {
                    percentile(&series.samples, percent, time).as_micros() as u64
                };
                let of = |time| json!({ "p25": us(25, time), "median": us(50, time), "p75": us(75, time) });
                json!({
                    "scenario": series.scenario.title(),
                    "subject": self.subjects[series.subject].name,
                    "samples": series.samples.len(),
                    "wall_us": of(|s: &Sample| s.wall),
                    "cpu_us": of(|s: &Sample| s.cpu),
                })
            })
            .collect();
        let subjects = self.subjects.iter().zip(&self.peaks);
        let subjects: Vec<_> = subjects
            .map(|(s, peak)| json!({ "name": s.name, "version": s.version, "size": s.size(), "peak_kib": peak }))
            .collect();
        json!({ "cgroup": self.layout, "subjects": subjects, "series": series })
    }
}

impl Report {
    /// An empty report.
    pub fn new() -> Report {
        Report::default()
    }

    /// Adds a layout.
    pub fn add(&mut self, results: Results) {
        self.layouts.push(results);
    }

    /// Whether gantry and the floor were measured in every layout, and crun and runc in one each at least.
    pub fn complete(&self) -> bool {
        let measured = |results: &Results, name: &str| results.index(name).is_some();
        let everywhere = |name| !self.layouts.is_empty() && self.layouts.iter().all(|results| measured(results, name));
        let somewhere = |name| self.layouts.iter().any(|results| measured(results, name));
        everywhere("gantry") && everywhere("floor") && somewhere("crun") && somewhere("runc")
    }

    fn conditions(&self) -> String {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kernel: String = kernel.trim().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
        let mut versions: Vec<_> = self.layouts.iter().flat_map(|results| &results.subjects).collect();
        versions.retain(|subject| !subject.version.is_empty());
        versions.sort_by_key(|subject| subject.name);
        versions.dedup_by_key(|subject| subject.name);
        let versions: Vec<_> = versions.iter().map(|subject| format!("{} {}", subject.name, subject.version)).collect();
        format!("Linux {kernel}, {cpus} processors; {}.", versions.join(", "))
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.conditions());
        for results in &self.layouts {
            let table = results.table();
            let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let widths: Vec<_> = (0..table[0].len()).map(width).collect();
            text.push('\n');
            for row in &table {
                let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
                let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
            }
            for (name, reason) in &results.refused {
                let _ = writeln!(text, "{name} does not run here: {reason}");
            }
        }
        text
    }

    fn markdown(&self, chart: &str) -> String {
        let mut text = format!("{}\n\n![CPU time by runtime]({chart})\n", self.conditions());
        for results in &self.layouts {
            text.push('\n');
            for (i, row) in results.table().iter().enumerate() {
                let _ = writeln!(text, "| {} |", row.join(" | "));
                if i == 0 {
                    let _ = writeln!(text, "|---|{}", "--:|".repeat(row.len() - 1));
                }
            }
            for (name, reason) in &results.refused {
                let _ = writeln!(text, "\n{name} does not run on this layout of this host: `{reason}`");
            }
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> String {
        let layouts: Vec<_> = self.layouts.iter().map(Results::json).collect();
        format!("{:#}\n", json!({ "conditions": self.conditions(), "layouts": layouts }))
    }

    /// Replaces what stands between the marks in PREFIX.md, and PREFIX.svg.
    pub fn write(&self, prefix: &Path) -> io::Result<()> {
        let (page, image) = (prefix.with_extension("md"), prefix.with_extension("svg"));
        let old = fs::read_to_string(&page)?;
        let marks = old.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
        let (head, tail) = marks.ok_or_else(|| io::Error::other(format!("{} has no marks", page.display())))?;
        let name = image.file_name().unwrap_or_default().to_string_lossy();
        fs::write(&page, format!("{head}{BEGIN}\n{}{END}{tail}", self.markdown(&name)))?;
        fs::write(image, chart::draw(&self.layouts))
    }
}

fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 100.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
}

fn ratio(own: Duration, other: Duration) -> String {
    if other.is_zero() { "–".to_owned() } else { format!("{:.2}", own.as_secs_f64() / other.as_secs_f64()) }
}
