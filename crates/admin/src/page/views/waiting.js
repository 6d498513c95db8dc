// What waits for its time, and what consumers hold: the queues where there is some.

import { get, query } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { empty, link, name, panel, to } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { listPath, tools, vhostNames } from "./common.js";
import { dueWithin } from "./leases.js";

const SHOWN = 50;
const COUNTED_MAX = 10;
const COLUMNS =
  "name,vhost,messages_delayed,messages_unacknowledged,consumers,arguments," +
  "effective_policy_definition";
const MINUTE_MS = 60000;

async function load(page) {
  const {
    query: { vhost, name: part },
    signal,
  } = page;
  const list = (sort) =>
    get(
      listPath("queues", vhost) +
        query({
          page: 1,
          page_size: SHOWN,
          name: part,
          sort,
          sort_reverse: "true",
          columns: COLUMNS,
        }),
      { signal },
    );
  const [delayed, leased, vhosts] = await Promise.all([
    list("messages_delayed"),
    list("messages_unacknowledged"),
    vhostNames(signal),
  ]);
  const waiting = delayed.items.filter((one) => one.messages_delayed);
  await Promise.all(
    waiting.slice(0, COUNTED_MAX).map(async (one) => {
      const soon = await dueWithin(one.vhost, one.name, MINUTE_MS, signal);
      one.soon = soon?.count;
    }),
  );
  return { waiting, leased: leased.items.filter((one) => one.messages_unacknowledged), vhosts };
}

const at = (one, query_) => to`/queues/${one.vhost}/${one.name}` + query_;

function draw({ waiting, leased, vhosts }, page) {
  const vhost = vhosts.length > 1 && {
    title: "Virtual host",
    kind: "name",
    of: (one) => name(one.vhost),
  };
  const lease = (one) =>
    one.arguments?.["x-lease-timeout"] ?? one.effective_policy_definition?.["lease-timeout"];
  return [
    tools(page, vhosts),
    h(
      "div",
      { class: "two" },
      panel(
        "Schedule",
        h(
          "p",
          { class: "hint" },
          "Messages that were published with a delay, or are to be tried again.",
        ),
        table({
          caption: "Queues with delayed messages",
          rows: waiting,
          keyOf: (one) => one.vhost + "/" + one.name,
          none: empty(
            "No message waits for its time.",
            "Publish one with the header x-delay, in milliseconds.",
          ),
          columns: [
            {
              title: "Queue",
              kind: "name",
              of: (one) => link(at(one, "?tab=messages&state=delayed"), name(one.name)),
            },
            vhost,
            { title: "Waiting", kind: "number", of: (one) => count(one.messages_delayed) },
            { title: "Due in a minute", kind: "number", of: (one) => count(one.soon) },
          ],
        }),
      ),
      panel(
        "Leases",
        h("p", { class: "hint" }, "Messages that are handed out and not settled yet."),
        table({
          caption: "Queues with leases",
          rows: leased,
          keyOf: (one) => one.vhost + "/" + one.name,
          none: empty("No consumer holds a message."),
          columns: [
            {
              title: "Queue",
              kind: "name",
              of: (one) => link(at(one, "?tab=leases"), name(one.name)),
            },
            vhost,
            { title: "Held", kind: "number", of: (one) => count(one.messages_unacknowledged) },
            { title: "Consumers", kind: "number", of: (one) => count(one.consumers) },
            {
              title: "Lease (ms)",
              kind: "number",
              of: (one) => (lease(one) ? count(lease(one)) : "no limit"),
            },
          ],
        }),
      ),
    ),
  ];
}

export const waiting = { title: () => "Schedule and leases", load, draw };
