//! A plan in words: `gantry explain BUNDLE` prints it, without privileges and without running anything.

mod action;
mod names;

pub use action::{Action, action};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::op::Op;
    use crate::plan::wire::Text;

    fn plan() -> Plan {
        let mut plan = Plan::new();
        let kind = libc::CLONE_NEWNET as u64;
        let namespace = plan.input(Input::Namespace { kind, path: "/run/netns/x".into() });
        plan.clone_flags = (libc::CLONE_NEWNS | libc::CLONE_NEWPID) as u64;
        plan.push(&Field::labelled("linux.namespaces[2]", "network"), Op::JoinNamespace { namespace, kind });
        plan.push(&Field::new("hostname"), Op::Hostname { name: Text::new(b"box") });
        plan
    }

    #[test]
    fn the_text_has_a_line_an_op_with_its_field() {
        let expected = "The runtime\n  starts init in new namespaces: mount, pid\n  \
            hands it the network namespace \"/run/netns/x\"\n\ninit\n    \
            0  linux.namespaces[2] (network)  join network namespace \"/run/netns/x\"\n    \
            1  hostname                       set hostname to \"box\"\n";
        assert_eq!(text(&plan()), expected);
    }

    #[test]
    fn the_json_has_the_same_facts() {
        let expected = json!({
            "namespaces": ["mount", "pid"],
            "inputs": [{ "kind": "namespace", "type": "network", "path": "/run/netns/x" }],
            "ops": [
                { "index": 0, "op": "JoinNamespace", "field": "linux.namespaces[2]", "label": "network",
                  "does": "join network namespace \"/run/netns/x\"", "path": "/run/netns/x" },
                { "index": 1, "op": "Hostname", "field": "hostname", "does": "set hostname to \"box\"" },
            ]
        });
        assert_eq!(json(&plan()), expected);
    }
}
