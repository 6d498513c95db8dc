// Publishing a message, and taking some from a queue.

import { path, post } from "../lib/api.js";
import { dialog, form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { count, exchangeInPath, exchangeName, many, said } from "../lib/format.js";
import { button, empty, facts, name, note, pairs } from "../lib/parts.js";

const TEXT = [
  "content_type",
  "content_encoding",
  "correlation_id",
  "reply_to",
  "message_id",
  "type",
  "app_id",
  "user_id",
];

/** Fields for the properties of a message. */
export function propertyFields(values = {}) {
  const text = (property) => ({
    name: property,
    label: property.replaceAll("_", " "),
    value: values[property],
  });
  return [
    {
      name: "headers",
      label: "Headers",
      type: "json",
      rows: 3,
      hint: 'A JSON object, such as {"region": "eu"}.',
      value:
        values.headers && Object.keys(values.headers).length
          ? JSON.stringify(values.headers, null, 1)
          : "",
    },
    {
      name: "persistent",
      label: "Persistent: it outlives a restart",
      type: "bool",
      value: values.delivery_mode === undefined || values.delivery_mode === 2,
    },
    {
      group: "More properties",
      fields: [
        ...TEXT.map(text),
        { name: "priority", label: "priority", type: "number", value: values.priority },
        { name: "expiration", label: "expiration (ms)", value: values.expiration },
        {
          name: "timestamp",
          label: "timestamp (Unix seconds)",
          type: "number",
          value: values.timestamp,
        },
      ],
    },
  ];
}

/** The properties of a message from a form's values. */
export function properties(values) {
  const made = { delivery_mode: values.persistent ? 2 : 1 };
  for (const key of [...TEXT, "headers", "priority", "expiration", "timestamp"]) {
    if (values[key] !== undefined) made[key] = values[key];
  }
  return made;
}

export const PAYLOAD = { name: "payload", label: "Payload", type: "area", rows: 6 };
export const ENCODING = {
  name: "encoding",
  label: "The payload above is",
  type: "choice",
  options: [
    ["string", "text"],
    ["base64", "base64: any bytes"],
  ],
};

/** A form that publishes to an exchange; `key` is the routing key to begin with. */
export function publishForm({ vhost, exchange, key = "", done }) {
  form({
    title: "Publish message",
    submit: "Publish",
    wide: true,
    intro: exchange
      ? ["To exchange ", name(exchange), "."]
      : "To the queue that the routing key names, through the default exchange.",
    fields: [
      { name: "routing_key", label: "Routing key", value: key },
      PAYLOAD,
      ENCODING,
      {
        name: "delay",
        label: "Deliver it in (ms)",
        type: "number",
        hint: "Left empty, it is ready at once.",
      },
      ...propertyFields(),
    ],
    act: async (values) => {
      const props = properties(values);
      if (values.delay) props.headers = { ...props.headers, "x-delay": values.delay };
      const answer = await post(path`/exchanges/${vhost}/${exchangeInPath(exchange)}/publish`, {
        properties: props,
        routing_key: values.routing_key ?? "",
        payload: values.payload ?? "",
        payload_encoding: values.encoding,
      });
      if (answer?.routed === false) {
        throw new Error(
          "No queue got it: nothing is bound to " +
            `${exchangeName(exchange)} for that routing key.`,
        );
      }
      return "Published: a queue has it.";
    },
    done,
  });
}

const ACKS = [
  ["ack_requeue_true", "put back, marked as redelivered"],
  ["ack_requeue_false", "gone: acked"],
  ["reject_requeue_false", "dead letters: rejected"],
  ["reject_requeue_true", "put back by a reject"],
];

/** Takes messages as a consumer would; what then happens to them is the reader's choice. */
export function takeForm({ vhost, queue, done }) {
  form({
    title: "Take messages",
    submit: "Take",
    intro: "As a consumer does. To look without leaving a mark, use the message browser.",
    fields: [
      { name: "count", label: "How many", type: "number", value: 1, required: true },
      { name: "ackmode", label: "Afterwards they are", type: "choice", options: ACKS },
    ],
    act: async ({ count: wanted, ackmode }) => {
      const taken = await post(path`/queues/${vhost}/${queue}/get`, {
        count: wanted,
        ackmode,
        encoding: "auto",
        truncate: 50000,
      });
      show(queue, taken, ackmode);
    },
    done,
  });
}

function show(queue, taken, ackmode) {
  dialog(
    "Taken messages",
    (close) => [
      taken.length
        ? note(
            "",
            `${many(taken.length, "message")} of ${said(queue)}: ` +
              ACKS.find(([key]) => key === ackmode)[1] +
              ".",
          )
        : empty("The queue has no ready message."),
      taken.map((one) =>
        h(
          "article",
          { class: "message" },
          facts([
            ["Exchange", name(exchangeName(one.exchange))],
            ["Routing key", name(one.routing_key)],
            ["Redelivered", one.redelivered ? "yes" : "no"],
            ["Left behind it", count(one.message_count)],
            ["Properties", pairs(one.properties)],
          ]),
          h("pre", { class: "payload", tabindex: "0" }, one.payload),
        ),
      ),
      h("div", { class: "row end" }, button("Close", close)),
    ],
    { wide: true },
  );
}
