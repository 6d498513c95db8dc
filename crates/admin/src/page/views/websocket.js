// JSON over WebSocket, live: subscribe to a topic or a queue, publish, settle.
//
// Invariants
// - The connection is that of this view: who leaves it, or logs out, ends it.
// - The newest messages are shown, a bounded number of them; the others stay as they are.

import { h } from "../lib/dom.js";
import { collect, field } from "../lib/form.js";
import { badge, button, empty, facts, name, note, pairs, panel, panelWith } from "../lib/parts.js";
import { connect } from "../lib/socket.js";
import { vhostField, vhostNames } from "./common.js";

const SHOWN_MAX = 50;
const LOOK_MS = 500;

const live = { socket: null, vhost: null, said: null, kind: "", messages: [], subscribed: [] };

const PLACES = [
  ["topic", "a topic"],
  ["queue", "a queue"],
];

function say(page, kind, text) {
  Object.assign(live, { kind, said: text });
  page.redraw();
}

// Does something, and says how that went.
async function act(page, what, good) {
  try {
    say(page, "", good(await what()));
  } catch (error) {
    say(page, "warn", error.message);
  }
}

function take(page, one) {
  if (one.op === "ended") {
    live.subscribed = live.subscribed.filter(({ id }) => id !== one.subscription);
    say(page, "warn", one.text);
    return;
  }
  live.messages = [one, ...live.messages].slice(0, SHOWN_MAX);
  page.redraw();
}

// Ends the connection when the view is gone.
function look() {
  if (!live.socket) return;
  if (document.getElementById("websocket")) setTimeout(look, LOOK_MS);
  else live.socket.close();
}

function open(page, vhost) {
  const opened = async () => {
    live.socket = await connect({
      vhost,
      message: (one) => take(page, one),
      ended: (why) => {
        Object.assign(live, { socket: null, subscribed: [], messages: [] });
        say(page, "warn", why);
      },
    });
    live.vhost = vhost;
    setTimeout(look, LOOK_MS);
  };
  return act(page, opened, () => "Connected and logged in.");
}

function settle(page, one, op) {
  const settled = async () => {
    await live.socket.ask({ op, tag: one.tag });
    live.messages = live.messages.filter((other) => other !== one);
  };
  return act(page, settled, () => (op === "ack" ? "It is gone: acked." : "It was put back."));
}

function subscribe(page, { from, what }) {
  const subscribed = async () => {
    const { id } = await live.socket.ask({ op: "subscribe", [from]: what });
    live.subscribed = [...live.subscribed, { id, from, what }];
  };
  return act(page, subscribed, () => `Subscribed to the ${from}.`);
}

function unsubscribe(page, { id }) {
  const ended = async () => {
    await live.socket.ask({ op: "unsubscribe", subscription: id });
    live.subscribed = live.subscribed.filter((one) => one.id !== id);
  };
  return act(page, ended, () => "The subscription has ended.");
}

function publish(page, { to, where, body = "" }) {
  const place = to === "topic" ? { topic: where } : { key: where };
  const published = () => live.socket.ask({ op: "publish", body, ...place });
  const good = ({ routed }) => (routed ? "Published: it is safe." : "Published: nobody gets it.");
  return act(page, published, good);
}

function form(key, fields, submit, done) {
  const onsubmit = (event) => {
    event.preventDefault();
    done(collect(fields, event.target));
  };
  return h(
    "form",
    { onsubmit, keep: key },
    h("div", { class: "fields" }, fields.map(field)),
    h("div", { class: "row" }, h("button", { class: "main" }, submit)),
  );
}

function message(page, one) {
  const where = one.topic === undefined ? "Routing key" : "Topic";
  return h(
    "article",
    { class: "message" },
    facts([
      [where, name(one.topic ?? one.key)],
      ["Exchange", name(one.exchange, "(default exchange)")],
      ["Redelivered", one.redelivered ? "yes" : "no"],
      ["Properties", pairs(one.properties)],
    ]),
    h("pre", { class: "payload", tabindex: "0" }, one.body ?? one.body_base64),
    one.tag !== undefined &&
      h(
        "div",
        { class: "row" },
        button("Ack", () => settle(page, one, "ack")),
        button("Put back", () => settle(page, one, "nack")),
      ),
  );
}

function connected(page) {
  const subscription = [
    { name: "from", label: "From", type: "choice", options: PLACES },
    { name: "what", label: "Topic or queue", required: true, hint: "As in MQTT: a/+, a/#." },
  ];
  const outgoing = [
    { name: "to", label: "To", type: "choice", options: PLACES },
    { name: "where", label: "To which", required: true },
    { name: "body", label: "Body", type: "area", rows: 3 },
  ];
  return [
    panel(
      "Subscribe",
      form("subscribe", subscription, "Subscribe", (values) => subscribe(page, values)),
      live.subscribed.map((one) =>
        h(
          "p",
          { class: "row" },
          badge(one.from),
          name(one.what),
          button("End", () => unsubscribe(page, one), {
            "aria-label": `End the subscription to ${one.what}`,
          }),
        ),
      ),
    ),
    panel(
      "Publish",
      form("publish", outgoing, "Publish", (values) => publish(page, values)),
    ),
    panel(
      "Messages",
      live.messages.length
        ? live.messages.map((one) => message(page, one))
        : empty("No message has come yet."),
    ),
  ];
}

function draw(vhosts, page) {
  const { socket } = live;
  const fields = [vhostField(vhosts, live.vhost ?? undefined)];
  const title = "Connection";
  return [
    h(
      "p",
      { class: "lead", id: "websocket" },
      "What a page of your own would do with ten lines of script: JSON over WebSocket, at ",
      h("code", {}, "/ws/json"),
      ", with the log-in of this page.",
    ),
    socket
      ? panelWith(
          title,
          [button("Disconnect", () => socket.close())],
          h("p", {}, badge("open", "good"), " ", name(live.vhost)),
        )
      : panel(
          title,
          form("connect", fields, "Connect", ({ vhost }) => open(page, vhost ?? vhosts[0])),
        ),
    live.said && note(live.kind, h("p", { role: "status" }, live.said)),
    socket && connected(page),
  ];
}

export const websocket = {
  title: () => "WebSocket",
  still: true,
  load: (page) => vhostNames(page.signal),
  draw,
};
