// The list of exchanges, and adding one.

import { path, put } from "../lib/api.js";
import { form } from "../lib/dialog.js";
import { at, rate, said } from "../lib/format.js";
import { badge, empty, exchangeLink, name, pager, to } from "../lib/parts.js";
import { listQuery, table } from "../lib/table.js";
import { add, listPath, listed, tools, vhostField } from "./common.js";

const COLUMNS =
  "name,vhost,type,durable,auto_delete,internal,policy,arguments," +
  "message_stats.publish_in_details.rate,message_stats.publish_out_details.rate";

const load = (page) => listed(page, listPath("exchanges", page.query.vhost), COLUMNS);

function draw({ found, vhosts }, page) {
  const list = Array.isArray(found) ? { items: found } : found;
  const { sorting } = listQuery(page, "name");
  const speed = (title, field) => ({ title, kind: "number", of: (one) => rate(at(one, field)) });
  return [
    tools(
      page,
      vhosts,
      add("Add exchange", () => addExchange(vhosts, page.query.vhost)),
    ),
    table({
      caption: "Exchanges",
      rows: list.items,
      sorting,
      keyOf: (one) => one.vhost + "/" + one.name,
      none: empty("No exchange has that in its name."),
      columns: [
        {
          title: "Name",
          kind: "name",
          sort: "name",
          of: (one) => exchangeLink(one.vhost, one.name),
        },
        vhosts.length > 1 && {
          title: "Virtual host",
          kind: "name",
          sort: "vhost",
          of: (one) => name(one.vhost),
        },
        { title: "Type", sort: "type", of: (one) => one.type },
        {
          title: "Kind",
          of: (one) => [
            one.durable === false && badge("transient"),
            one.internal && badge("internal"),
            one.auto_delete && badge("auto-delete"),
            one.policy && badge(one.policy, "policy", "Policy " + one.policy),
          ],
        },
        speed("In", "message_stats.publish_in_details.rate"),
        speed("Out", "message_stats.publish_out_details.rate"),
      ],
    }),
    pager(list, "exchange", (number) => page.set({ page: number })),
  ];
}

const TYPES = [
  ["topic", "topic: by patterns of the routing key"],
  ["direct", "direct: by the whole routing key"],
  ["fanout", "fanout: to everything that is bound"],
  ["headers", "headers: by headers"],
  ["x-consistent-hash", "x-consistent-hash: one queue for each value"],
  ["x-modulus-hash", "x-modulus-hash: by the remainder of a hash"],
  ["x-random", "x-random: one queue by chance"],
  ["x-local-random", "x-local-random: one queue of this node by chance"],
];

function addExchange(vhosts, chosen) {
  form({
    title: "Add exchange",
    submit: "Add exchange",
    fields: [
      vhostField(vhosts, chosen),
      { name: "name", label: "Name", required: true },
      { name: "type", label: "Type", type: "choice", options: TYPES },
      {
        name: "durable",
        label: "Durable",
        type: "bool",
        value: true,
        hint: "It outlives a restart.",
      },
      { name: "auto_delete", label: "Delete it when nothing is bound any more", type: "bool" },
      {
        name: "internal",
        label: "Internal: other exchanges publish to it, clients can not",
        type: "bool",
      },
      {
        group: "More",
        fields: [
          {
            name: "alternate",
            label: "Alternate exchange",
            hint: "Takes what this one leads nowhere (alternate-exchange).",
          },
          { name: "more", label: "Arguments", type: "json", hint: "A JSON object." },
        ],
      },
    ],
    act: async ({
      vhost,
      name: exchange,
      type,
      durable,
      auto_delete,
      internal,
      alternate,
      more,
    }) => {
      const args = { ...more };
      if (alternate) args["alternate-exchange"] = alternate;
      await put(path`/exchanges/${vhost}/${exchange}`, {
        type,
        durable,
        auto_delete,
        internal,
        arguments: args,
      });
      location.hash = to`/exchanges/${vhost}/${exchange}`;
      return `Exchange ${said(exchange)} is there.`;
    },
  });
}

export const exchanges = { title: () => "Exchanges", load, draw };
