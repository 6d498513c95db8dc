// One queue: its figures, why it stands still, and everything that can be done with it.

import { get, has, path, perhaps, query } from "../lib/api.js";
import { chart } from "../lib/chart.js";
import { h } from "../lib/dom.js";
import { bytes, count, rate, short, span, yes } from "../lib/format.js";
import { level, rateNow, speed } from "../lib/history.js";
import {
  badge,
  button,
  facts,
  figures,
  link,
  name,
  note,
  pairs,
  panel,
  panelWith,
  tabs,
  to,
} from "../lib/parts.js";
import { table } from "../lib/table.js";
import { bindQueue, bindings } from "./bindings.js";
import { browser, loadMessages } from "./browser.js";
import { leases, loadLeases } from "./leases.js";
import { confirmWaits, weakQueue } from "./promise.js";
import { deleteQueue, moveAll, purge, purgeDelayed } from "./queue_acts.js";
import { publishForm, takeForm } from "./publish.js";
import { standstill } from "./standstill.js";

const SAMPLES = { lengths_age: 600, lengths_incr: 10, msg_rates_age: 600, msg_rates_incr: 10 };

async function load(page) {
  const {
    params: { vhost, queue },
    query: { tab },
    signal,
  } = page;
  const base = path`/queues/${vhost}/${queue}`;
  const about = get(base + query(SAMPLES), { signal });
  const at = Date.now();
  if (tab === "messages") {
    return { about: await about, at, found: await loadMessages(page, vhost, queue) };
  }
  if (tab === "leases") {
    return { about: await about, at, leased: await loadLeases(page, vhost, queue) };
  }
  const [one, bound, nodes, oldest] = await Promise.all([
    about,
    perhaps(base + "/bindings", { signal }),
    has("monitoring") ? perhaps("/nodes", { signal }) : undefined,
    perhaps(
      path`/ferry/queues/${vhost}/${queue}/messages` +
        query({ state: "ready", limit: 1, payload_bytes: 0 }),
      { signal },
    ),
  ]);
  return { about: one, bound, node: nodes?.[0], oldest: oldest?.items?.[0], at };
}

function draw(data, page) {
  const { about } = data;
  const { vhost, queue } = page.params;
  const tab = page.query.tab || "overview";
  const here = to`/queues/${vhost}/${queue}`;
  const titles = { overview: "Overview", messages: "Messages", leases: "Leases" };
  const waiting = (about.messages || 0) + (about.messages_delayed || 0);
  return [
    h("p", { class: "crumbs" }, link("#/queues", "Queues"), " in ", name(vhost)),
    tabs(
      [
        [here, titles.overview],
        [here + "?tab=messages", titles.messages, waiting],
        [here + "?tab=leases", titles.leases, about.messages_unacknowledged],
        [to`/dead-letters/${vhost}/${queue}`, "Dead-letter workbench"],
      ],
      titles[tab],
    ),
    weakQueue(about),
    tab === "messages"
      ? browser(data.found, page, vhost, queue)
      : tab === "leases"
        ? leases(data.leased, page, vhost, queue)
        : summary(data, page),
  ];
}

function summary({ about, bound, node, oldest, at }, page) {
  return [
    why(about, node),
    numbers(about, oldest, at),
    charts(about, at),
    acts(about, page),
    h(
      "div",
      { class: "two" },
      bindings({
        vhost: about.vhost,
        list: bound,
        of: "queue",
        page,
        add: () => bindQueue(about, page),
      }),
      details(about),
    ),
    consumers(about),
  ];
}

function why(about, node) {
  const list = standstill(about, node);
  return h(
    "section",
    { class: "panel", key: "why" },
    h("h2", {}, "What it waits for"),
    h(
      "ul",
      { class: "reasons" },
      list.map(({ kind, text, advice }) =>
        h("li", {}, badge(text, kind), advice && h("span", {}, " ", advice)),
      ),
    ),
  );
}

function age(about, oldest, at) {
  if (oldest?.enqueued_at) return span(at - oldest.enqueued_at);
  const head = about.head_message_timestamp;
  return head ? span(at - head * 1000) : count(undefined);
}

function numbers(about, oldest, at) {
  const stats = about.message_stats;
  const owner = `queue ${about.vhost} ${about.name}`;
  const now = (key) => rate(rateNow(owner, stats, key, at));
  return figures([
    ["Ready", count(about.messages_ready)],
    ["Unacked", count(about.messages_unacknowledged)],
    ["Delayed", count(about.messages_delayed)],
    [
      "Stuck dead letters",
      count(about.messages_dead_letter_pending),
      null,
      about.messages_dead_letter_pending ? "attention" : "",
    ],
    ["Oldest ready", age(about, oldest, at)],
    ["In", now("publish")],
    ["Out", now("deliver_get")],
    ["Acked", now("ack")],
    ["Bytes ready", bytes(about.message_bytes_ready)],
    ["Memory", bytes(about.memory ?? about.message_bytes_ram)],
    ["On disk", bytes(about.message_bytes_persistent)],
    ["Consumers", count(about.consumers)],
  ]);
}

function charts(about, at) {
  const owner = `queue ${about.vhost} ${about.name}`;
  const { message_stats: stats } = about;
  return h(
    "div",
    { class: "two" },
    panel(
      "Messages",
      chart({
        title: "Messages",
        show: short,
        lines: [
          ["Ready", "messages_ready"],
          ["Unacked", "messages_unacknowledged"],
          ["Delayed", "messages_delayed"],
        ].map(([title, key]) => ({ name: title, points: level(owner, about, key, at) })),
      }),
    ),
    panel(
      "Per second",
      chart({
        title: "Per second",
        show: short,
        lines: [
          ["In", "publish"],
          ["Out", "deliver_get"],
          ["Acked", "ack"],
          ["Redelivered", "redeliver"],
        ].map(([title, key]) => ({ name: title, points: speed(owner, stats, key, at) })),
      }),
    ),
  );
}

function acts(about, page) {
  const { vhost, name: queue } = about;
  return panel(
    "Do something",
    h(
      "div",
      { class: "row" },
      button("Publish message", () =>
        publishForm({ vhost, exchange: "", key: queue, done: page.refresh }),
      ),
      button("Take messages", () => takeForm({ vhost, queue, done: page.refresh })),
      button("Move all messages", () => moveAll(about, page)),
      button("Purge", () => purge(about, page), { class: "danger" }),
      about.messages_delayed > 0 &&
        button("Purge delayed", () => purgeDelayed(about, page), { class: "danger" }),
      button("Delete queue", () => deleteQueue(about), { class: "danger" }),
    ),
    h(
      "p",
      { class: "hint" },
      "To look at messages without taking them, open ",
      link(to`/queues/${vhost}/${queue}` + "?tab=messages", "Messages"),
      ".",
    ),
  );
}

function details(about) {
  const policy = about.effective_policy_definition;
  return panel(
    "Settings",
    facts([
      ["Type", about.type],
      ["State", about.state],
      ["Durable", yes(about.durable)],
      ["Exclusive", yes(about.exclusive)],
      ["Auto-delete", yes(about.auto_delete)],
      ["A confirm waits for", confirmWaits(about)],
      ["Arguments", pairs(about.arguments)],
      ["Policy", about.policy ? link("#/policies", name(about.policy)) : "none"],
      ["Operator policy", about.operator_policy ? name(about.operator_policy) : "none"],
      ["In force by policies", pairs(policy)],
      ["Idle since", about.idle_since || undefined],
      ["Node", about.node && name(about.node)],
    ]),
  );
}

function consumers(about) {
  const list = about.consumer_details;
  if (!list) {
    return about.consumers
      ? panel("Consumers", note("", `${count(about.consumers)} connected.`))
      : null;
  }
  const connectionOf = (one) => one.channel_details?.connection_name;
  return panelWith(
    "Consumers",
    null,
    table({
      caption: "Consumers",
      rows: list,
      none: "Nobody consumes from this queue now.",
      keyOf: (one) => `${one.channel_details?.name} ${one.consumer_tag}`,
      columns: [
        { title: "Tag", kind: "name", of: (one) => name(one.consumer_tag) },
        {
          title: "Connection",
          kind: "name",
          of: (one) =>
            connectionOf(one)
              ? link(to`/connections/${connectionOf(one)}`, name(connectionOf(one)))
              : name(undefined),
        },
        { title: "Acks", of: (one) => (one.ack_required === false ? "automatic" : "manual") },
        {
          title: "Prefetch",
          kind: "number",
          of: (one) => (one.prefetch_count ? count(one.prefetch_count) : "no limit"),
        },
        {
          title: "State",
          of: (one) =>
            one.activity_status
              ? String(one.activity_status).replaceAll("_", " ")
              : one.active === false
                ? "waiting"
                : "up",
        },
        { title: "Arguments", of: (one) => pairs(one.arguments) },
      ],
    }),
  );
}

export const queue = {
  title: ({ queue: queueName }) => `Queue ${queueName}`,
  heading: ({ queue: queueName }) => ["Queue ", name(queueName)],
  load,
  draw,
};
