// The list of queues, by page, and adding one.

import { path, put } from "../lib/api.js";
import { form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { at, bytes, count, rate, said } from "../lib/format.js";
import { badge, button, empty, name, pager, queueLink, to } from "../lib/parts.js";
import { listQuery, table } from "../lib/table.js";
import { add, listPath, listed, tools, vhostField } from "./common.js";
import { weakBadge } from "./promise.js";
import { queueFields, split } from "./settings.js";
import { standstill } from "./standstill.js";

const COLUMNS =
  "name,vhost,type,durable,exclusive,auto_delete,sync,state,messages,messages_ready," +
  "messages_unacknowledged,messages_delayed,messages_dead_letter_pending,message_bytes_ready," +
  "message_bytes,memory,consumers,consumer_capacity,policy,arguments,effective_policy_definition," +
  "message_stats.publish_details.rate,message_stats.deliver_get_details.rate," +
  "message_stats.ack_details.rate";

const load = (page) => listed(page, listPath("queues", page.query.vhost), COLUMNS);

const figure = (title, field, show = count) => ({
  title,
  kind: "number",
  sort: field,
  of: (queue) => show(at(queue, field)),
});

function columns(vhosts) {
  return [
    { title: "Name", kind: "name", sort: "name", of: (one) => queueLink(one.vhost, one.name) },
    vhosts.length > 1 && {
      title: "Virtual host",
      kind: "name",
      sort: "vhost",
      of: (one) => name(one.vhost),
    },
    { title: "Kind", of: kinds },
    figure("Ready", "messages_ready"),
    figure("Unacked", "messages_unacknowledged"),
    figure("Delayed", "messages_delayed"),
    figure("Consumers", "consumers"),
    figure("In", "message_stats.publish_details.rate", rate),
    figure("Out", "message_stats.deliver_get_details.rate", rate),
    figure("Size", "message_bytes_ready", bytes),
    { title: "Waits for", of: (one) => waitsFor(one) },
  ];
}

function kinds(one) {
  return h(
    "span",
    {},
    weakBadge(one),
    badge(one.type || "classic"),
    one.durable === false && badge("transient"),
    one.exclusive && badge("exclusive"),
    one.auto_delete && badge("auto-delete"),
    one.policy && badge(one.policy, "policy", "Policy " + one.policy),
  );
}

function waitsFor(one) {
  const [{ kind, text }] = standstill(one);
  return kind === "good" ? "" : kind ? badge(text, kind) : text;
}

function draw({ found, vhosts }, page) {
  const list = Array.isArray(found) ? { items: found } : found;
  const { sorting } = listQuery(page, "name");
  const adding = () => addQueue(vhosts, page.query.vhost);
  const none = page.query.name
    ? empty("No queue has that in its name.")
    : empty(
        "There are no queues here yet.",
        button("Add the first queue", adding, { class: "main" }),
      );
  return [
    tools(page, vhosts, add("Add queue", adding)),
    table({
      caption: "Queues",
      columns: columns(vhosts),
      rows: list.items,
      none,
      sorting,
      keyOf: (one) => one.vhost + "/" + one.name,
    }),
    pager(list, "queue", (number) => page.set({ page: number })),
  ];
}

const TYPES = [
  ["", "the default of the virtual host"],
  ["classic", "classic"],
  ["quorum", "quorum: as classic here, with a delivery limit"],
  ["stream", "stream: keeps what was read"],
];

function addQueue(vhosts, chosen) {
  form({
    title: "Add queue",
    submit: "Add queue",
    wide: true,
    fields: [
      vhostField(vhosts, chosen),
      { name: "name", label: "Name", required: true, hint: "At most 255 bytes." },
      { name: "type", label: "Type", type: "choice", options: TYPES },
      {
        name: "durable",
        label: "Durable",
        type: "bool",
        value: true,
        hint: "It and its persistent messages outlive a restart.",
      },
      { name: "auto_delete", label: "Delete it after its last consumer", type: "bool" },
      ...queueFields(),
      {
        group: "Other arguments",
        fields: [
          {
            name: "more",
            label: "As JSON",
            type: "json",
            hint: 'An object, such as {"x-queue-mode": "lazy"}.',
          },
        ],
      },
    ],
    act: async (values) => {
      const [settings, rest] = split(values, true);
      const { vhost, name: queue, type, durable, auto_delete, more } = rest;
      const args = { ...settings, ...more };
      if (type) args["x-queue-type"] = type;
      await put(path`/queues/${vhost}/${queue}`, { durable, auto_delete, arguments: args });
      location.hash = to`/queues/${vhost}/${queue}`;
      return `Queue ${said(queue)} is there.`;
    },
  });
}

export const queues = { title: () => "Queues", load, draw };
