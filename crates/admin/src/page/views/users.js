// Users: who may log in, with which tags, where they may do what, and how much.

import { get, path, perhaps, put, query, remove, user } from "../lib/api.js";
import { confirm, form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { now } from "../lib/later.js";
import {
  badge,
  button,
  empty,
  facts,
  link,
  name,
  note,
  panel,
  panelWith,
  to,
} from "../lib/parts.js";
import { table } from "../lib/table.js";
import { add, tools, vhostField, vhostNames } from "./common.js";
import { limitsPanel } from "./limits.js";
import { said } from "../lib/format.js";

const TAGS = [
  ["management", "sees and changes what is in their virtual hosts"],
  ["policymaker", "also sets policies there"],
  ["monitoring", "also sees the node, all connections and all virtual hosts"],
  ["administrator", "may do everything"],
  ["impersonator", "may publish with another user's name"],
];

const tagsOf = (one) =>
  (Array.isArray(one.tags) ? one.tags : String(one.tags || "").split(",")).filter(Boolean);

async function load(page) {
  const found = await get("/users", { signal: page.signal });
  return Array.isArray(found) ? found : found.items;
}

function draw(list, page) {
  const part = page.query.name || "";
  const shown = list.filter((one) => one.name.includes(part));
  return [
    tools(
      page,
      null,
      add("Add user", () => addUser(page)),
    ),
    table({
      caption: "Users",
      rows: shown,
      keyOf: (one) => one.name,
      none: empty("No user has that in its name."),
      columns: [
        { title: "Name", kind: "name", of: (one) => link(to`/users/${one.name}`, name(one.name)) },
        { title: "Tags", of: (one) => tagsOf(one).map((tag) => badge(tag)) },
        {
          title: "Log-in",
          of: (one) =>
            one.password_hash === "" ? badge("not by password", "warn") : "by password",
        },
      ],
    }),
  ];
}

const PASSWORD = { name: "password", label: "Password", type: "password", required: true };
const AGAIN = { name: "again", label: "Password again", type: "password", required: true };

function same({ password, again }) {
  if (password !== again) throw new Error("The two passwords are not the same.");
}

function addUser() {
  form({
    title: "Add user",
    submit: "Add user",
    fields: [
      { name: "name", label: "Name", required: true },
      PASSWORD,
      AGAIN,
      {
        name: "tags",
        label: "Tags",
        type: "tags",
        options: TAGS,
        hint: "None: an application, which needs no page.",
      },
      {
        name: "all",
        label: "Everything in virtual host /",
        type: "bool",
        value: true,
        hint: "Permissions .* to begin with; change them on the user's page.",
      },
    ],
    act: async (values) => {
      same(values);
      const { name: who, password, tags, all } = values;
      await put(path`/users/${who}`, { password, tags: tags.join(",") });
      if (all)
        await put(path`/permissions/${"/"}/${who}`, { configure: ".*", write: ".*", read: ".*" });
      location.hash = to`/users/${who}`;
      return `User ${said(who)} is there.`;
    },
  });
}

export const users = { title: () => "Users", load, draw };

async function loadOne({ params, signal }) {
  const base = path`/users/${params.user}`;
  const [about, permissions, topics, limits, vhosts] = await Promise.all([
    get(base, { signal }),
    perhaps(base + "/permissions", { signal }),
    perhaps(base + "/topic-permissions", { signal }),
    perhaps(path`/user-limits/${params.user}`, { signal }),
    vhostNames(signal),
  ]);
  return { about, permissions, topics, limits, vhosts };
}

function drawOne({ about, permissions, topics, limits, vhosts }, page) {
  const who = about.name;
  return [
    h("p", { class: "crumbs" }, link("#/users", "Users")),
    permissions?.length === 0 &&
      note(
        "warn",
        h("p", {}, h("b", {}, "This user may enter no virtual host. "), "Set a permission below."),
      ),
    h(
      "div",
      { class: "two" },
      panel(
        "About",
        facts([
          ["Tags", tagsOf(about).length ? tagsOf(about).map((tag) => badge(tag)) : "none"],
          ["Password", about.password_hash === "" ? "none: no log-in by password" : "set"],
          ["Stored as", about.hashing_algorithm],
        ]),
        h(
          "div",
          { class: "row" },
          button("Change tags", () => changeTags(about, page)),
          button("Change password", () => changePassword(about, page)),
          button("Delete user", () => deleteUser(about), { class: "danger" }),
        ),
      ),
      limitsPanel(path`/user-limits/${who}`, limits, "user", page),
    ),
    panelWith(
      "Permissions",
      button("Set permission", () => setPermission(who, vhosts, page)),
      h(
        "p",
        { class: "hint" },
        "Names of queues and exchanges that match a pattern may be declared and deleted " +
          "(configure), published and bound to (write), consumed and bound from (read).",
      ),
      table({
        caption: "Permissions",
        rows: permissions || [],
        keyOf: (one) => one.vhost,
        none: empty("None: this user may enter no virtual host."),
        columns: [
          vhostColumn,
          pattern("configure"),
          pattern("write"),
          pattern("read"),
          acts(
            (one) => setPermission(who, vhosts, page, one),
            (one) =>
              now(
                () =>
                  remove(path`/permissions/${one.vhost}/${who}`).then(
                    () => "The permission is gone.",
                  ),
                page.refresh,
              ),
          ),
        ],
      }),
    ),
    panelWith(
      "Topic permissions",
      button("Set topic permission", () => setTopic(who, vhosts, page)),
      h(
        "p",
        { class: "hint" },
        "Routing keys that may be used with a topic exchange; without one, all.",
      ),
      table({
        caption: "Topic permissions",
        rows: topics || [],
        keyOf: (one) => one.vhost + "/" + one.exchange,
        none: empty("None: every routing key may be used."),
        columns: [
          vhostColumn,
          { title: "Exchange", kind: "name", of: (one) => name(one.exchange) },
          pattern("write"),
          pattern("read"),
          acts(
            (one) => setTopic(who, vhosts, page, one),
            (one) =>
              now(
                () =>
                  remove(
                    path`/topic-permissions/${one.vhost}/${who}` +
                      query({ exchange: one.exchange }),
                  ).then(() => "The topic permission is gone."),
                page.refresh,
              ),
          ),
        ],
      }),
    ),
  ];
}

const vhostColumn = { title: "Virtual host", kind: "name", of: (one) => name(one.vhost) };
const pattern = (right) => ({
  title: right,
  kind: "name",
  of: (one) => (one[right] ? h("code", {}, one[right]) : h("span", { class: "quiet" }, "nothing")),
});
const acts = (change, clear) => ({
  title: "",
  kind: "acts",
  of: (one) => [
    button("Change", () => change(one), { class: "small" }),
    button("Clear", () => clear(one), { class: "small danger" }),
  ],
});

const patternField = (right, value, text) => ({
  name: right,
  label: right,
  value: value ?? ".*",
  hint: text + " A regular expression; empty is nothing.",
});

function setPermission(who, vhosts, page, one = {}) {
  form({
    title: "Set permission",
    submit: "Set permission",
    done: page.refresh,
    fields: [
      vhostField(vhosts, one.vhost),
      patternField("configure", one.configure, "May be declared and deleted."),
      patternField("write", one.write, "May be published and bound to."),
      patternField("read", one.read, "May be consumed from."),
    ],
    act: async ({ vhost, configure = "", write = "", read = "" }) => {
      await put(path`/permissions/${vhost}/${who}`, { configure, write, read });
      return `Set for ${said(vhost)}; it counts at once.`;
    },
  });
}

function setTopic(who, vhosts, page, one = {}) {
  form({
    title: "Set topic permission",
    submit: "Set topic permission",
    done: page.refresh,
    fields: [
      vhostField(vhosts, one.vhost),
      { name: "exchange", label: "Exchange", value: one.exchange ?? "amq.topic", required: true },
      patternField("write", one.write, "Routing keys to publish with."),
      patternField("read", one.read, "Binding keys to consume by."),
    ],
    act: async ({ vhost, exchange, write = "", read = "" }) => {
      await put(path`/topic-permissions/${vhost}/${who}`, { exchange, write, read });
      return "Set; it counts at once.";
    },
  });
}

function changeTags(about, page) {
  form({
    title: "Change tags",
    submit: "Change tags",
    done: page.refresh,
    fields: [{ name: "tags", label: "Tags", type: "tags", options: TAGS, value: tagsOf(about) }],
    act: async ({ tags }) => {
      // Without a password the node would take it away: the hash is sent back as it is.
      await put(path`/users/${about.name}`, {
        tags: tags.join(","),
        password_hash: about.password_hash ?? "",
        hashing_algorithm: about.hashing_algorithm,
      });
      return "The tags are changed.";
    },
  });
}

function changePassword(about, page) {
  form({
    title: "Change password",
    submit: "Change password",
    done: page.refresh,
    intro: about.name === user()?.name ? "This is you: log in again afterwards." : null,
    fields: [PASSWORD, AGAIN],
    act: async (values) => {
      same(values);
      await put(path`/users/${about.name}`, {
        password: values.password,
        tags: tagsOf(about).join(","),
      });
      return "The password is changed.";
    },
  });
}

function deleteUser({ name: who }) {
  confirm({
    title: "Delete user",
    submit: "Delete user",
    text: `User ${said(who)} will be deleted with all permissions, and its connections closed.`,
    act: async () => {
      await remove(path`/users/${who}`);
      location.hash = "#/users";
      return `User ${said(who)} is deleted.`;
    },
  });
}

export const someone = {
  title: (params) => `User ${params.user}`,
  heading: (params) => ["User ", name(params.user)],
  load: loadOne,
  draw: drawOne,
};
