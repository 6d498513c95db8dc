// Where applications and programs find the node by HTTP.

import { BASE } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { link, panel } from "../lib/parts.js";

const code = (text) => h("pre", { class: "payload", tabindex: "0" }, text);

function draw() {
  const node = BASE.href.replace(/\/$/, "");
  return [
    panel(
      "Publish by HTTP",
      h("p", {}, "Answered with 201 when it is on the disk, or as safe as its queue asks for."),
      code(
        `curl -u USER -H 'Content-Type: text/plain' --data 'two ferries' \\\n` +
          `  '${node}/api/ferry/publish/%2F/EXCHANGE?routing_key=orders'`,
      ),
    ),
    panel(
      "Take, work, settle",
      h("p", {}, "A lease waits up to wait_ms for a message; settle it before its time is over."),
      code(
        `curl -u USER -H 'Content-Type: application/json' \\\n` +
          `  --data '{"max": 10, "wait_ms": 30000}' '${node}/api/ferry/lease/%2F/orders'\n\n` +
          `curl -u USER -H 'Content-Type: application/json' \\\n` +
          `  --data '{"leases": [{"lease": "LEASE", "outcome": "accept"}]}' \\\n` +
          `  '${node}/api/ferry/settle/%2F/orders'`,
      ),
    ),
    panel(
      "Subscribe",
      h("p", {}, "Server-sent events, one for each message."),
      code(`curl -u USER -N '${node}/api/ferry/subscribe/%2F/orders?ack=auto'`),
    ),
    panel(
      "For programs",
      h(
        "ul",
        {},
        h(
          "li",
          {},
          link("api/ferry/openapi.json", "OpenAPI document"),
          " of all paths below /api/ferry",
        ),
        h(
          "li",
          {},
          link("metrics", "/metrics"),
          " for Prometheus, ",
          link("metrics/per-object", "each queue by itself"),
        ),
        h(
          "li",
          {},
          link("health/ready", "/health/ready"),
          " and ",
          link("health/live", "/health/live"),
          " for load balancers",
        ),
        h(
          "li",
          {},
          "The management API below /api is RabbitMQ's: ",
          h("code", {}, "rabbitmqadmin"),
          " works with it.",
        ),
      ),
    ),
    panel(
      "Keys on this page",
      h(
        "p",
        {},
        "Everything is a link, a button or a field: Tab goes on, Enter opens, Escape closes ",
        "a dialog. Pause, at the top, makes the figures stand still.",
      ),
    ),
  ];
}

export const help = { title: () => "HTTP and help", still: true, load: async () => null, draw };
