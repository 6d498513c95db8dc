// Policies: settings for all queues and exchanges whose names match, and those of operators.

import { get, has, path, perhaps, put, remove } from "../lib/api.js";
import { form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { later } from "../lib/later.js";
import { button, empty, name, pairs, panelWith } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { tools, vhostField, vhostNames } from "./common.js";
import { policyFields, split } from "./settings.js";
import { said } from "../lib/format.js";

const APPLY = [
  ["queues", "queues"],
  ["classic_queues", "classic queues"],
  ["quorum_queues", "quorum queues"],
  ["streams", "streams"],
  ["exchanges", "exchanges"],
  ["all", "queues and exchanges"],
];

async function load({ signal }) {
  const [users, operators, vhosts] = await Promise.all([
    get("/policies", { signal }),
    perhaps("/operator-policies", { signal }),
    vhostNames(signal),
  ]);
  return { users, operators, vhosts };
}

function draw({ users, operators, vhosts }, page) {
  return [
    h(
      "p",
      { class: "lead" },
      "A policy counts at once for all that match, also those that come later. One policy ",
      "and one operator policy are in force for a queue: those with the highest priority.",
    ),
    tools(page, vhosts),
    listed("Policies", "policies", users, { vhosts, page, may: has("policymaker") }),
    operators &&
      listed("Operator policies", "operator-policies", operators, {
        vhosts,
        page,
        may: has("administrator"),
      }),
  ];
}

function listed(title, kind, found, { vhosts, page, may }) {
  const list = Array.isArray(found) ? found : found.items || [];
  const { vhost, name: part = "" } = page.query;
  const shown = list.filter((one) => (!vhost || one.vhost === vhost) && one.name.includes(part));
  const operator = kind === "operator-policies";
  return panelWith(
    title,
    may &&
      button(operator ? "Add operator policy" : "Add policy", () => edit(kind, vhosts, page), {
        class: "main",
      }),
    operator && h("p", { class: "hint" }, "Limits that users can undercut and not exceed."),
    table({
      caption: title,
      rows: shown,
      keyOf: (one) => one.vhost + "/" + one.name,
      none: empty("None."),
      columns: [
        { title: "Name", kind: "name", of: (one) => name(one.name) },
        vhosts.length > 1 && { title: "Virtual host", kind: "name", of: (one) => name(one.vhost) },
        { title: "Pattern", kind: "name", of: (one) => h("code", {}, one.pattern) },
        { title: "For", of: (one) => one["apply-to"] },
        { title: "Priority", kind: "number", of: (one) => String(one.priority) },
        { title: "Sets", of: (one) => pairs(one.definition) },
        may && {
          title: "",
          kind: "acts",
          of: (one) => [
            button("Change", () => edit(kind, vhosts, page, one), {
              class: "small",
              "aria-label": `Change ${one.name}`,
            }),
            button("Delete", () => clear(kind, one, page), {
              class: "small danger",
              "aria-label": `Delete ${one.name}`,
            }),
          ],
        },
      ],
    }),
  );
}

function clear(kind, one, page) {
  later(
    `Deleting policy ${said(one.name)}.`,
    async () => {
      await remove(`/${kind}` + path`/${one.vhost}/${one.name}`);
      return "The policy is deleted.";
    },
    page.refresh,
  );
}

function edit(kind, vhosts, page, one) {
  const operator = kind === "operator-policies";
  const [, others] = split(one?.definition || {}, false);
  const more = Object.keys(others).length ? JSON.stringify(others, null, 1) : "";
  form({
    title: (one ? "Change " : "Add ") + (operator ? "operator policy" : "policy"),
    wide: true,
    submit: one ? "Save" : "Add policy",
    done: page.refresh,
    fields: [
      !one && vhostField(vhosts, page.query.vhost),
      !one && { name: "name", label: "Name", required: true },
      {
        name: "pattern",
        label: "Pattern",
        required: true,
        value: one?.pattern,
        hint: "A regular expression on names: ^orders\\. for all that begin with orders.",
      },
      {
        name: "apply",
        label: "For",
        type: "choice",
        value: one?.["apply-to"] ?? "queues",
        options: operator ? APPLY.filter(([key]) => key !== "exchanges") : APPLY,
      },
      { name: "priority", label: "Priority", type: "number", value: one?.priority ?? 0 },
      ...policyFields(one?.definition, operator),
      {
        group: operator ? "Other settings" : "Exchanges and other settings",
        open: Boolean(more),
        fields: [
          {
            name: "more",
            label: "As JSON",
            type: "json",
            rows: 6,
            value: more,
            hint: operator
              ? null
              : "alternate-exchange, set-headers, remove-headers, require, body-schema …",
          },
        ],
      },
    ],
    act: async (values) => {
      const [settings, rest] = split(values, false);
      const {
        vhost = one?.vhost,
        name: policy = one?.name,
        pattern,
        apply,
        priority = 0,
        more: json,
      } = rest;
      await put(`/${kind}` + path`/${vhost}/${policy}`, {
        pattern,
        "apply-to": apply,
        priority,
        definition: { ...settings, ...json },
      });
      return "The policy is in force.";
    },
  });
}

export const policies = { title: () => "Policies", load, draw };
