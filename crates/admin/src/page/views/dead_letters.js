// Dead letters: where they gather, and the workbench to bring them back to work.

import { get, path, perhaps, query } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { count, many } from "../lib/format.js";
import { badge, empty, figures, link, name, note, panel, queueLink, to } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { browser, loadMessages } from "./browser.js";
import { listPath, tools, vhostNames } from "./common.js";

const LOOKED_AT = 500;
const EXCHANGES_MAX = 20;
const COLUMNS =
  "name,vhost,arguments,effective_policy_definition,messages,messages_ready," +
  "messages_dead_letter_pending";

async function load(page) {
  const {
    query: { vhost, name: part },
    signal,
  } = page;
  const asked = query({
    page: 1,
    page_size: LOOKED_AT,
    name: part,
    sort: "messages",
    sort_reverse: "true",
    columns: COLUMNS,
  });
  const [found, vhosts] = await Promise.all([
    get(listPath("queues", vhost) + asked, { signal }),
    vhostNames(signal),
  ]);
  const queues = Array.isArray(found) ? found : found.items;
  return {
    queues,
    gather: await targets(queues, signal),
    vhosts,
    total: found.filtered_count ?? queues.length,
  };
}

const setting = (queue, key) =>
  queue.arguments?.["x-" + key] ?? queue.effective_policy_definition?.[key];

const keyOf = (vhost, name) => JSON.stringify([vhost, name]);

/** Which queues get dead letters of others: of the queues that were looked at. */
async function targets(queues, signal) {
  const gather = new Map();
  const leads = (vhost, target, source) => {
    const key = keyOf(vhost, target);
    gather.set(key, [...(gather.get(key) || []), source]);
  };
  const exchanges = new Map();
  for (const queue of queues) {
    const exchange = setting(queue, "dead-letter-exchange");
    if (exchange === "") {
      leads(queue.vhost, setting(queue, "dead-letter-routing-key") ?? queue.name, queue.name);
    } else if (exchange !== undefined) {
      const key = keyOf(queue.vhost, exchange);
      exchanges.set(key, [...(exchanges.get(key) || []), queue.name]);
    }
  }
  await Promise.all(
    [...exchanges].slice(0, EXCHANGES_MAX).map(async ([key, sources]) => {
      const [vhost, exchange] = JSON.parse(key);
      const bound = await perhaps(path`/exchanges/${vhost}/${exchange}/bindings/source`, {
        signal,
      });
      for (const one of bound || []) {
        if (one.destination_type === "queue")
          sources.forEach((from) => leads(vhost, one.destination, from));
      }
    }),
  );
  return gather;
}

const bench = (queue, ...content) =>
  link(to`/dead-letters/${queue.vhost}/${queue.name}`, ...content);

function draw({ queues, gather, vhosts, total }, page) {
  const sources = (queue) => gather.get(keyOf(queue.vhost, queue.name));
  const getting = queues.filter(sources);
  const stuck = queues.filter((one) => one.messages_dead_letter_pending);
  const others = queues.filter((one) => !sources(one) && one.messages_ready);
  return [
    h(
      "p",
      { class: "lead" },
      "Messages that expired, did not fit, or were given up. Open a queue to ",
      "search its dead letters, see why they died, mend them, and replay them.",
    ),
    tools(page, vhosts),
    total > queues.length &&
      note(
        "",
        `The ${count(queues.length)} longest of ${many(total, "queue")} ` +
          "were looked at; search by name for others.",
      ),
    panel(
      "Queues that get dead letters",
      table({
        caption: "Queues that get dead letters",
        rows: getting,
        keyOf: (one) => one.vhost + "/" + one.name,
        none: empty(
          "No queue sends its dead letters anywhere.",
          "Set a dead-letter exchange when you add ",
          "a queue, or by a ",
          link("#/policies", "policy"),
          ".",
        ),
        columns: [
          { title: "Queue", kind: "name", of: (one) => bench(one, name(one.name)) },
          vhosts.length > 1 && {
            title: "Virtual host",
            kind: "name",
            of: (one) => name(one.vhost),
          },
          { title: "Dead letters", kind: "number", of: (one) => count(one.messages_ready) },
          { title: "Come from", of: (one) => listed(one.vhost, sources(one)) },
        ],
      }),
    ),
    stuck.length > 0 &&
      panel(
        "Stuck: their target can not take them",
        table({
          caption: "Queues with stuck dead letters",
          rows: stuck,
          columns: [
            {
              title: "Queue",
              kind: "name",
              of: (one) =>
                link(to`/dead-letters/${one.vhost}/${one.name}` + "?state=stuck", name(one.name)),
            },
            {
              title: "Stuck",
              kind: "number",
              of: (one) => badge(count(one.messages_dead_letter_pending), "bad"),
            },
          ],
        }),
      ),
    others.length > 0 &&
      panel(
        "Other queues with messages",
        h(
          "ul",
          { class: "inline-list" },
          others
            .slice(0, 30)
            .map((one) =>
              h(
                "li",
                { key: one.vhost + "/" + one.name },
                bench(one, name(one.name)),
                ` ${count(one.messages_ready)}`,
              ),
            ),
        ),
      ),
  ];
}

function listed(vhost, names) {
  return h(
    "ul",
    { class: "inline-list" },
    names.slice(0, 5).map((one) => h("li", {}, queueLink(vhost, one))),
    names.length > 5 && h("li", {}, `${names.length - 5} more`),
  );
}

export const deadLetters = { title: () => "Dead letters", load, draw };

// The workbench

async function loadBench(page) {
  const {
    params: { vhost, queue },
    signal,
  } = page;
  page.state.stateDefault = "all";
  const [about, found] = await Promise.all([
    get(path`/queues/${vhost}/${queue}`, { signal }),
    loadMessages(page, vhost, queue),
  ]);
  return { about, found };
}

function drawBench({ about, found }, page) {
  const { vhost, queue } = page.params;
  return [
    h(
      "p",
      { class: "crumbs" },
      link("#/dead-letters", "Dead letters"),
      " in ",
      link(to`/queues/${vhost}/${queue}`, "queue ", name(queue)),
    ),
    figures([
      ["Ready here", count(about.messages_ready)],
      ["With consumers", count(about.messages_unacknowledged)],
      [
        "Stuck",
        count(about.messages_dead_letter_pending),
        null,
        about.messages_dead_letter_pending ? "attention" : "",
      ],
      ...reasons(found.items || []),
    ]),
    browser(found, page, vhost, queue, true),
  ];
}

// Why those on this page died.
function reasons(items) {
  const counted = new Map();
  for (const { death } of items) {
    if (death) counted.set(death.reason, (counted.get(death.reason) || 0) + 1);
  }
  return [...counted].map(([reason, times]) => [
    String(reason).replaceAll("_", " "),
    count(times),
    "on this page",
  ]);
}

export const workbench = {
  title: ({ queue }) => `Dead letters in ${queue}`,
  heading: ({ queue }) => ["Dead letters in ", name(queue)],
  still: true,
  load: loadBench,
  draw: drawBench,
};
