// Shows what the API says, and asks again every two seconds while the page is seen.
// The log-in is kept in memory only: a reload asks for it again.
// Whatever a client may have chosen goes into the page by textContent, never as markup.
"use strict";

const REFRESH_MS = 2000;
const PAGE_SIZE = 100;
const ANSWER_MS_MAX = 10000;

const byId = (id) => document.getElementById(id);
const state = { authorization: null, page: 1, pageCount: 1, timer: null, turn: 0, before: null };

async function ask(path) {
  const response = await fetch("/api/" + path, {
    headers: { authorization: state.authorization },
    credentials: "omit",
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  });
  const body = await response.json();
  return { status: response.status, ok: response.ok, body };
}

async function get(path) {
  const { status, ok, body } = await ask(path);
  if (ok) return body;
  const error = new Error(body.reason || "HTTP " + status);
  error.status = status;
  throw error;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const number = (value) => (value === undefined ? "–" : value.toLocaleString("en"));

function bytes(value) {
  if (value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit + 1 < units.length) {
    value /= 1024;
    unit += 1;
  }
  return (unit ? value.toFixed(1) : value) + " " + units[unit];
}

// columns: [title, value of a row, kind]; kind is "name", "number", "extra" (left out where the
// page is narrow) or nothing.
function fill(table, columns, rows, none) {
  const head = element("tr");
  for (const [title, , kind] of columns) {
    const cell = element("th", title, kind);
    cell.scope = "col";
    head.append(cell);
  }
  const lines = rows.map((row) => {
    const line = element("tr");
    for (const [, value, kind] of columns) line.append(element("td", value(row), kind));
    return line;
  });
  if (!rows.length) {
    const cell = element("td", none, "empty");
    cell.colSpan = columns.length;
    const line = element("tr");
    line.append(cell);
    lines.push(line);
  }
  const headGroup = element("thead");
  headGroup.append(head);
  const body = element("tbody");
  body.append(...lines);
  table.replaceChildren(headGroup, body);
}

const yes = (flag) => (flag ? "yes" : "no");

const QUEUES = [
  ["Name", (q) => q.name, "name"],
  ["Virtual host", (q) => q.vhost, "name"],
  ["Type", (q) => q.type, "extra"],
  ["Durable", (q) => yes(q.durable), "extra"],
  ["Ready", (q) => number(q.messages_ready), "number"],
  ["Unacked", (q) => number(q.messages_unacknowledged), "number"],
  ["Delayed", (q) => number(q.messages_delayed), "number"],
  ["Dead letters pending", (q) => number(q.messages_dead_letter_pending), "number"],
  ["Consumers", (q) => number(q.consumers), "number"],
];

const CONNECTIONS = [
  ["From", (c) => c.name, "name"],
  ["User", (c) => c.user, "name"],
  ["Virtual host", (c) => c.vhost, "name"],
  ["Protocol", (c) => c.protocol],
];

const EXCHANGES = [
  ["Name", (x) => x.name || "(default)", "name"],
  ["Virtual host", (x) => x.vhost, "name"],
  ["Type", (x) => x.type],
  ["Durable", (x) => yes(x.durable)],
  ["Internal", (x) => yes(x.internal)],
];

const ADVICE = {
  memory:
    "Publishers wait: messages take the memory that they may have. Consumers go on, and publishers " +
    "do by themselves once there is room. Start more consumers, purge queues that nobody needs, " +
    "or raise --memory-high.",
  disk:
    "Publishers wait: the disk of the data directory is full. Consumers go on. Free space on that " +
    "disk; publishers go on by themselves within seconds.",
  deadLetters:
    "Dead letters are kept in their queues because they can not arrive where they go: the target " +
    "is full, or there is no exchange or no route. Queues show them as pending. Consume from the " +
    "target, raise its limit, or bind a queue to the dead-letter exchange.",
};

function showAlarms({ ok, body }, queued) {
  const texts = (body.alarms || []).map((alarm) => ADVICE[alarm.resource] || alarm.resource);
  if (!ok && !texts.length) {
    texts.push("This node can not store messages any more: " + body.reason + ". Restart it.");
  }
  if (queued.messages_dead_letter_pending) texts.push(ADVICE.deadLetters);
  const shown = [...byId("alarms").children].map((child) => child.textContent);
  if (shown.join() === texts.join()) return;
  byId("alarms").replaceChildren(...texts.map((text) => element("p", text, "alarm")));
}

// Per second since the last answer; a page that has just been opened does not know yet.
function rates(stats) {
  const now = { at: performance.now(), stats };
  const before = state.before;
  state.before = now;
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  return (name) => {
    if (seconds <= 0) return "–";
    const grown = stats[name] - before.stats[name];
    return grown < 0 ? "–" : number(Math.round(grown / seconds)) + "/s";
  };
}

function showOverview(overview, node) {
  const { queue_totals: queued, object_totals: objects } = overview;
  const rate = rates(overview.message_stats);
  const figures = [
    ["Ready", number(queued.messages_ready)],
    ["Unacked", number(queued.messages_unacknowledged)],
    ["Delayed", number(queued.messages_delayed)],
    ["Dead letters pending", number(queued.messages_dead_letter_pending)],
    ["Published", rate("publish")],
    ["Delivered", rate("deliver_get")],
    ["Acked", rate("ack")],
    ["Connections", number(objects.connections)],
    ["Channels", number(objects.channels)],
    ["Consumers", number(objects.consumers)],
    ["Queues", number(objects.queues)],
    ["Messages in memory", bytes(node.message_memory_used)],
    ["Publishers wait from", bytes(node.mem_limit)],
    ["Resident memory", bytes(node.mem_used)],
    ["Disk free", bytes(node.disk_free)],
  ];
  byId("figures").replaceChildren(
    ...figures.map(([name, value]) => {
      const box = element("div");
      box.append(element("dt", name), element("dd", value));
      return box;
    }),
  );
  byId("node").textContent = overview.node + ", version " + overview.product_version;
}

function showQueues(list) {
  state.pageCount = list.page_count;
  fill(byId("queues"), QUEUES, list.items, list.total_count ? "No name has that." : "No queues yet.");
  const counted = list.filtered_count === 1 ? "1 queue" : number(list.filtered_count) + " queues";
  byId("pages").textContent = `page ${list.page} of ${list.page_count}, ${counted}`;
  byId("previous").disabled = list.page <= 1;
  byId("next").disabled = list.page >= list.page_count;
}

async function getQueues() {
  const name = encodeURIComponent(byId("filter").value);
  const path = (page) => `queues?page=${page}&page_size=${PAGE_SIZE}&name=${name}`;
  try {
    return await get(path(state.page));
  } catch (error) {
    // The list has become shorter than the page that was looked at.
    if (error.status !== 400 || state.page === 1) throw error;
    state.page = 1;
    return get(path(1));
  }
}

async function refresh() {
  clearTimeout(state.timer);
  const turn = ++state.turn;
  try {
    const first = `page=1&page_size=${PAGE_SIZE}`;
    const [overview, nodes, queues, connections, exchanges, alarms] = await Promise.all([
      get("overview"),
      get("nodes"),
      getQueues(),
      get("connections?" + first),
      get("exchanges?" + first),
      ask("health/checks/alarms"),
    ]);
    if (turn !== state.turn) return;
    showOverview(overview, nodes[0]);
    showAlarms(alarms, overview.queue_totals);
    showQueues(queues);
    fill(byId("connections"), CONNECTIONS, connections.items, "Nobody is connected.");
    fill(byId("exchanges"), EXCHANGES, exchanges.items, "No exchanges.");
    byId("state").textContent = "As of " + new Date().toLocaleTimeString();
  } catch (error) {
    if (turn !== state.turn) return;
    if (error.status === 401) return logOut(error.message);
    byId("state").textContent = "No answer from the node: " + error.message;
  }
  if (!document.hidden) state.timer = setTimeout(refresh, REFRESH_MS);
}

function logOut(reason) {
  clearTimeout(state.timer);
  state.turn += 1;
  state.authorization = null;
  state.before = null;
  byId("content").hidden = true;
  byId("logout").hidden = true;
  byId("login").hidden = false;
  byId("login-error").textContent = reason || "";
  byId("state").textContent = "";
  byId("node").textContent = "";
}

async function logIn(event) {
  event.preventDefault();
  const pair = new TextEncoder().encode(byId("user").value + ":" + byId("password").value);
  state.authorization = "Basic " + btoa(String.fromCharCode(...pair));
  try {
    await get("whoami");
  } catch (error) {
    return logOut(error.message);
  }
  byId("password").value = "";
  byId("login").hidden = true;
  byId("content").hidden = false;
  byId("logout").hidden = false;
  refresh();
}

function turnPage(by) {
  state.page = Math.min(Math.max(state.page + by, 1), state.pageCount);
  refresh();
}

byId("login").addEventListener("submit", logIn);
byId("logout").addEventListener("click", () => logOut());
byId("previous").addEventListener("click", () => turnPage(-1));
byId("next").addEventListener("click", () => turnPage(1));
byId("filter").addEventListener("input", () => {
  state.page = 1;
  refresh();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && state.authorization) refresh();
});
