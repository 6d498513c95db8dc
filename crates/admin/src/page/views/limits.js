// Limits and rates of a user or a virtual host.

import { path, put, remove } from "../lib/api.js";
import { form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { now } from "../lib/later.js";
import { button, empty, panelWith } from "../lib/parts.js";
import { table } from "../lib/table.js";

const RATES = [
  ["publish-rate", "messages published a second, by all together"],
  ["publish-byte-rate", "bytes published a second, by all together"],
  ["deliver-rate", "messages delivered a second, to all together"],
  ["deliver-byte-rate", "bytes delivered a second, to all together"],
  ["connection-publish-rate", "messages published a second, by each connection"],
  ["connection-publish-byte-rate", "bytes published a second, by each connection"],
  ["connection-deliver-rate", "messages delivered a second, to each connection"],
  ["connection-deliver-byte-rate", "bytes delivered a second, to each connection"],
];
const OF = {
  user: [
    ["max-connections", "connections at a time"],
    ["max-channels", "channels at a time"],
    ...RATES,
  ],
  vhost: [["max-connections", "connections at a time"], ["max-queues", "queues"], ...RATES],
};

// The API answers with a list of { value: {...} }, or of one object without a list.
function valuesOf(found) {
  const first = Array.isArray(found) ? found[0] : found;
  return Object.entries(first?.value || {});
}

/** What is set for `whose` ("user" or "vhost") at a path of the API, and setting more. */
export function limitsPanel(where, found, whose, page) {
  const set = () =>
    form({
      title: "Set limit",
      submit: "Set limit",
      done: page.refresh,
      fields: [
        {
          name: "limit",
          label: "What is limited",
          type: "choice",
          options: OF[whose].map(([key, text]) => [key, `${key}: ${text}`]),
        },
        {
          name: "value",
          label: "To",
          type: "number",
          required: true,
          hint: "Below 0 is no limit.",
        },
      ],
      act: async ({ limit, value }) => {
        await put(where + path`/${limit}`, { value });
        return "The limit is set; it counts at once.";
      },
    });
  const clear = (limit) =>
    now(async () => {
      await remove(where + path`/${limit}`);
      return "The limit is gone.";
    }, page.refresh);
  return panelWith(
    "Limits",
    button("Set limit", set),
    h("p", { class: "hint" }, "What comes faster than a rate waits; nothing of it is refused."),
    table({
      caption: "Limits",
      rows: valuesOf(found),
      keyOf: ([limit]) => limit,
      none: empty("No limits."),
      columns: [
        { title: "Limit", kind: "name", of: ([limit]) => limit },
        { title: "Value", kind: "number", of: ([, value]) => count(value) },
        {
          title: "",
          kind: "acts",
          of: ([limit]) =>
            button("Clear", () => clear(limit), {
              class: "small danger",
              "aria-label": `Clear ${limit}`,
            }),
        },
      ],
    }),
  );
}
