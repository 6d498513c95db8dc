// Virtual hosts: separate worlds of exchanges, queues and permissions.

import { get, has, path, perhaps, put, remove } from "../lib/api.js";
import { form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { count, said } from "../lib/format.js";
import { badge, button, empty, facts, figures, link, name, panel, to } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { add, tools } from "./common.js";
import { limitsPanel } from "./limits.js";

const TYPES = [
  ["", "classic"],
  ["quorum", "quorum"],
  ["stream", "stream"],
];

async function load(page) {
  const found = await get("/vhosts", { signal: page.signal });
  return Array.isArray(found) ? found : found.items;
}

function draw(list, page) {
  const part = page.query.name || "";
  return [
    tools(page, null, has("administrator") && add("Add virtual host", addVhost)),
    table({
      caption: "Virtual hosts",
      rows: list.filter((one) => one.name.includes(part)),
      keyOf: (one) => one.name,
      none: empty("No virtual host has that in its name."),
      columns: [
        { title: "Name", kind: "name", of: (one) => link(to`/vhosts/${one.name}`, name(one.name)) },
        { title: "Description", kind: "name", of: (one) => description(one) },
        { title: "Tags", of: (one) => (one.tags || []).map((tag) => badge(tag)) },
        { title: "Ready", kind: "number", of: (one) => count(one.messages_ready) },
        { title: "Unacked", kind: "number", of: (one) => count(one.messages_unacknowledged) },
        {
          title: "Queues",
          of: (one) => link("#/queues?" + new URLSearchParams({ vhost: one.name }), "show"),
        },
      ],
    }),
  ];
}

const description = (one) => {
  const text = one.description ?? one.metadata?.description;
  return text ? name(text) : "";
};

const FIELDS = (one = {}) => [
  {
    name: "description",
    label: "Description",
    value: one.description ?? one.metadata?.description,
  },
  { name: "tags", label: "Tags", value: (one.tags || []).join(","), hint: "With commas between." },
  {
    name: "type",
    label: "Default type of queues",
    type: "choice",
    options: TYPES,
    value: one.default_queue_type ?? one.metadata?.default_queue_type ?? "",
  },
];

async function save(vhost, { description: text = "", tags = "", type }) {
  const body = { description: text, tags };
  if (type) body.default_queue_type = type;
  await put(path`/vhosts/${vhost}`, body);
}

function addVhost() {
  form({
    title: "Add virtual host",
    submit: "Add virtual host",
    fields: [{ name: "name", label: "Name", required: true }, ...FIELDS()],
    act: async ({ name: vhost, ...values }) => {
      await save(vhost, values);
      location.hash = to`/vhosts/${vhost}`;
      return `Virtual host ${said(vhost)} is there. Give users permissions in it.`;
    },
  });
}

export const vhosts = { title: () => "Virtual hosts", load, draw };

async function loadOne({ params, signal }) {
  const base = path`/vhosts/${params.vhost}`;
  const [about, permissions, limits] = await Promise.all([
    get(base, { signal }),
    perhaps(base + "/permissions", { signal }),
    perhaps(path`/vhost-limits/${params.vhost}`, { signal }),
  ]);
  return { about, permissions, limits };
}

function drawOne({ about, permissions, limits }, page) {
  const administers = has("administrator");
  return [
    h("p", { class: "crumbs" }, link("#/vhosts", "Virtual hosts")),
    figures([
      ["Ready", count(about.messages_ready)],
      ["Unacked", count(about.messages_unacknowledged)],
      ["Messages", count(about.messages)],
    ]),
    h(
      "div",
      { class: "two" },
      panel(
        "About",
        facts([
          ["Description", description(about) || "none"],
          ["Tags", about.tags?.length ? about.tags.map((tag) => badge(tag)) : "none"],
          [
            "Default type of queues",
            about.default_queue_type ?? about.metadata?.default_queue_type ?? "classic",
          ],
          [
            "Queues",
            link("#/queues?" + new URLSearchParams({ vhost: about.name }), "show its queues"),
          ],
        ]),
        administers &&
          h(
            "div",
            { class: "row" },
            button("Change", () => change(about, page)),
            about.name !== "/" &&
              button("Delete virtual host", () => deleteVhost(about), { class: "danger" }),
          ),
      ),
      administers && limitsPanel(path`/vhost-limits/${about.name}`, limits, "vhost", page),
    ),
    permissions &&
      panel(
        "Who may enter",
        table({
          caption: "Permissions",
          rows: permissions,
          keyOf: (one) => one.user,
          none: empty(
            "Nobody.",
            "Set a permission on the page of a ",
            link("#/users", "user"),
            ".",
          ),
          columns: [
            {
              title: "User",
              kind: "name",
              of: (one) => link(to`/users/${one.user}`, name(one.user)),
            },
            ...["configure", "write", "read"].map((right) => ({
              title: right,
              kind: "name",
              of: (one) =>
                one[right] ? h("code", {}, one[right]) : h("span", { class: "quiet" }, "nothing"),
            })),
          ],
        }),
      ),
  ];
}

function change(about, page) {
  form({
    title: "Change virtual host",
    submit: "Save",
    done: page.refresh,
    fields: FIELDS(about),
    act: async (values) => {
      await save(about.name, values);
      return "Saved.";
    },
  });
}

function deleteVhost({ name: vhost }) {
  form({
    title: "Delete virtual host",
    submit: "Delete virtual host",
    danger: true,
    intro:
      `Everything in ${said(vhost)} goes: queues, messages, exchanges, permissions. ` +
      "Its connections are closed. This can not be undone.",
    fields: [{ name: "typed", label: `Type ${said(vhost)} to confirm`, required: true }],
    act: async ({ typed }) => {
      if (typed !== vhost) throw new Error("That is another name.");
      await remove(path`/vhosts/${vhost}`);
      location.hash = "#/vhosts";
      return `Virtual host ${said(vhost)} is deleted.`;
    },
  });
}

export const vhost = {
  title: (params) => `Virtual host ${params.vhost}`,
  heading: (params) => ["Virtual host ", name(params.vhost)],
  load: loadOne,
  draw: drawOne,
};
