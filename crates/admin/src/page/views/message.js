// One message, whole: what it says, how it came here, and what can be done with it.

import { get, path } from "../lib/api.js";
import { dialog, form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { bytes, count, exchangeName, time, when } from "../lib/format.js";
import { tell } from "../lib/later.js";
import { badge, button, facts, link, name, pairs, to } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { historyOf, ownHeaders } from "./common.js";
import { endLease, extendLease } from "./leases.js";
import { moveOne, removeOne, replayOne, reschedule, sendEdited, sendNow } from "./message_acts.js";
import { ENCODING, PAYLOAD, properties, propertyFields } from "./publish.js";

/** Opens a message; `context` has vhost, queue, ref and the page that is to be refreshed. */
export async function openMessage(context) {
  const { vhost, queue, ref } = context;
  let message;
  try {
    message = await get(path`/ferry/queues/${vhost}/${queue}/messages/${ref}`);
  } catch (error) {
    tell("bad", error.status === 404 ? "This message has gone meanwhile." : error.message);
    context.page.refresh();
    return;
  }
  const view = { as: "text" };
  dialog(
    message.message_id ? `Message ${message.message_id}` : "Message",
    (close, draw) => {
      const done = () => {
        close();
        context.page.refresh();
      };
      return [
        acts(context, message, done),
        about(context, message),
        h("h3", {}, "Payload, ", bytes(message.payload_bytes)),
        payload(message, view, draw),
        h("h3", {}, "Headers"),
        pairs(ownHeaders(message.properties?.headers), "no headers"),
        deaths(message.properties?.headers?.["x-death"]),
      ];
    },
    { wide: true },
  );
}

function about({ vhost }, message) {
  const { headers, ...others } = message.properties || {};
  return facts([
    ["State", badge(message.state || "ready")],
    [
      "Message id",
      message.message_id
        ? [
            name(message.message_id),
            " ",
            link(
              to`/passport` + "?" + new URLSearchParams({ vhost, id: message.message_id }),
              "its passport",
            ),
          ]
        : "none",
    ],
    ["Exchange", name(exchangeName(message.exchange))],
    ["Routing key", name(message.routing_key)],
    ["Came", when(message.enqueued_at)],
    ["Ready at", message.due_at ? when(message.due_at) : undefined],
    [
      "With",
      message.lease
        ? [
            "a ",
            name(message.lease.holder),
            message.lease.until && ` until ${time(message.lease.until)}`,
          ]
        : undefined,
    ],
    [
      "Tried",
      message.delivery_count === undefined ? undefined : `${count(message.delivery_count)} times`,
    ],
    [
      "Died",
      message.death
        ? [badge(message.death.reason, "warn"), " in ", name(message.death.queue)]
        : undefined,
    ],
    ["Properties", pairs(others, "none")],
  ]);
}

function acts(context, message, done) {
  const due = message.state === "delayed";
  const lease = message.lease;
  return h(
    "div",
    { class: "row" },
    !lease && button("Edit and replay", () => edit(context, message, done), { class: "main" }),
    message.death && button("Replay", () => replayOne(context, done)),
    !lease && button("Move", () => moveOne(context, done)),
    due && button("Deliver now", () => sendNow(context, done)),
    due && button("Change time", () => reschedule(context, message.due_at, done)),
    lease && button("Extend lease", () => extendLease(context, done)),
    lease && button("End lease", () => endLease(context, done)),
    !lease &&
      button(
        "Delete",
        () => {
          done();
          removeOne(context, () => context.page.refresh());
        },
        { class: "danger" },
      ),
  );
}

const VIEWS = [
  ["text", "Text"],
  ["json", "JSON"],
  ["hex", "Bytes"],
];

function payload(message, view, draw) {
  const chosen = message.payload_encoding === "base64" && view.as === "text" ? "hex" : view.as;
  const turn = (as) => {
    view.as = as;
    draw();
  };
  return h(
    "div",
    {},
    h(
      "div",
      { class: "row", role: "group", "aria-label": "Show payload as" },
      VIEWS.map(([as, title]) =>
        button(title, () => turn(as), { class: "small", "aria-pressed": String(as === chosen) }),
      ),
    ),
    h("pre", { class: "payload", tabindex: "0" }, shown(message, chosen)),
  );
}

function shown(message, as) {
  const raw = message.payload || "";
  const encoded = message.payload_encoding === "base64";
  if (as === "json") {
    try {
      return JSON.stringify(JSON.parse(encoded ? atob(raw) : raw), null, 2);
    } catch (error) {
      return `This is not JSON: ${error.message}`;
    }
  }
  if (as === "text" && !encoded) return raw || "(no bytes)";
  const data = encoded
    ? Uint8Array.from(atob(raw), (letter) => letter.charCodeAt(0))
    : new TextEncoder().encode(raw);
  return hex(data);
}

const HEX_BYTES_MAX = 16384;

function hex(data) {
  const lines = [];
  for (let at = 0; at < Math.min(data.length, HEX_BYTES_MAX); at += 16) {
    const part = [...data.slice(at, at + 16)];
    const digits = part
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join(" ")
      .padEnd(47);
    const text = part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "."));
    lines.push(`${at.toString(16).padStart(6, "0")}  ${digits}  ${text.join("")}`);
  }
  if (data.length > HEX_BYTES_MAX) lines.push(`… ${bytes(data.length - HEX_BYTES_MAX)} more`);
  return lines.join("\n") || "(no bytes)";
}

function deaths(list) {
  if (!Array.isArray(list) || !list.length) return null;
  return [
    h("h3", {}, "How it died"),
    table({
      caption: "Deaths, the newest first",
      rows: list,
      columns: [
        { title: "Queue", kind: "name", of: (one) => name(one.queue) },
        { title: "Reason", of: (one) => badge(one.reason, "warn") },
        { title: "Times", kind: "number", of: (one) => count(one.count) },
        { title: "Exchange", kind: "name", of: (one) => name(exchangeName(one.exchange)) },
        {
          title: "Routing keys",
          kind: "name",
          of: (one) => name((one["routing-keys"] || []).join(", ")),
        },
        { title: "First", of: (one) => time(seconds(one.time)) },
      ],
    }),
  ];
}

const seconds = (value) =>
  typeof value === "number" ? value * (value > 1e11 ? 1 : 1000) : undefined;

function edit(context, message, done) {
  const before = message.properties || {};
  const key = message.death?.routing_keys?.[0] ?? message.routing_key;
  form({
    title: "Edit and replay",
    submit: "Replay edited",
    wide: true,
    intro:
      "The edited copy takes the place of this message and is linked to it. Without an exchange " +
      "it goes to where the original was published first.",
    fields: [
      { ...PAYLOAD, value: message.payload },
      { ...ENCODING, value: message.payload_encoding },
      { name: "exchange", label: "To exchange", hint: "Empty: where it was published first." },
      { name: "key", label: "Routing key", placeholder: key, hint: "Empty: its own." },
      ...propertyFields({ ...before, headers: ownHeaders(before.headers) }),
    ],
    act: async (values) => {
      const made = properties(values);
      // What is the broker's own history stays with the message.
      const history = historyOf(before.headers);
      if (Object.keys(history).length) made.headers = { ...made.headers, ...history };
      const change = {
        properties: made,
        payload: values.payload ?? "",
        payload_encoding: values.encoding,
      };
      if (values.exchange) change.exchange = values.exchange;
      if (values.key) change.routing_key = values.key;
      return sendEdited(context, change);
    },
    done,
  });
}
