// Connections: a list; one with its channels and what its client says of itself; closing it.

import { get, path, perhaps, remove } from "../lib/api.js";
import { form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { at, bytes, count, inline, when } from "../lib/format.js";
import { rateNow } from "../lib/history.js";
import {
  badge,
  button,
  empty,
  facts,
  figures,
  link,
  name,
  pager,
  pairs,
  panel,
  to,
} from "../lib/parts.js";
import { listQuery, table } from "../lib/table.js";
import { channelTable } from "./channels.js";
import { listed, tools } from "./common.js";

const COLUMNS =
  "name,vhost,user,user_provided_name,state,protocol,ssl,channels,connected_at," +
  "client_properties,recv_oct_details.rate,send_oct_details.rate,recv_oct,send_oct";

const load = (page) => {
  const { vhost } = page.query;
  return listed(page, vhost ? path`/vhosts/${vhost}/connections` : "/connections", COLUMNS);
};

const connectionLink = (text) => link(to`/connections/${text}`, name(text));

const ownName = (one) => {
  const says = one.client_properties || {};
  return one.user_provided_name || says.connection_name || says.client_id;
};

const stateBadge = (state) =>
  state === undefined
    ? badge("–")
    : badge(
        state,
        { running: "good", blocked: "bad", blocking: "warn", flow: "warn" }[state] || "",
      );

function columns(vhosts) {
  return [
    { title: "From", kind: "name", sort: "name", of: (one) => connectionLink(one.name) },
    { title: "Name", kind: "name", of: (one) => (ownName(one) ? name(ownName(one)) : "") },
    { title: "User", kind: "name", sort: "user", of: (one) => name(one.user) },
    vhosts.length > 1 && {
      title: "Virtual host",
      kind: "name",
      sort: "vhost",
      of: (one) => name(one.vhost),
    },
    { title: "State", of: (one) => stateBadge(one.state) },
    {
      title: "Protocol",
      kind: "short",
      sort: "protocol",
      of: (one) => [inline(one.protocol), one.ssl ? [" ", badge("TLS")] : null],
    },
    { title: "Channels", kind: "number", of: (one) => count(one.channels) },
    {
      title: "From client",
      kind: "number",
      of: (one) => perSecond(at(one, "recv_oct_details.rate")),
    },
    {
      title: "To client",
      kind: "number",
      of: (one) => perSecond(at(one, "send_oct_details.rate")),
    },
  ];
}

const perSecond = (value) => (value === undefined ? "–" : bytes(value) + "/s");

function draw({ found, vhosts }, page) {
  const list = Array.isArray(found) ? { items: found } : found;
  const { sorting } = listQuery(page, "name");
  return [
    tools(page, vhosts),
    table({
      caption: "Connections",
      columns: columns(vhosts),
      rows: list.items,
      sorting,
      keyOf: (one) => one.name,
      none: empty(
        page.query.name ? "No connection has that in its name." : "Nobody is connected.",
        "Clients connect to the listeners that the ",
        link("#/", "overview"),
        " shows.",
      ),
    }),
    pager(list, "connection", (number) => page.set({ page: number })),
  ];
}

export const connections = { title: () => "Connections", load, draw };

async function loadOne({ params, signal }) {
  const base = path`/connections/${params.name}`;
  const [about, channels] = await Promise.all([
    get(base, { signal }),
    perhaps(base + "/channels", { signal }),
  ]);
  return { about, channels, at: Date.now() };
}

function drawOne({ about, channels, at: now }) {
  const owner = "connection " + about.name;
  return [
    h("p", { class: "crumbs" }, link("#/connections", "Connections")),
    figures([
      ["State", stateBadge(about.state)],
      ["Channels", count(about.channels)],
      ["From client", bytes(about.recv_oct), perSecond(rateNow(owner, about, "recv_oct", now))],
      ["To client", bytes(about.send_oct), perSecond(rateNow(owner, about, "send_oct", now))],
      ["Waits in the socket", bytes(about.send_pend)],
      ["Frames from client", count(about.recv_cnt)],
    ]),
    h(
      "div",
      { class: "two" },
      panel(
        "About",
        facts([
          ["Name", ownName(about) ? name(ownName(about)) : undefined],
          ["User", name(about.user)],
          ["Virtual host", name(about.vhost)],
          ["Protocol", about.protocol],
          ["Connected", about.connected_at ? when(about.connected_at) : undefined],
          ["Log-in", about.auth_mechanism],
          [
            "TLS",
            about.ssl === undefined
              ? undefined
              : about.ssl
                ? [badge("TLS"), " ", inline(about.ssl_protocol), " ", inline(about.ssl_cipher)]
                : "no",
          ],
          ["Certificate", about.peer_cert_subject ? name(about.peer_cert_subject) : undefined],
          ["Heartbeat", about.timeout === undefined ? undefined : `${count(about.timeout)} s`],
          ["Largest frame", about.frame_max === undefined ? undefined : bytes(about.frame_max)],
          ["Most channels", about.channel_max === undefined ? undefined : count(about.channel_max)],
          ["Node", about.node && name(about.node)],
        ]),
      ),
      panel("What the client says of itself", pairs(about.client_properties, "nothing")),
    ),
    panel("Channels", channelTable(channels, "This connection has no channel.")),
    panel(
      "Do something",
      button("Close connection", () => close(about), { class: "danger" }),
    ),
  ];
}

function close(about) {
  form({
    title: "Close connection",
    submit: "Close connection",
    danger: true,
    intro:
      "The client is told the reason, and most clients connect again by themselves. What it had " +
      "not acked is delivered again.",
    fields: [{ name: "reason", label: "Reason", value: "Closed by an operator" }],
    act: async ({ reason = "" }) => {
      // A header takes no line breaks and no letters beyond Latin-1.
      const told = reason.replaceAll(/[^\x20-\x7e]/g, "?");
      await remove(path`/connections/${about.name}`, { headers: { "x-reason": told } });
      location.hash = "#/connections";
      return "The connection is closed.";
    },
  });
}

export const connection = {
  title: (params) => `Connection ${params.name}`,
  heading: (params) => ["Connection ", name(params.name)],
  load: loadOne,
  draw: drawOne,
};
