//! How often a schema may look at one value of a body.
//!
//! A schema that refers twice to a part of itself holds a value against that part twice: with a
//! chain of such references the looks double with each link, and if they are for the values inside,
//! with each level of the body. What is counted here is the worst that any body can bring about.
//!
//! Invariants
//! - The count is never below what happens. It may be above: what depends on the value (which
//!   alternative is tried, whether a pattern fits a name) is taken to happen.
//! - Counting ends soon, whatever the schema.
//!
//! Not here: whether the schema is right (`body`).

use std::collections::HashMap;

use serde_json::Value as Json;

use super::body::BODY_DEPTH_MAX;
use super::parts::{Place, parts, references, resolve, survey};

/// Most looks at one value.
const LOOKS_MAX: u64 = 1000;
/// Looks at what stands in a schema with `unevaluatedProperties`, for each at that schema itself.
const LOOKS_AGAIN: u64 = 3;
/// Most schemas of which each stands in the one before, or is referred to by it, for one value.
const CHAIN_MAX: usize = 200;
/// Most schemas that are met while all is counted.
const STEPS_MAX: u64 = 200_000;

type Id = usize;

/// A schema within the schema: what it asks of the value, and of those inside.
#[derive(Default)]
struct Node<'a> {
    same_value: Vec<Id>,
    /// Those are asked again, to find out what they have left over.
    again: bool,
    names: Vec<(&'a str, Id)>,
    other_names: Vec<Id>,
    any_name: Vec<Id>,
    first_items: Vec<Id>,
    other_items: Vec<Id>,
    any_item: Vec<Id>,
}

/// All schemas that one value is held against, and how often each.
type Held = Vec<(Id, u64)>;

/// Says why a schema would be looked at too often, or refers to what can not be followed.
pub(super) fn check(schema: &Json) -> Result<(), String> {
    let anchors = survey(schema)?;
    let mut graph = Graph::default();
    let root = graph.id(schema);
    while let Some((id, json)) = graph.open.pop() {
        graph.read(id, json, |reference| resolve(schema, &anchors, reference))?;
    }
    let held = graph.held_from(root)?;
    graph.count(&held)
}

fn too_many() -> String {
    format!(
        "a value could be looked at more than {LOOKS_MAX} times: references to the same part \
         multiply"
    )
}

#[derive(Default)]
struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    ids: HashMap<*const Json, Id>,
    /// Known, and not yet read.
    open: Vec<(Id, &'a Json)>,
}

impl<'a> Graph<'a> {
    fn id(&mut self, json: &'a Json) -> Id {
        let next = self.nodes.len();
        let id = *self.ids.entry(json).or_insert(next);
        if id == next {
            self.nodes.push(Node::default());
            self.open.push((id, json));
        }
        id
    }

    fn read(
        &mut self,
        id: Id,
        json: &'a Json,
        resolve: impl Fn(&str) -> Result<Vec<&'a Json>, String>,
    ) -> Result<(), String> {
        let mut node = Node {
            again: json.get("unevaluatedProperties").is_some()
                || json.get("unevaluatedItems").is_some(),
            ..Node::default()
        };
        for (place, part) in parts(json) {
            let part = self.id(part);
            match place {
                Place::Definition => {}
                Place::SameValue => node.same_value.push(part),
                Place::Name(name) => node.names.push((name, part)),
                Place::OtherNames => node.other_names.push(part),
                Place::AnyName => node.any_name.push(part),
                Place::FirstItems => node.first_items.push(part),
                Place::OtherItems => node.other_items.push(part),
                Place::AnyItem => node.any_item.push(part),
            }
        }
        for reference in references(json) {
            for part in resolve(reference)? {
                let part = self.id(part);
                node.same_value.push(part);
            }
        }
        self.nodes[id] = node;
        Ok(())
    }

    /// What a value is held against, for the schema of the body and each of a value inside.
    fn held_from(&self, root: Id) -> Result<HashMap<Id, Held>, String> {
        let mut all = HashMap::new();
        let mut open = vec![root];
        let mut steps = 0;
        while let Some(id) = open.pop() {
            if all.contains_key(&id) {
                continue;
            }
            let mut walk = Walk {
                graph: self,
                path: Vec::new(),
                met: HashMap::new(),
                looks: 0,
                steps,
            };
            walk.hold(id, 1)?;
            steps = walk.steps;
            let held: Held = walk.met.into_iter().collect();
            for (schema, _) in &held {
                open.extend(self.nodes[*schema].inside());
            }
            all.insert(id, held);
        }
        Ok(all)
    }

    /// Goes down a body, level by level, until there is no more or nothing changes.
    fn count(&self, all: &HashMap<Id, Held>) -> Result<(), String> {
        let own = |held: &Held| held.iter().map(|(_, times)| times).sum::<u64>();
        let mut looks: HashMap<Id, u64> = all.iter().map(|(id, held)| (*id, own(held))).collect();
        for _ in 0..BODY_DEPTH_MAX {
            let mut deeper = HashMap::new();
            for (id, held) in all {
                let most = own(held).max(self.most_inside(held, &looks));
                if most > LOOKS_MAX {
                    return Err(too_many());
                }
                deeper.insert(*id, most);
            }
            if deeper == looks {
                break;
            }
            looks = deeper;
        }
        Ok(())
    }

    /// The looks at the value inside that gets most of them.
    fn most_inside(&self, held: &Held, looks: &HashMap<Id, u64>) -> u64 {
        let sum = |ids: &[Id]| ids.iter().map(|id| looks[id]).sum::<u64>();
        let (mut any_name, mut any_item) = (0, 0);
        // How much more than any other a name and the first items get.
        let mut names: HashMap<&str, i64> = HashMap::new();
        let mut items: Vec<i64> = Vec::new();
        for (id, times) in held {
            let node = &self.nodes[*id];
            let others = sum(&node.other_names);
            any_name += times * (others + sum(&node.any_name));
            for (name, id) in &node.names {
                *names.entry(name).or_default() += more(*times, looks[id], others);
            }
            let others = sum(&node.other_items);
            any_item += times * (others + sum(&node.any_item));
            items.resize(items.len().max(node.first_items.len()), 0);
            for (id, item) in node.first_items.iter().zip(&mut items) {
                *item += more(*times, looks[id], others);
            }
        }
        let name = names.into_values().max().unwrap_or(0).max(0);
        let item = items.into_iter().max().unwrap_or(0).max(0);
        any_name
            .saturating_add_signed(name)
            .max(any_item.saturating_add_signed(item))
    }
}

/// All are at most [`LOOKS_MAX`], or few of those.
fn more(times: u64, looks: u64, than: u64) -> i64 {
    times as i64 * (looks as i64 - than as i64)
}

impl Node<'_> {
    /// The schemas of values inside.
    fn inside(&self) -> impl Iterator<Item = Id> {
        let names = self.names.iter().map(|(_, id)| *id);
        let lists = [
            &self.other_names,
            &self.any_name,
            &self.first_items,
            &self.other_items,
            &self.any_item,
        ];
        names.chain(lists.into_iter().flatten().copied())
    }
}

/// From one schema to all that the same value is held against.
struct Walk<'a> {
    graph: &'a Graph<'a>,
    path: Vec<Id>,
    met: HashMap<Id, u64>,
    looks: u64,
    steps: u64,
}

impl Walk<'_> {
    fn hold(&mut self, id: Id, times: u64) -> Result<(), String> {
        self.steps += 1;
        self.looks += times;
        if self.looks > LOOKS_MAX || self.steps > STEPS_MAX {
            return Err(too_many());
        }
        *self.met.entry(id).or_default() += times;
        // A circle is gone round once.
        if self.path.contains(&id) {
            return Ok(());
        }
        if self.path.len() == CHAIN_MAX {
            return Err(format!(
                "more than {CHAIN_MAX} schemas stand in each other, or refer to each other, for \
                 one value"
            ));
        }
        self.path.push(id);
        let node = &self.graph.nodes[id];
        let times = if node.again {
            times * LOOKS_AGAIN
        } else {
            times
        };
        for part in &node.same_value {
            self.hold(*part, times)?;
        }
        self.path.pop();
        Ok(())
    }
}
