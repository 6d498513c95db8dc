// The small parts that every page is put together from.

import { h } from "./dom.js";
import { DASH, count, many } from "./format.js";

/** A name that a client chose: shown as it is, whatever way its script runs. */
export function name(text, fallback = "(empty)") {
  if (text === undefined || text === null) return DASH;
  if (text === "") return h("span", { class: "quiet" }, fallback);
  return h("bdi", { class: "name", title: text.length > 60 ? text : null }, text);
}

/** Where a page is, in the address: to`/queues/${vhost}/${name}`. */
export function to(strings, ...values) {
  return (
    "#" + strings.reduce((made, part, index) => made + encodeURIComponent(values[index - 1]) + part)
  );
}

export const link = (href, ...content) => h("a", { href }, ...content);

export const queueLink = (vhost, queue) => link(to`/queues/${vhost}/${queue}`, name(queue));

export function exchangeLink(vhost, exchange) {
  const shown = exchange ? name(exchange) : h("span", { class: "name" }, "(default exchange)");
  return link(to`/exchanges/${vhost}/${exchange || "amq.default"}`, shown);
}

export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

/** One block of a page, under its own heading. */
export function panel(title, ...content) {
  return h(
    "section",
    { class: "panel", key: "panel " + title },
    title && h("h2", {}, title),
    ...content,
  );
}

/** A panel with buttons beside its heading. */
export function panelWith(title, buttons, ...content) {
  return h(
    "section",
    { class: "panel", key: "panel " + title },
    h("div", { class: "panel-head" }, h("h2", {}, title), h("div", { class: "row" }, buttons)),
    ...content,
  );
}

/** Figures side by side: [[title, value, hint, kind]]. */
export function figures(list) {
  const boxes = list
    .filter(Boolean)
    .map(([title, value, hint, kind]) =>
      h(
        "div",
        { class: kind ? "figure " + kind : "figure" },
        h("dt", {}, title),
        h("dd", {}, value, hint && h("small", {}, hint)),
      ),
    );
  return h("dl", { class: "figures" }, boxes);
}

/** Facts below each other: [[title, value]]; what is undefined is left out. */
export function facts(list) {
  const pairs = list.filter((pair) => pair && pair[1] !== undefined);
  return h(
    "dl",
    { class: "facts" },
    pairs.map(([title, value]) => h("div", {}, h("dt", {}, title), h("dd", {}, value))),
  );
}

export const badge = (text, kind = "", title = null) =>
  h("span", { class: ("badge " + kind).trim(), title }, text);

/** Something to be read: kind is "warn", "bad", "good" or nothing. */
export function note(kind, ...content) {
  return h("div", { class: ("note " + kind).trim() }, ...content);
}

/** What to do where there is nothing yet. */
export function empty(text, ...next) {
  return h("div", { class: "empty" }, h("p", {}, text), next.length ? h("p", {}, ...next) : null);
}

/** A bar that says how much of something is used. */
export function meter(label, used, of, text, limit) {
  const shown = Number.isFinite(used) && Number.isFinite(of) && of > 0;
  return h(
    "div",
    { class: "meter" },
    h("span", { class: "meter-label" }, label),
    shown &&
      h("progress", {
        value: Math.min(used, of),
        max: of,
        "aria-label": label,
        class: limit && used >= limit ? "over" : null,
      }),
    h("span", { class: "meter-text" }, text),
  );
}

/** A table of arguments or headers. */
export function pairs(object, none = "none") {
  const entries = Object.entries(object || {});
  if (!entries.length) return h("span", { class: "quiet" }, none);
  return h(
    "dl",
    { class: "pairs" },
    entries.map(([key, value]) =>
      h(
        "div",
        {},
        h("dt", {}, name(key)),
        h(
          "dd",
          {},
          typeof value === "object" && value !== null
            ? h("code", {}, JSON.stringify(value))
            : name(String(value)),
        ),
      ),
    ),
  );
}

/** Tabs as links, so that each has an address. */
export function tabs(list, chosen) {
  return h(
    "nav",
    { class: "tabs", "aria-label": "Parts of this page" },
    list.map(([href, title, number]) =>
      h(
        "a",
        { href, "aria-current": title === chosen ? "page" : null },
        title,
        number ? h("span", { class: "tab-count" }, count(number)) : null,
      ),
    ),
  );
}

/** Which part of a list is shown, and the way to the others. */
export function pager(list, one, go) {
  if (!list || list.page === undefined) return null;
  const { page, page_count: pages, filtered_count: found, total_count: total } = list;
  const text = found === total ? many(total, one) : `${count(found)} of ${many(total, one)}`;
  return h(
    "div",
    { class: "pager" },
    h("span", {}, text),
    pages > 1 && [
      button("Previous", () => go(page - 1), { disabled: page <= 1 }),
      h("span", {}, `page ${count(page)} of ${count(pages)}`),
      button("Next", () => go(page + 1), { disabled: page >= pages }),
    ],
  );
}
