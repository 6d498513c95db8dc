// Bindings of a queue or an exchange: a list, adding one, and taking one away.

import { path, post, remove } from "../lib/api.js";
import { form } from "../lib/dialog.js";
import { exchangeInPath, said } from "../lib/format.js";
import { later } from "../lib/later.js";
import { button, empty, exchangeLink, name, pairs, panelWith, queueLink } from "../lib/parts.js";
import { table } from "../lib/table.js";

const destination = (one) =>
  one.destination_type === "exchange"
    ? exchangeLink(one.vhost, one.destination)
    : queueLink(one.vhost, one.destination);

/** `of` is "queue", "source" or "destination": what the list is about, and so leaves out. */
export function bindings({ vhost, list, of, page, add, title = "Bindings" }) {
  const own = (list || []).filter((one) => one.source !== "");
  return panelWith(
    title,
    add && button("Add binding", add),
    list === undefined
      ? empty("Bindings are not shown to this user.")
      : table({
          caption: title,
          rows: own,
          keyOf: idOf,
          none:
            of === "queue"
              ? empty(
                  "No exchange leads here. Messages come by the default exchange, with the name " +
                    "of the queue as routing key.",
                )
              : empty("Nothing yet."),
          columns: [
            of === "source"
              ? { title: "To", kind: "name", of: destination }
              : { title: "From", kind: "name", of: (one) => exchangeLink(vhost, one.source) },
            { title: "Routing key", kind: "name", of: (one) => name(one.routing_key) },
            { title: "Arguments", of: (one) => pairs(one.arguments) },
            {
              title: "",
              kind: "acts",
              of: (one) =>
                button("Unbind", () => unbind(one, page), {
                  class: "small danger",
                  "aria-label": `Unbind ${one.source} from ${one.destination}`,
                }),
            },
          ],
        }),
  );
}

const idOf = (one) =>
  JSON.stringify([one.source, one.destination_type, one.destination, one.properties_key]);

const between = ({ vhost, source, destination_type: kind, destination: target }) =>
  path`/bindings/${vhost}/e/${exchangeInPath(source)}/${kind[0]}/${target}`;

function unbind(one, page) {
  later(
    `Unbinding ${said(one.destination)} from ${said(one.source)}.`,
    async () => {
      await remove(between(one) + path`/${one.properties_key}`);
      return "Unbound.";
    },
    page.refresh,
  );
}

const KEY = {
  name: "routing_key",
  label: "Routing key",
  hint: "A topic exchange takes patterns: * is one word, # any number of words.",
};
const MORE = {
  group: "Arguments and filter",
  fields: [
    {
      name: "filter",
      label: "Filter",
      hint: "Only messages for which this is true: amount > 500 AND region = 'eu' (x-filter)",
    },
    {
      name: "arguments",
      label: "Arguments",
      type: "json",
      rows: 3,
      hint: "A JSON object; a headers exchange matches these, with x-match for all or any.",
    },
  ],
};

async function bind(
  vhost,
  source,
  kind,
  target,
  { routing_key: key = "", filter, arguments: given },
) {
  const all = filter ? { ...given, "x-filter": filter } : given;
  await post(between({ vhost, source, destination_type: kind, destination: target }), {
    routing_key: key,
    arguments: all || {},
  });
  return `${said(target)} is bound to ${said(source)}.`;
}

/** Binds a queue to an exchange that the reader names. */
export function bindQueue(queue, page) {
  form({
    title: "Add binding",
    submit: "Bind",
    intro: ["Which messages come to queue ", name(queue.name), "?"],
    fields: [{ name: "source", label: "From exchange", required: true }, KEY, MORE],
    act: (values) => bind(queue.vhost, values.source, "queue", queue.name, values),
    done: page.refresh,
  });
}

/** Binds something that the reader names to an exchange. */
export function bindTo(exchange, page) {
  form({
    title: "Add binding",
    submit: "Bind",
    intro: ["Where do messages of exchange ", name(exchange.name), " go?"],
    fields: [
      {
        name: "kind",
        label: "To",
        type: "choice",
        options: [
          ["queue", "a queue"],
          ["exchange", "an exchange"],
        ],
      },
      { name: "target", label: "Its name", required: true },
      KEY,
      MORE,
    ],
    act: (values) => bind(exchange.vhost, exchange.name, values.kind, values.target, values),
    done: page.refresh,
  });
}
