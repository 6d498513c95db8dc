// Channels: a list, and one with its consumers.

import { get, path } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { at, count, rate, yes } from "../lib/format.js";
import { rateNow } from "../lib/history.js";
import {
  badge,
  empty,
  facts,
  figures,
  link,
  name,
  pager,
  panel,
  queueLink,
  to,
} from "../lib/parts.js";
import { listQuery, table } from "../lib/table.js";
import { listed, tools } from "./common.js";

const COLUMNS =
  "name,vhost,user,number,state,prefetch_count,global_prefetch_count,confirm," +
  "transactional,consumer_count,messages_unacknowledged,messages_unconfirmed,connection_details," +
  "message_stats.publish_details.rate,message_stats.deliver_get_details.rate," +
  "message_stats.ack_details.rate";

const load = (page) => {
  const { vhost } = page.query;
  return listed(page, vhost ? path`/vhosts/${vhost}/channels` : "/channels", COLUMNS);
};

/** A table of channels; nothing if this node does not list them. */
export function channelTable(list, none, sorting) {
  if (!list) return empty("Channels are not listed by this node.");
  const speed = (title, field) => ({ title, kind: "number", of: (one) => rate(at(one, field)) });
  return table({
    caption: "Channels",
    rows: list,
    sorting,
    keyOf: (one) => one.name,
    none: empty(none),
    columns: [
      {
        title: "Channel",
        kind: "name",
        sort: "name",
        of: (one) => link(to`/channels/${one.name}`, name(one.name)),
      },
      { title: "User", kind: "name", of: (one) => name(one.user) },
      {
        title: "State",
        of: (one) => (one.state ? badge(one.state, one.state === "running" ? "good" : "") : "–"),
      },
      { title: "Mode", of: modes },
      { title: "Prefetch", kind: "number", of: prefetch },
      { title: "Unacked", kind: "number", of: (one) => count(one.messages_unacknowledged) },
      { title: "Unconfirmed", kind: "number", of: (one) => count(one.messages_unconfirmed) },
      speed("Publishes", "message_stats.publish_details.rate"),
      speed("Gets", "message_stats.deliver_get_details.rate"),
      speed("Acks", "message_stats.ack_details.rate"),
    ],
  });
}

const modes = (one) => [
  one.confirm && badge("confirms"),
  one.transactional && badge("transactions"),
];

function prefetch(one) {
  const own = one.prefetch_count ? count(one.prefetch_count) : "no limit";
  return one.global_prefetch_count ? `${own}, ${count(one.global_prefetch_count)} together` : own;
}

function draw({ found, vhosts }, page) {
  const list = Array.isArray(found) ? { items: found } : found;
  const { sorting } = listQuery(page, "name");
  return [
    tools(page, vhosts),
    channelTable(list.items, "No channel is open.", sorting),
    pager(list, "channel", (number) => page.set({ page: number })),
  ];
}

export const channels = { title: () => "Channels", load, draw };

async function loadOne({ params, signal }) {
  return { about: await get(path`/channels/${params.name}`, { signal }), at: Date.now() };
}

function drawOne({ about, at: now }) {
  const owner = "channel " + about.name;
  const speed = (key) => rate(rateNow(owner, about.message_stats, key, now));
  const connection = about.connection_details?.name;
  return [
    h("p", { class: "crumbs" }, link("#/channels", "Channels")),
    figures([
      ["Unacked", count(about.messages_unacknowledged)],
      ["Unconfirmed", count(about.messages_unconfirmed)],
      ["In a transaction", count(about.messages_uncommitted)],
      ["Publishes", speed("publish")],
      ["Gets", speed("deliver_get")],
      ["Acks", speed("ack")],
    ]),
    panel(
      "About",
      facts([
        [
          "Connection",
          connection ? link(to`/connections/${connection}`, name(connection)) : undefined,
        ],
        ["Number", count(about.number)],
        ["User", name(about.user)],
        ["Virtual host", name(about.vhost)],
        ["State", about.state],
        ["Prefetch", prefetch(about)],
        ["Confirms", yes(about.confirm)],
        ["Transactions", yes(about.transactional)],
        ["Idle since", about.idle_since],
      ]),
    ),
    panel(
      "Consumers",
      table({
        caption: "Consumers",
        rows: about.consumer_details || [],
        none: empty("Nothing is consumed on this channel."),
        columns: [
          { title: "Tag", kind: "name", of: (one) => name(one.consumer_tag) },
          {
            title: "Queue",
            kind: "name",
            of: (one) => queueLink(one.queue?.vhost ?? about.vhost, one.queue?.name),
          },
          { title: "Acks", of: (one) => (one.ack_required === false ? "automatic" : "manual") },
          {
            title: "Prefetch",
            kind: "number",
            of: (one) => (one.prefetch_count ? count(one.prefetch_count) : "no limit"),
          },
        ],
      }),
    ),
  ];
}

export const channel = {
  title: (params) => `Channel ${params.name}`,
  heading: (params) => ["Channel ", name(params.name)],
  load: loadOne,
  draw: drawOne,
};
