//! Judge: the crate `rabbitmq_http_client`, which RabbitMQ's newer command line is built on,
//! against a node's management API. Every answer has to fit the crate's types.
//!
//!     http-client-judge HTTP_PORT AMQP_PORT

use std::error::Error;

use rabbitmq_http_client::blocking_api::{Client, ClientBuilder};
use rabbitmq_http_client::commons::{ExchangeType, SupportedProtocol, VirtualHostLimitTarget};
use rabbitmq_http_client::password_hashing;
use rabbitmq_http_client::requests::{
    EnforcedLimitParams, ExchangeParams, GlobalRuntimeParameterDefinition, Permissions,
    PolicyParams, QueueParams, UserParams, VirtualHostParams,
};
use serde_json::{Map, Value, json};

type Node = Client<String, &'static str, &'static str>;
type Checked = Result<(), Box<dyn Error>>;

const VHOST: &str = "judge/http";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut port = || arguments.next().and_then(|port| port.parse::<u16>().ok());
    let (Some(http), Some(amqp)) = (port(), port()) else {
        eprintln!("usage: http-client-judge HTTP_PORT AMQP_PORT");
        std::process::exit(2);
    };
    let node = ClientBuilder::new()
        .with_endpoint(format!("http://127.0.0.1:{http}/api"))
        .with_basic_auth_credentials("guest", "guest")
        .build()
        .expect("plain HTTP");
    let mut failed = 0;
    let checks = checks();
    for (name, check) in &checks {
        match check(&node, http, amqp) {
            Ok(()) => println!("ok {name}"),
            Err(error) => {
                failed += 1;
                let text: String = format!("{error:?}").chars().take(600).collect();
                println!("FAIL {name}: {}", text.replace('\n', " "));
            }
        }
    }
    println!("{} passed, {failed} failed", checks.len() - failed);
    std::process::exit(i32::from(failed > 0));
}

type Check = fn(&Node, u16, u16) -> Checked;

fn checks() -> Vec<(&'static str, Check)> {
    vec![
        ("overview and nodes", overview),
        ("a virtual host", vhost),
        ("a user and its permissions", user),
        ("queues of every type", queues),
        ("exchanges and bindings", bindings),
        ("messages in and out", messages),
        ("policies", policies),
        ("limits", limits),
        ("global parameters", parameters),
        ("the name of the cluster", cluster),
        ("health checks", health),
        ("feature flags and deprecated features", features),
        ("definitions out and in again", definitions),
        ("definitions of one virtual host", definitions_of_vhost),
        ("a file that is refused", refused),
        ("everything deleted", deleted),
    ]
}

fn expect(what: &str, holds: bool) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(format!("not so: {what}").into()),
    }
}

fn overview(node: &Node, _: u16, _: u16) -> Checked {
    let overview = node.overview()?;
    let nodes = node.list_nodes()?;
    expect("the overview names the node", nodes.iter().any(|one| one.name == overview.node))?;
    node.get_node_info(&overview.node)?;
    node.list_connections()?;
    node.list_channels()?;
    node.list_consumers()?;
    expect("who asks is known", node.current_user()?.name == "guest")
}

fn vhost(node: &Node, _: u16, _: u16) -> Checked {
    let mut params = VirtualHostParams::named(VHOST);
    params.description = Some("of a judge");
    params.tags = Some(vec!["judge"]);
    node.create_vhost(&params)?;
    let found = node.get_vhost(VHOST)?;
    expect("its description", found.description.as_deref() == Some("of a judge"))?;
    expect("it is listed", node.list_vhosts()?.iter().any(|one| one.name == VHOST))
}

fn user(node: &Node, _: u16, _: u16) -> Checked {
    let salt = password_hashing::salt();
    let hash = password_hashing::base64_encoded_salted_password_hash_sha256(&salt, "secret");
    node.create_user(&UserParams::new("judge", &hash, "management"))?;
    node.declare_permissions(&Permissions {
        user: "judge",
        vhost: VHOST,
        configure: "^j",
        read: ".*",
        write: "",
    })?;
    let found = node.get_permissions(VHOST, "judge")?;
    expect("the rights", found.configure == "^j" && found.write.is_empty())?;
    node.grant_full_permissions("guest", VHOST)?;
    expect("it is listed", node.list_users()?.iter().any(|one| one.name == "judge"))?;
    let itself = ClientBuilder::new()
        .with_endpoint(node_endpoint(node)?)
        .with_basic_auth_credentials("judge", "secret")
        .build()?;
    expect("a hash that was imported is checked", itself.current_user()?.name == "judge")
}

/// The endpoint of the judge's own process.
fn node_endpoint(_: &Node) -> Result<String, Box<dyn Error>> {
    let http = std::env::args().nth(1).ok_or("no port")?;
    Ok(format!("http://127.0.0.1:{http}/api"))
}

fn queues(node: &Node, _: u16, _: u16) -> Checked {
    let mut arguments = Map::new();
    arguments.insert("x-max-length".to_owned(), json!(100));
    let classic = QueueParams::new_durable_classic_queue("classic", Some(arguments));
    node.declare_queue(VHOST, &classic)?;
    node.declare_queue(VHOST, &QueueParams::new_quorum_queue("quorum", None))?;
    node.declare_queue(VHOST, &QueueParams::new_stream("stream", None))?;
    for name in ["classic", "quorum"] {
        let found = node.get_queue_info(VHOST, name)?;
        expect(name, found.name == name && found.durable && found.queue_type == name)?;
    }
    expect("three are listed", node.list_queues_in(VHOST)?.len() == 3)
}

fn bindings(node: &Node, _: u16, _: u16) -> Checked {
    for (name, kind) in [("topics", ExchangeType::Topic), ("all", ExchangeType::Fanout)] {
        node.declare_exchange(VHOST, &ExchangeParams::durable(name, kind, None))?;
    }
    node.bind_queue(VHOST, "classic", "topics", Some("a.#"), None)?;
    node.bind_queue(VHOST, "quorum", "topics", Some("b/ü %"), None)?;
    node.bind_exchange(VHOST, "all", "topics", Some("#"), None)?;
    let found = node.list_queue_bindings(VHOST, "classic")?;
    expect("a binding", found.iter().any(|one| one.routing_key == "a.#"))?;
    let found = node.list_exchange_bindings_with_source(VHOST, "topics")?;
    expect("three bindings", found.len() == 3)
}

fn messages(node: &Node, _: u16, _: u16) -> Checked {
    let routed = node.publish_message(VHOST, "topics", "a.b", "hello", Map::new())?;
    expect("it is routed", routed.routed)?;
    let found = node.get_messages(VHOST, "classic", 1, "ack_requeue_false")?;
    expect("it comes out", found.len() == 1 && found[0].payload == "hello")?;
    node.purge_queue(VHOST, "classic")?;
    Ok(())
}

fn policies(node: &Node, _: u16, _: u16) -> Checked {
    let definition = |max: i64| {
        let mut definition = Map::new();
        definition.insert("max-length".to_owned(), json!(max));
        definition
    };
    let params = PolicyParams::new(VHOST, "p", "^c", definition(7)).priority(3);
    node.declare_policy(&params)?;
    node.declare_operator_policy(&PolicyParams::new(VHOST, "o", "", definition(9)))?;
    let found = node.get_policy(VHOST, "p")?;
    expect("its pattern", found.pattern == "^c" && found.priority == 3)?;
    expect("one is listed", node.list_operator_policies_in(VHOST)?.len() == 1)
}

fn limits(node: &Node, _: u16, _: u16) -> Checked {
    let limit = EnforcedLimitParams::new(VirtualHostLimitTarget::MaxQueues, 50);
    node.set_vhost_limit(VHOST, limit)?;
    expect("one is listed", node.list_vhost_limits(VHOST)?.len() == 1)
}

fn parameters(node: &Node, _: u16, _: u16) -> Checked {
    let mut value = Map::new();
    value.insert("a".to_owned(), json!([1, "b"]));
    node.upsert_global_runtime_parameter(&GlobalRuntimeParameterDefinition {
        name: "judge",
        value: value.clone(),
    })?;
    let found = node.get_global_runtime_parameter("judge")?;
    expect("its value", json!(found.value.0) == Value::Object(value))?;
    node.list_global_runtime_parameters()?;
    let all = node.list_runtime_parameters()?;
    expect("limits are parameters", all.iter().any(|one| one.component == "vhost-limits"))?;
    node.clear_global_runtime_parameter("judge")?;
    expect("it is gone", node.get_global_runtime_parameter("judge").is_err())
}

fn cluster(node: &Node, _: u16, _: u16) -> Checked {
    let before = node.get_cluster_name()?.name;
    node.set_cluster_name("judged")?;
    expect("it is called so", node.get_cluster_name()?.name == "judged")?;
    node.set_cluster_name(&before)?;
    Ok(())
}

fn health(node: &Node, http: u16, amqp: u16) -> Checked {
    node.health_check_cluster_wide_alarms()?;
    node.health_check_local_alarms()?;
    node.health_check_if_node_is_quorum_critical()?;
    node.health_check_port_listener(http)?;
    node.health_check_port_listener(amqp)?;
    node.health_check_protocol_listener(SupportedProtocol::AMQP)?;
    node.health_check_protocol_listener(SupportedProtocol::HTTP)?;
    expect("a port nobody has", node.health_check_port_listener(1).is_err())?;
    let stomp = node.health_check_protocol_listener(SupportedProtocol::STOMP);
    expect("a protocol nobody speaks", stomp.is_err())
}

fn features(node: &Node, _: u16, _: u16) -> Checked {
    let flags = node.list_feature_flags()?;
    expect("quorum queues", flags.0.iter().any(|flag| flag.name == "quorum_queue"))?;
    node.enable_feature_flag("quorum_queue")?;
    node.list_all_deprecated_features()?;
    node.list_deprecated_features_in_use()?;
    node.rebalance_queue_leaders()?;
    Ok(())
}

fn definitions(node: &Node, _: u16, _: u16) -> Checked {
    let set = node.export_cluster_wide_definitions_as_data()?;
    let queues = set.queues.iter().filter(|queue| queue.vhost == VHOST);
    expect("all queues", queues.count() == 3)?;
    expect("the user", set.users.iter().any(|user| user.name == "judge"))?;
    let text = node.export_cluster_wide_definitions_as_string()?;
    node.import_cluster_wide_definitions(serde_json::from_str(&text)?)?;
    let again = node.export_cluster_wide_definitions_as_data()?;
    expect("the same again", !set.diff(&again).has_changes())
}

fn definitions_of_vhost(node: &Node, _: u16, _: u16) -> Checked {
    let text = node.export_vhost_definitions_as_string(VHOST)?;
    node.export_vhost_definitions_as_data(VHOST)?;
    node.create_vhost(&VirtualHostParams::named("judge-copy"))?;
    node.import_vhost_definitions("judge-copy", serde_json::from_str(&text)?)?;
    let copied = node.list_queues_in("judge-copy")?;
    expect("all queues", copied.len() == 3)?;
    node.delete_vhost("judge-copy", false)?;
    Ok(())
}

fn refused(node: &Node, _: u16, _: u16) -> Checked {
    let bad = json!({ "queues": [{
        "name": "q", "vhost": VHOST, "durable": true, "auto_delete": false,
        "arguments": { "x-max-length": "x" },
    }] });
    expect("it is refused", node.import_cluster_wide_definitions(bad).is_err())?;
    expect("nothing of it is there", node.get_queue_info(VHOST, "q").is_err())
}

fn deleted(node: &Node, _: u16, _: u16) -> Checked {
    node.delete_policy(VHOST, "p", false)?;
    node.delete_exchange(VHOST, "all", false)?;
    node.delete_queue(VHOST, "classic", false)?;
    node.delete_user("judge", false)?;
    node.delete_vhost(VHOST, false)?;
    expect("it is gone", node.get_vhost(VHOST).is_err())
}
