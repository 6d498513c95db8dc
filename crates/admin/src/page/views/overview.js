// The node at a glance: what is wrong, what flows, what waits, and what it runs on.

import { get, has, perhaps, query } from "../lib/api.js";
import { chart } from "../lib/chart.js";
import { h } from "../lib/dom.js";
import { bytes, count, many, rate, short, span } from "../lib/format.js";
import { level, rateNow, speed } from "../lib/history.js";
import {
  badge,
  empty,
  facts,
  figures,
  link,
  meter,
  name,
  note,
  panel,
  queueLink,
} from "../lib/parts.js";
import { table } from "../lib/table.js";
import { alarms } from "./alarms.js";
import { weakNode } from "./promise.js";
import { standstill } from "./standstill.js";

const SAMPLES = { lengths_age: 600, lengths_incr: 10, msg_rates_age: 600, msg_rates_incr: 10 };
const COLUMNS =
  "name,vhost,type,state,messages,messages_ready,messages_unacknowledged," +
  "messages_delayed,messages_dead_letter_pending,consumers,arguments,effective_policy_definition," +
  "consumer_capacity,message_stats.deliver_get_details.rate," +
  "message_stats.publish_details.rate";

async function load({ signal }) {
  const most = query({
    page: 1,
    page_size: 8,
    sort: "messages",
    sort_reverse: "true",
    columns: COLUMNS,
  });
  const [all, nodes, told, queues] = await Promise.all([
    get("/overview" + query(SAMPLES), { signal }),
    has("monitoring") ? perhaps("/nodes", { signal }) : undefined,
    perhaps("/ferry/alarms", { signal }),
    perhaps("/queues" + most, { signal }),
  ]);
  return { all, nodes, told, queues, at: Date.now() };
}

function draw({ all, nodes, told, queues, at }) {
  const { queue_totals: queued = {}, object_totals: objects = {}, message_stats: stats = {} } = all;
  const node = nodes?.find((one) => one.name === all.node) || nodes?.[0];
  const speedOf = (key) => rateNow("node", stats, key, at);
  return [
    alarms({ told, node, queued }),
    weakNode(all.sync),
    !objects.queues && start(),
    figures([
      ["Ready", count(queued.messages_ready)],
      ["Unacked", count(queued.messages_unacknowledged)],
      ["Delayed", count(queued.messages_delayed)],
      [
        "Stuck dead letters",
        count(queued.messages_dead_letter_pending),
        null,
        queued.messages_dead_letter_pending ? "attention" : "",
      ],
      ["Published", rate(speedOf("publish"))],
      ["Delivered", rate(speedOf("deliver_get"))],
      ["Acked", rate(speedOf("ack"))],
      ["Connections", count(objects.connections)],
      ["Channels", count(objects.channels)],
      ["Consumers", count(objects.consumers)],
      ["Queues", count(objects.queues)],
      ["Exchanges", count(objects.exchanges)],
    ]),
    h(
      "div",
      { class: "two" },
      panel(
        "Messages in queues",
        chart({
          title: "Messages",
          show: short,
          lines: [
            ["Ready", "messages_ready"],
            ["Unacked", "messages_unacknowledged"],
            ["Delayed", "messages_delayed"],
          ].map(([title, key]) => ({ name: title, points: level("node", queued, key, at) })),
        }),
      ),
      panel(
        "Messages per second",
        chart({
          title: "Per second",
          show: short,
          lines: [
            ["Published", "publish"],
            ["Delivered", "deliver_get"],
            ["Acked", "ack"],
            ["Redelivered", "redeliver"],
          ].map(([title, key]) => ({ name: title, points: speed("node", stats, key, at) })),
        }),
      ),
    ),
    h("div", { class: "two" }, waiting(queues, node), machine(all, node)),
    listeners(all),
  ];
}

function start() {
  return note(
    "",
    h(
      "p",
      {},
      h("b", {}, "This node has no queues yet. "),
      "An application declares them itself, or ",
      link("#/queues", "add a queue"),
      " here, then bind it to an ",
      link("#/exchanges", "exchange"),
      " and publish a first message.",
    ),
  );
}

// The longest queues, and why they are long.
function waiting(queues, node) {
  const long = (queues?.items || []).filter(
    (one) => one.messages || one.messages_delayed || one.messages_dead_letter_pending,
  );
  return panel(
    "Longest queues",
    table({
      caption: "Longest queues",
      keyOf: (one) => one.vhost + "/" + one.name,
      rows: long,
      none: empty("No queue holds a message."),
      columns: [
        { title: "Queue", kind: "name", of: (one) => queueLink(one.vhost, one.name) },
        { title: "Messages", kind: "number", of: (one) => count(one.messages) },
        { title: "What it waits for", of: (one) => standstill(one, node)[0].text },
      ],
    }),
  );
}

function machine(all, node) {
  if (!node) {
    return panel(
      "Node",
      facts([
        ["Name", name(all.node)],
        ["Version", all.product_version],
      ]),
      h("p", { class: "hint" }, "Memory and disk are shown to users with the tag monitoring."),
    );
  }
  const memory = node.message_memory_used ?? node.mem_used;
  return panel(
    "Node",
    meter(
      "Memory of messages",
      memory,
      node.mem_limit,
      `${bytes(memory)}; publishers wait from ${bytes(node.mem_limit)}`,
      node.mem_limit,
    ),
    meter(
      "Files open",
      node.fd_used,
      node.fd_total,
      `${count(node.fd_used)} of ${count(node.fd_total)}`,
    ),
    facts([
      ["Name", name(node.name)],
      ["Version", all.product_version || all.rabbitmq_version],
      ["Running for", span(node.uptime)],
      ["Memory of the process", bytes(node.mem_used)],
      [
        "Disk free",
        [
          bytes(node.disk_free),
          " ",
          node.disk_free_limit
            ? h("small", {}, `publishers wait below ${bytes(node.disk_free_limit)}`)
            : null,
        ],
      ],
      ["Processors", count(node.processors)],
      [
        "State",
        node.running === false ? badge("stopped storing", "bad") : badge("running", "good"),
      ],
    ]),
  );
}

function listeners(all) {
  const churn = all.churn_rates || {};
  return h(
    "div",
    { class: "two" },
    panel(
      "Listeners",
      table({
        caption: "Listeners",
        rows: all.listeners || [],
        none: "No listener is shown.",
        keyOf: (one) => `${one.protocol} ${one.ip_address} ${one.port}`,
        columns: [
          { title: "Protocol", of: (one) => one.protocol },
          { title: "Address", of: (one) => one.ip_address },
          { title: "Port", kind: "number", of: (one) => String(one.port) },
        ],
      }),
    ),
    panel(
      "Since the start",
      facts([
        [
          "Connections",
          `${count(churn.connection_created)} opened, ${count(churn.connection_closed)} closed`,
        ],
        [
          "Channels",
          `${count(churn.channel_created)} opened, ${count(churn.channel_closed)} closed`,
        ],
        [
          "Queues",
          `${count(churn.queue_declared ?? churn.queue_created)} declared, ` +
            `${count(churn.queue_deleted)} deleted`,
        ],
        ["Published", many(all.message_stats?.publish, "message")],
        ["Returned, without a route", count(all.message_stats?.return_unroutable)],
      ]),
    ),
  );
}

export const overview = { title: () => "Overview", load, draw };
