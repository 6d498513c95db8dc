// The way of one message, by its id.

import { get, path } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { inline, time } from "../lib/format.js";
import { collect, field } from "../lib/form.js";
import { badge, empty, name, note, queueLink } from "../lib/parts.js";
import { vhostField, vhostNames } from "./common.js";

async function load(page) {
  const {
    query: { vhost, id },
    signal,
  } = page;
  const vhosts = await vhostNames(signal);
  if (!id) return { vhosts };
  try {
    const hops = await get(path`/ferry/passport/${vhost || vhosts[0]}/${id}`, { signal });
    return { vhosts, hops };
  } catch (error) {
    if (error.status !== 404) throw error;
    return { vhosts, missing: error.message };
  }
}

const GOOD = ["acked", "entered", "published"];
const BAD = ["refused", "dropped", "dead_lettered", "lease_expired", "rejected"];
const kindOf = (what) => (GOOD.includes(what) ? "good" : BAD.includes(what) ? "warn" : "");

function draw({ vhosts, hops, missing }, page) {
  const { query: asked } = page;
  const fields = [
    vhostField(vhosts, asked.vhost),
    { name: "id", label: "Message id", value: asked.id, required: true },
  ];
  const onsubmit = (event) => {
    event.preventDefault();
    page.set(collect(fields, event.target));
  };
  return [
    h(
      "p",
      { class: "lead" },
      "Who published a message, which bindings it went by, what each queue and ",
      "consumer did with it, and when. Noted for queues with the setting passport.",
    ),
    h(
      "form",
      {
        class: "search panel",
        onsubmit,
        keep: `passport ${asked.vhost} ${asked.id}`,
        role: "search",
      },
      fields.map(field),
      h("div", { class: "row" }, h("button", { class: "main" }, "Find")),
    ),
    missing && note("warn", missing),
    hops && way(hops, asked.vhost || vhosts[0]),
    !asked.id && empty("Give the message id that the publisher set."),
  ];
}

function way(hops, vhost) {
  const start = hops[0]?.time;
  return h(
    "ol",
    { class: "way" },
    hops.map(({ time: at, what, queue, ...more }) =>
      h(
        "li",
        {},
        h("time", {}, time(at), at > start ? h("small", {}, ` +${at - start} ms`) : null),
        h(
          "div",
          {},
          badge(String(what).replaceAll("_", " "), kindOf(what)),
          queue !== undefined && [" ", queueLink(vhost, queue)],
          h(
            "dl",
            { class: "pairs" },
            Object.entries(more).map(([key, value]) =>
              h("div", {}, h("dt", {}, key.replaceAll("_", " ")), h("dd", {}, name(inline(value)))),
            ),
          ),
        ),
      ),
    ),
  );
}

export const passport = { title: () => "Passport", still: true, load, draw };
