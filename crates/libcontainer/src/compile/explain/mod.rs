//! A plan in words: `gantry explain BUNDLE` prints it, without privileges and without running anything.

mod action;
mod names;

pub use action::{Action, action};
pub(super) use names::rlimit_number;

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::plan::{Field, Input, Plan};

/// The widest that the column of fields gets, in characters; a longer one pushes its line to the right.
const WIDEST: usize = 44;

/// The plan as text for people: what the parent prepares, then one line an op, with the config field it serves.
pub fn text(plan: &Plan) -> String {
    let mut text = String::from("The runtime\n");
    match names::namespaces(plan.clone_flags) {
        new if new.is_empty() => text.push_str("  starts init in no new namespace\n"),
        new => {
            let _ = writeln!(text, "  starts init in new namespaces: {}", new.join(", "));
        }
    }
    for input in plan.inputs() {
        let _ = writeln!(text, "  hands it {}", input_words(input));
    }
    text.push_str("\ninit\n");
    let fields: Vec<String> = (0..plan.len()).filter_map(|i| plan.field(i)).map(field_words).collect();
    let width = fields.iter().map(|f| f.chars().count()).max().unwrap_or(0).min(WIDEST);
    for (index, field) in fields.iter().enumerate() {
        if let Some(action) = action(plan, index) {
            let _ = writeln!(text, "{index:>5}  {field:width$}  {action}");
        }
    }
    text
}

/// The plan for programs: the same facts, an object an op.
pub fn json(plan: &Plan) -> Value {
    let inputs: Vec<Value> = plan.inputs().iter().map(input_json).collect();
    let ops: Vec<Value> = (0..plan.len()).filter_map(|i| op_json(plan, i)).collect();
    json!({ "namespaces": names::namespaces(plan.clone_flags), "inputs": inputs, "ops": ops })
}

fn op_json(plan: &Plan, index: usize) -> Option<Value> {
    let (op, field, action) = (plan.op(index)?, plan.field(index)?, action(plan, index)?);
    let mut value = json!({
        "index": index,
        "op": op.name(),
        "field": field.path,
        "does": action.to_string(),
    });
    if let Some(label) = &field.label {
        value["label"] = json!(label);
    }
    if let Some(path) = &action.path {
        value["path"] = json!(path.to_string_lossy());
    }
    Some(value)
}

fn field_words(field: &Field) -> String {
    match &field.label {
        Some(label) => format!("{} ({label})", field.path),
        None => field.path.clone(),
    }
}

fn input_words(input: &Input) -> String {
    match input {
        Input::Namespace { kind, path } => format!("the {} namespace {path:?}", names::namespaces(*kind).join(" ")),
        Input::Go => "the FIFO on which `start` gives the word".to_owned(),
        Input::Err => "the FIFO for the fate of execve".to_owned(),
        Input::HookState => "the container's state for hooks".to_owned(),
        Input::HookOutput => "a place for what hooks print".to_owned(),
    }
}

fn input_json(input: &Input) -> Value {
    match input {
        Input::Namespace { kind, path } => {
            json!({ "kind": "namespace", "type": names::namespaces(*kind).join(" "), "path": path.to_string_lossy() })
        }
        Input::Go => json!({ "kind": "go" }),
        Input::Err => json!({ "kind": "err" }),
        Input::HookState => json!({ "kind": "hookState" }),
        Input::HookOutput => json!({ "kind": "hookOutput" }),
    }
}
