// JSON over WebSocket: requests with an id and a promise, messages with a handler.
//
// Invariants
// - Every request is answered: when the connection ends, those that wait are refused.
// - The log-in is the one of this page, and goes to this origin only.

import { BASE, credentials } from "./api.js";

/** Connects and logs in; `message` gets what is subscribed to, `ended` the reason of the end. */
export async function connect({ vhost, message, ended }) {
  const at = new URL("ws/json", BASE).href.replace(/^http/, "ws");
  const socket = new WebSocket(at, "ferrymq.json");
  const waiting = new Map();
  let last = 0;

  const ask = (request) =>
    new Promise((done, refused) => {
      if (socket.readyState !== WebSocket.OPEN) {
        refused(new Error("there is no connection"));
        return;
      }
      const id = (last += 1);
      waiting.set(id, { done, refused });
      socket.send(JSON.stringify({ ...request, id }));
    });

  socket.onmessage = ({ data }) => {
    const said = JSON.parse(data);
    if (said.op === "message" || said.op === "ended") {
      message(said);
      return;
    }
    const asked = waiting.get(said.id);
    waiting.delete(said.id);
    if (said.op === "ok") asked?.done(said);
    else asked?.refused(new Error(said.text));
  };
  socket.onclose = ({ reason, code }) => {
    const why = reason || `the connection was closed (${code})`;
    for (const { refused } of waiting.values()) refused(new Error(why));
    waiting.clear();
    ended(why);
  };
  await new Promise((done, refused) => {
    socket.onopen = done;
    socket.onerror = () => refused(new Error("the node does not answer by WebSocket"));
  });
  await ask({ op: "login", vhost, ...credentials() });
  return { ask, close: () => socket.close(1000) };
}
