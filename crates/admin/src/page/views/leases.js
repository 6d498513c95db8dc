// Leases of a queue: who holds which message until when; extending and ending them.

import { get, path, perhaps, post, query } from "../lib/api.js";
import { form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { count, span, when } from "../lib/format.js";
import { badge, button, empty, name } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { openMessage } from "./message.js";

const PAGE = 100;

export function loadLeases(page, vhost, queue) {
  const {
    query: { cursor },
    signal,
  } = page;
  return get(path`/ferry/queues/${vhost}/${queue}/leases` + query({ cursor, limit: PAGE }), {
    signal,
  });
}

/** How many delayed messages are due in a while. */
export function dueWithin(vhost, queue, ms, signal) {
  const now = Date.now();
  return perhaps(
    path`/ferry/queues/${vhost}/${queue}/schedule/count` + query({ from: 0, to: now + ms }),
    { signal },
  );
}

export function leases(found, page, vhost, queue) {
  const items = found.items || [];
  const context = (one) => ({ vhost, queue, ref: one.ref, page });
  return [
    table({
      caption: "Leases",
      rows: items,
      keyOf: (one) => one.ref,
      none: empty("No consumer holds a message of this queue."),
      columns: [
        {
          title: "Message",
          kind: "name",
          of: (one) =>
            h(
              "button",
              { type: "button", class: "link", onclick: () => openMessage(context(one)) },
              one.message_id ? name(one.message_id) : "no id",
            ),
        },
        { title: "Holder", kind: "name", of: (one) => name(one.connection ?? one.holder) },
        { title: "Consumer", kind: "name", of: (one) => name(one.consumer_tag, "by a get") },
        {
          title: "For",
          kind: "number",
          of: (one) => (one.since ? span(Date.now() - one.since) : span(undefined)),
        },
        {
          title: "Until",
          kind: "time",
          of: (one) => (one.until ? when(one.until) : badge("no limit")),
        },
        { title: "Tried", kind: "number", of: (one) => count(one.delivery_count) },
        {
          title: "",
          kind: "acts",
          of: (one) => [
            button("Extend", () => extendLease(context(one), page.refresh), { class: "small" }),
            button("End", () => endLease(context(one), page.refresh), { class: "small danger" }),
          ],
        },
      ],
    }),
    found.next && button("Next page", () => page.set({ cursor: found.next })),
  ];
}

const at = ({ vhost, queue, ref }) => path`/ferry/queues/${vhost}/${queue}/leases/${ref}`;

export function extendLease(context, done) {
  form({
    title: "Extend lease",
    submit: "Extend",
    fields: [
      {
        name: "seconds",
        label: "It ends in (seconds, from now)",
        type: "number",
        value: 60,
        required: true,
      },
    ],
    act: async ({ seconds }) => {
      await post(at(context) + "/extend", { ms: Math.round(seconds * 1000) });
      return "The lease is extended.";
    },
    done,
  });
}

const OUTCOMES = [
  ["requeue", "ready again for others"],
  ["dead-letter", "a dead letter"],
];

export function endLease(context, done) {
  form({
    title: "End lease",
    submit: "End lease",
    intro: "The consumer that holds the message can not settle it any more.",
    fields: [{ name: "outcome", label: "The message is then", type: "choice", options: OUTCOMES }],
    act: async ({ outcome }) => {
      await post(at(context) + "/end", { outcome });
      return "The lease is ended.";
    },
    done,
  });
}
