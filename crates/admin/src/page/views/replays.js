// Replays: how far each has come, and stopping one.

import { get, path, remove } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { count, rate, when } from "../lib/format.js";
import { now } from "../lib/later.js";
import { badge, button, empty, link, name, queueLink } from "../lib/parts.js";
import { table } from "../lib/table.js";

const KINDS = { running: "", done: "good", stopped: "warn", failed: "bad" };

async function load({ signal }) {
  const found = await get("/ferry/replays", { signal });
  return Array.isArray(found) ? found : found.items || [];
}

function progress(job) {
  const done = (job.replayed || 0) + (job.skipped || 0) + (job.failed || 0);
  const text = `${count(job.replayed)} of ${count(job.matched)}`;
  return [
    job.matched > 0 && h("progress", { value: done, max: job.matched, "aria-label": "Progress" }),
    " ",
    text,
  ];
}

function draw(jobs, page) {
  const stop = ({ job }) =>
    now(async () => {
      await remove(path`/ferry/replays/${job}`);
      return "Stopped: what was replayed stays replayed.";
    }, page.refresh);
  return table({
    caption: "Replays",
    rows: jobs,
    keyOf: (one) => one.job,
    none: empty(
      "Nothing was replayed since the node started.",
      "Open ",
      link("#/dead-letters", "Dead letters"),
      ", search, and press Replay.",
    ),
    columns: [
      { title: "Job", of: (one) => String(one.job) },
      { title: "Queue", kind: "name", of: (one) => queueLink(one.vhost, one.queue) },
      { title: "State", of: (one) => badge(one.state, KINDS[one.state]) },
      { title: "Replayed", of: progress },
      { title: "Gone before", kind: "number", of: (one) => count(one.skipped) },
      { title: "Left where they were", kind: "number", of: (one) => count(one.failed) },
      { title: "Why", kind: "wide", of: (one) => (one.error ? name(one.error) : "") },
      { title: "Rate", kind: "number", of: (one) => (one.rate ? rate(one.rate) : "no limit") },
      { title: "By", kind: "name", of: (one) => name(one.user) },
      { title: "Started", kind: "time", of: (one) => when(one.started_at) },
      {
        title: "",
        kind: "acts",
        of: (one) =>
          one.state === "running" &&
          button("Stop", () => stop(one), {
            class: "small danger",
            "aria-label": `Stop job ${one.job}`,
          }),
      },
    ],
  });
}

export const replays = { title: () => "Replays", load, draw };
