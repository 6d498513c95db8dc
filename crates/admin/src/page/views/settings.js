// What can be set of a queue, as fields with an explanation; the same for policies.
//
// The last word of a setting says who else may make it: "operator" an operator policy, too;
// "declare" the declaration of a queue alone.

const choice = (options) => ({ type: "choice", options });
const flag = choice([
  ["", "not set"],
  ["true", "yes"],
  ["false", "no"],
]);
const NUMBER = { type: "number" };

const GROUPS = [
  [
    "Limits",
    "How much the queue may hold, and what happens beyond.",
    [
      [
        "x-max-length",
        "Most messages",
        "Ready messages that the queue holds at most.",
        NUMBER,
        "operator",
      ],
      [
        "x-max-length-bytes",
        "Most bytes",
        "Bytes of bodies that it holds at most.",
        NUMBER,
        "operator",
      ],
      [
        "x-overflow",
        "When it is full",
        "Drop the oldest message, or refuse new ones: publishers are told by a nack.",
        choice([
          ["", "not set: drop the oldest"],
          "drop-head",
          "reject-publish",
          "reject-publish-dlx",
        ]),
      ],
      [
        "x-max-priority",
        "Priorities",
        "Highest priority, 1 to 255. Messages with more of it go first.",
        NUMBER,
        "declare",
      ],
    ],
  ],
  [
    "Time",
    "When messages and the queue itself end.",
    [
      [
        "x-message-ttl",
        "Messages live for (ms)",
        "Then they are dead letters, or dropped.",
        NUMBER,
        "operator",
      ],
      [
        "x-expires",
        "Unused queue lives for (ms)",
        "Without consumers and declarations it is deleted then.",
        NUMBER,
        "operator",
      ],
    ],
  ],
  [
    "Dead letters",
    "Where messages go that expire, do not fit, or are given up.",
    [
      [
        "x-dead-letter-exchange",
        "Exchange",
        "Leave the name out and give a routing key to go straight to the queue of that name.",
      ],
      ["x-dead-letter-routing-key", "Routing key", "Otherwise a message keeps its own."],
      [
        "x-dead-letter-strategy",
        "If the target is full",
        "at-least-once keeps them until they arrive, at-most-once drops them; not set, durable " +
          "queues keep them.",
        choice(["", "at-least-once", "at-most-once"]),
      ],
    ],
  ],
  [
    "Retries",
    "How often a message is tried, and how long it waits in between.",
    [
      ["x-retry-limit", "Tries", "After so many the message is a dead letter.", NUMBER, "operator"],
      ["x-retry-delay", "First wait (ms)", "Before it is tried a second time.", NUMBER],
      [
        "x-retry-factor",
        "Factor",
        "Each wait is so many times the one before: 2 if not set.",
        NUMBER,
      ],
      ["x-retry-max-delay", "Longest wait (ms)", "No wait is longer.", NUMBER],
      [
        "x-retry-jitter",
        "Jitter (percent)",
        "By so much a wait is longer or shorter: 10 if not set.",
        NUMBER,
      ],
      [
        "x-delivery-limit",
        "Delivery limit",
        "RabbitMQ's name: how often a message may come back.",
        NUMBER,
        "operator",
      ],
    ],
  ],
  [
    "Leases",
    "How long a consumer may take over a message.",
    [
      [
        "x-lease-timeout",
        "Lease (ms)",
        "Not settled by then, the message is ready for others.",
        NUMBER,
        "operator",
      ],
      [
        "x-single-active-consumer",
        "One consumer at a time",
        "The others wait until it goes.",
        flag,
        "declare",
      ],
    ],
  ],
  [
    "Order per key",
    "Messages with the same key stay in order, over many consumers.",
    [
      ["x-shards", "Shards", "2 to 1024; some ten times as many as consumers.", NUMBER],
      ["x-shard-key-header", "Header with the key", "Otherwise the header x-shard-key."],
    ],
  ],
  [
    "Duplicates",
    "Messages with an id that was seen before are dropped.",
    [
      [
        "x-message-deduplication",
        "Drop duplicates",
        "By the header x-deduplication-header or the message id.",
        flag,
      ],
      ["x-cache-size", "Ids remembered", "The oldest are forgotten beyond so many.", NUMBER],
      ["x-cache-ttl", "Remembered for (ms)", "Then an id counts as new again.", NUMBER],
    ],
  ],
  [
    "Rates",
    "How much may pass in a second; what comes faster waits, nothing is refused.",
    [
      ["x-publish-rate", "Published per second", "Messages.", NUMBER, "operator"],
      ["x-publish-byte-rate", "Published bytes per second", "Bytes of bodies.", NUMBER, "operator"],
      ["x-deliver-rate", "Delivered per second", "Messages.", NUMBER, "operator"],
      ["x-deliver-byte-rate", "Delivered bytes per second", "Bytes of bodies.", NUMBER, "operator"],
    ],
  ],
  [
    "Streams",
    "For queues of type stream, which keep what was read.",
    [
      ["x-max-age", "Keep for", "A number and a unit, Y M D h m s: 7D."],
      ["x-stream-max-segment-size-bytes", "Segment (bytes)", "What is dropped at once.", NUMBER],
    ],
  ],
  [
    "Watching and safety",
    "What is noted of each message, and when it is safe.",
    [
      ["x-passport", "Note the way of each message", "By its message id: see Passport.", flag],
      [
        "x-sync",
        "A message is safe when it is",
        "on the disk (sync), handed to the system (written), or in memory.",
        choice(["", "sync", "written", "memory"]),
        "declare",
      ],
    ],
  ],
];

function asField([key, label, hint, kind = {}], prefix, values) {
  const name = prefix ? key : key.slice(2);
  const value = values[name];
  return {
    name,
    label,
    hint: `${hint} (${name})`,
    ...kind,
    value: value === undefined ? "" : String(value),
  };
}

function grouped(values, prefix, wanted) {
  return GROUPS.map(([group, hint, settings]) => {
    const fields = settings.filter(wanted).map((one) => asField(one, prefix, values));
    return { group, hint, fields, open: fields.some((one) => one.value !== "") };
  }).filter(({ fields }) => fields.length);
}

/** Fields for the arguments of a queue. */
export const queueFields = (values = {}) => grouped(values, true, () => true);

/** Fields for the definition of a policy, of users or of operators. */
export function policyFields(values = {}, operator = false) {
  return grouped(values, false, (one) => (operator ? one[4] === "operator" : one[4] !== "declare"));
}

const FLAGS = new Set(["x-single-active-consumer", "x-message-deduplication", "x-passport"]);

/** Takes the settings out of a form's values: [settings, the rest]. */
export function split(values, prefix) {
  const names = new Set(
    GROUPS.flatMap(([, , settings]) => settings.map(([key]) => (prefix ? key : key.slice(2)))),
  );
  const settings = {},
    rest = {};
  for (const [key, value] of Object.entries(values)) {
    if (!names.has(key)) rest[key] = value;
    else if (value !== "" && value !== undefined) {
      settings[key] = FLAGS.has(prefix ? key : "x-" + key) ? value === "true" : value;
    }
  }
  // A routing key alone means: straight to the queue of that name.
  const at = prefix ? "x-" : "";
  if (settings[at + "dead-letter-routing-key"] && !settings[at + "dead-letter-exchange"]) {
    settings[at + "dead-letter-exchange"] = "";
  }
  return [settings, rest];
}
