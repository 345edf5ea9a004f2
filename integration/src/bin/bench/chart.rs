//! A bar chart as SVG, by hand: CPU time of each scenario, one bar a subject.

use std::fmt::Write as _;

use crate::scenario::{Results, Scenario};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 215.0;
const RIGHT: f64 = 70.0;
const BAR: f64 = 16.0;
const GAP: f64 = 18.0;

/// Told apart in grey as well.
fn colour(name: &str) -> &'static str {
    match name {
        "gantry" => "#0b6e4f",
        "crun" => "#e08e45",
        "runc" => "#8d99ae",
        _ => "#c9cdd4",
    }
}

/// A panel for each layout.
pub fn draw(layouts: &[Results]) -> String {
    let mut body = String::new();
    let mut y = 16.0;
    for results in layouts {
        y = panel(&mut body, results, y);
    }
    let height = y + 4.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// Draws one panel from `y` on, and returns where the next may begin.
fn panel(body: &mut String, results: &Results, mut y: f64) -> f64 {
    let shown: Vec<_> = results.scenarios().into_iter().filter(|s| !matches!(s, Scenario::Sequence(_))).collect();
    text(
        body,
        12.0,
        y + 12.0,
        "start",
        "600",
        &format!("CPU time in ms, cgroup {} (shorter is better)", results.layout),
    );
    y += 28.0;
    for scenario in shown {
        let medians = results.medians(scenario);
        let all = medians.iter().map(|m| m.cpu.as_secs_f64() * 1000.0).collect::<Vec<_>>();
        // Each scenario has a scale of its own: `state` would vanish beside eight parallel runs.
        let longest = all.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        text(body, LEFT - 70.0, y + 12.0, "end", "400", &scenario.title());
        for (subject, value) in results.subjects.iter().zip(&all) {
            let width = (value / longest * (WIDTH - LEFT - RIGHT)).max(1.0);
            text(body, LEFT - 8.0, y + 12.0, "end", "400", subject.name);
            let fill = colour(subject.name);
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{fill}\"/>",
                BAR - 2.0
            );
            text(body, LEFT + width + 6.0, y + 12.0, "start", "400", &format!("{value:.2}"));
            y += BAR;
        }
        y += GAP;
    }
    y
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, weight: &str, words: &str) {
    let _ = writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\">{words}</text>"
    );
}
