// Looking into a queue without leaving a mark: search, results, and what can be done with them.

import { get, path, query } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { bytes, count, exchangeName, inline, many, span, time, when } from "../lib/format.js";
import { badge, button, empty, name } from "../lib/parts.js";
import { collect, fieldOrGroup, localTime } from "../lib/form.js";
import { table } from "../lib/table.js";
import { ownHeaders } from "./common.js";
import { bulk } from "./message_acts.js";
import { openMessage } from "./message.js";

const PAGE = 50;
const PREVIEW_BYTES = 160;
const SEARCHED = ["state", "filter", "id", "text", "reason", "from", "to"];
const STATES = [
  ["all", "any"],
  ["ready", "ready"],
  ["delayed", "delayed"],
  ["leased", "with a consumer"],
  ["stuck", "stuck dead letters"],
];
// Messages in these states are acted on one by one.
const HELD = ["leased", "stuck"];
const REASONS = [["", "any"], "rejected", "expired", "maxlen", "delivery_limit", "unroutable"];

/** What the reader searches for, as the API takes it. */
function searched(page) {
  const found = Object.fromEntries(
    SEARCHED.map((key) => [key, page.query[key]]).filter(([, value]) => value),
  );
  for (const key of ["from", "to"]) if (found[key]) found[key] = Number(found[key]);
  return { state: page.query.state || page.state.stateDefault || "ready", ...found };
}

export function loadMessages(page, vhost, queue) {
  const asked = {
    ...searched(page),
    cursor: page.query.cursor,
    limit: PAGE,
    payload_bytes: PREVIEW_BYTES,
  };
  return get(path`/ferry/queues/${vhost}/${queue}/messages` + query(asked), {
    signal: page.signal,
  });
}

/** The whole browser: `dead` makes it the workbench for dead letters. */
export function browser(found, page, vhost, queue, dead = false) {
  const { state } = page;
  state.chosen ||= new Set();
  const items = found.items || [];
  for (const ref of state.chosen)
    if (!items.some((one) => one.ref === ref)) state.chosen.delete(ref);
  const context = {
    vhost,
    queue,
    page,
    dead,
    chosen: state.chosen,
    matching: () => searched(page),
  };
  return [
    search(page),
    items.length > 0 && !HELD.includes(searched(page).state) && bulk(context, items),
    table({
      caption: "Messages",
      rows: items,
      keyOf: (one) => one.ref,
      chosen: (one) => state.chosen.has(one.ref),
      columns: columns(context, items, dead),
      none: nothing(found, page, dead),
    }),
    more(found, page),
  ];
}

function search(page) {
  const { query: asked } = page;
  const local = (value) => (value ? localTime(Number(value)) : "");
  const fields = [
    { name: "text", label: "Text in the payload", value: asked.text },
    { name: "id", label: "Message id", value: asked.id },
    {
      name: "filter",
      label: "Filter",
      value: asked.filter,
      placeholder: "region = 'eu' AND amount > 500",
    },
    {
      name: "state",
      label: "State",
      type: "choice",
      options: STATES,
      value: asked.state || page.state.stateDefault || "ready",
    },
    {
      name: "reason",
      label: "Died because",
      type: "choice",
      options: REASONS,
      value: asked.reason,
    },
    {
      group: "By time",
      open: Boolean(asked.from || asked.to),
      fields: [
        { name: "from", label: "Came after", type: "time", value: local(asked.from) },
        { name: "to", label: "Came before", type: "time", value: local(asked.to) },
      ],
    },
  ];
  const none = Object.fromEntries(SEARCHED.map((key) => [key, undefined]));
  const onsubmit = (event) => {
    event.preventDefault();
    page.set({ ...none, ...collect(fields, event.target), cursor: undefined });
  };
  const clear = () => page.set({ ...none, cursor: undefined });
  const kept = SEARCHED.map((key) => asked[key]).join("\n");
  return h(
    "form",
    { class: "search panel", onsubmit, keep: "search " + kept, role: "search" },
    fields.map(fieldOrGroup),
    h(
      "div",
      { class: "row" },
      h("button", { class: "main" }, "Search"),
      button("Clear", clear),
      button("Look again", () => page.refresh()),
    ),
  );
}

function nothing(found, page, dead) {
  if (found.next)
    return empty(`Nothing among the ${count(found.scanned)} that were looked at so far.`);
  const searching = SEARCHED.some((key) => key !== "state" && page.query[key]);
  if (searching) return empty("No message matches. Ask for less, or clear the search.");
  if (dead) return empty("No dead letters here. That is good news.");
  return empty("No message in this state. The overview has buttons to publish one.");
}

function columns(context, items, dead) {
  const { chosen, page, vhost, queue } = context;
  const turn = (one, on) => {
    if (on) chosen.add(one.ref);
    else chosen.delete(one.ref);
    page.redraw();
  };
  const open = (one) => openMessage({ ...context, ref: one.ref, state: one.state });
  return [
    {
      title: "",
      kind: "check",
      of: (one) =>
        h("input", {
          type: "checkbox",
          checked: chosen.has(one.ref),
          onchange: (event) => turn(one, event.target.checked),
          "aria-label": `Choose message ${one.message_id || one.ref}`,
        }),
    },
    {
      title: "Message",
      kind: "name",
      of: (one) =>
        h(
          "button",
          { type: "button", class: "link", onclick: () => open(one) },
          one.message_id
            ? name(one.message_id)
            : h("span", {}, "no id, ", span(Date.now() - one.enqueued_at), " old"),
        ),
    },
    dead ? { title: "Died", of: died } : { title: "State", of: standing },
    dead
      ? { title: "Was published to", kind: "name", of: origin }
      : { title: "Routing key", kind: "name", of: (one) => name(one.routing_key) },
    { title: "Headers", kind: "wide", of: headers },
    { title: "Payload", kind: "wide", of: preview },
    {
      title: "Came",
      kind: "time",
      of: (one) => h("span", { title: when(one.enqueued_at) }, time(one.enqueued_at)),
    },
  ];
}

function standing(one) {
  const kinds = { ready: "good", delayed: "", leased: "warn", stuck: "bad" };
  return [
    badge(one.state || "ready", kinds[one.state]),
    one.due_at ? h("small", {}, " ", when(one.due_at)) : null,
    one.lease?.until ? h("small", {}, " until ", time(one.lease.until)) : null,
    one.delivery_count ? h("small", {}, ` tried ${count(one.delivery_count)}×`) : null,
  ];
}

function died({ death, state }) {
  if (!death)
    return state === "stuck"
      ? badge("stuck", "bad")
      : h("span", { class: "quiet" }, "not a dead letter");
  return [
    badge(death.reason, "warn"),
    " in ",
    name(death.queue),
    death.count > 1 ? h("small", {}, ` ${count(death.count)} times`) : null,
  ];
}

// Where it was published to before it died.
function origin({ death, exchange, routing_key: key }) {
  const { exchange: first = exchange, routing_keys: keys = [key] } = death || {};
  return [name(exchangeName(first)), h("div", {}, h("small", {}, name(keys.join(", "))))];
}

function headers(one) {
  const own = Object.entries(ownHeaders(one.properties?.headers));
  const text = own.map(([key, value]) => `${key}: ${inline(value)}`).join(", ");
  return text ? h("bdi", { class: "clip" }, text) : "";
}

function preview(one) {
  const size = h("small", { class: "quiet" }, ` ${bytes(one.payload_bytes)}`);
  if (one.payload_encoding === "base64") return [h("span", { class: "quiet" }, "not text,"), size];
  return [h("code", { class: "clip" }, one.payload || ""), size];
}

function more(found, page) {
  const shown =
    `${many(found.items?.length || 0, "message")} on this page` +
    (found.scanned === undefined ? "" : `, ${count(found.scanned)} looked at`);
  return h(
    "div",
    { class: "pager" },
    h("span", {}, shown),
    page.query.cursor && button("From the start", () => page.set({ cursor: undefined })),
    found.next &&
      button(found.items.length < PAGE ? "Search on" : "Next page", () =>
        page.set({ cursor: found.next }),
      ),
  );
}
