// One exchange: a picture of what leads where, its bindings, and publishing to it.

import { get, path, perhaps, query, remove } from "../lib/api.js";
import { chart } from "../lib/chart.js";
import { confirm } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { exchangeInPath, exchangeName, inline, said, short, yes } from "../lib/format.js";
import { speed } from "../lib/history.js";
import { later } from "../lib/later.js";
import { badge, button, empty, facts, link, name, pairs, panel, to } from "../lib/parts.js";
import { picture } from "../lib/picture.js";
import { bindTo, bindings } from "./bindings.js";
import { publishForm } from "./publish.js";

const SAMPLES = { msg_rates_age: 600, msg_rates_incr: 10 };

async function load({ params: { vhost, exchange }, signal }) {
  const base = path`/exchanges/${vhost}/${exchange}`;
  const [about, out, into] = await Promise.all([
    get(base + query(SAMPLES), { signal }),
    perhaps(base + "/bindings/source", { signal }),
    perhaps(base + "/bindings/destination", { signal }),
  ]);
  return { about, out, into, at: Date.now() };
}

// Bindings of one pair are one line of the picture.
function sides({ vhost }, out, into) {
  const label = (one) =>
    one.arguments?.["x-filter"]
      ? `${one.routing_key} ⧩`
      : one.routing_key || (Object.keys(one.arguments || {}).length ? inline(one.arguments) : "");
  const targets = (out || []).map((one) => ({
    name: one.destination,
    kind: one.destination_type,
    label: label(one),
    href:
      one.destination_type === "queue"
        ? to`/queues/${vhost}/${one.destination}`
        : to`/exchanges/${vhost}/${one.destination}`,
  }));
  const sources = (into || []).map((one) => ({
    name: exchangeName(one.source),
    kind: "exchange",
    label: label(one),
    href: to`/exchanges/${vhost}/${exchangeInPath(one.source)}`,
  }));
  return { sources, targets };
}

function draw({ about, out, into, at }, page) {
  const { vhost } = about;
  const isDefault = about.name === "";
  const owner = `exchange ${vhost} ${about.name}`;
  return [
    h("p", { class: "crumbs" }, link("#/exchanges", "Exchanges"), " in ", name(vhost)),
    panel(
      "Where messages go",
      isDefault
        ? h(
            "p",
            {},
            "To the queue that the routing key names: every queue is bound here by its name.",
          )
        : out?.length || into?.length
          ? picture({ centre: about.name, ...sides(about, out, into) })
          : empty("Nothing is bound: what is published here gets lost.", "Bind a queue below."),
    ),
    panel(
      "Do something",
      h(
        "div",
        { class: "row" },
        button("Publish message", () =>
          publishForm({ vhost, exchange: about.name, done: page.refresh }),
        ),
        !isDefault && button("Add binding", () => bindTo(about, page)),
        !isDefault &&
          !about.name.startsWith("amq.") &&
          button("Delete exchange", () => deleteExchange(about), { class: "danger" }),
      ),
    ),
    h(
      "div",
      { class: "two" },
      panel(
        "Messages per second",
        chart({
          title: "Per second",
          show: short,
          lines: [
            ["In", "publish_in"],
            ["Out", "publish_out"],
          ].map(([title, key]) => ({
            name: title,
            points: speed(owner, about.message_stats, key, at),
          })),
        }),
      ),
      panel(
        "Settings",
        facts([
          ["Type", badge(about.type)],
          ["Durable", yes(about.durable)],
          ["Internal", yes(about.internal)],
          ["Auto-delete", yes(about.auto_delete)],
          ["Policy", about.policy ? link("#/policies", name(about.policy)) : "none"],
          ["Arguments", pairs(about.arguments)],
        ]),
      ),
    ),
    !isDefault &&
      h(
        "div",
        { class: "two" },
        bindings({
          vhost,
          list: out,
          of: "source",
          page,
          title: "Leads to",
          add: () => bindTo(about, page),
        }),
        bindings({ vhost, list: into, of: "destination", page, title: "Fed by" }),
      ),
  ];
}

function deleteExchange({ vhost, name: exchange }) {
  confirm({
    title: "Delete exchange",
    submit: "Delete exchange",
    text:
      `Exchange ${said(exchange)} will be deleted with its bindings. ` +
      "Who publishes to it will be refused.",
    fields: [{ name: "unused", label: "Only if nothing is bound to it", type: "bool" }],
    act: async ({ unused }) =>
      later(`Deleting exchange ${said(exchange)}.`, async () => {
        await remove(path`/exchanges/${vhost}/${exchange}` + (unused ? "?if-unused=true" : ""));
        location.hash = "#/exchanges";
        return `Exchange ${said(exchange)} is deleted.`;
      }),
  });
}

const shownName = ({ exchange }) => (exchange === "amq.default" ? "" : exchange);

export const exchange = {
  title: (params) => `Exchange ${exchangeName(shownName(params))}`,
  heading: (params) => ["Exchange ", name(shownName(params), "(default exchange)")],
  load,
  draw,
};
