// Tables: sorted by their headings, and a card for each row where the page is narrow.
//
// columns: [{ title, of: row => content, kind: "number" | "name" | "acts", sort: "field" }]

import { h } from "./dom.js";
import { empty } from "./parts.js";

/**
 * `sorting` is { field, reverse, set(field, reverse) }; `keyOf` says which row is which.
 */
export function table({ caption, columns, rows, none, sorting, keyOf, chosen }) {
  const shown = columns.filter(Boolean);
  if (!rows.length && none) return typeof none === "string" ? empty(none) : none;
  // Roles are said again, since a table that is laid out as cards would lose them.
  const head = h(
    "tr",
    { role: "row" },
    shown.map((column) => heading(column, sorting)),
  );
  const body = rows.map((row) =>
    h(
      "tr",
      { role: "row", key: keyOf?.(row), class: chosen?.(row) ? "chosen" : null },
      shown.map((column, index) => cell(column, row, index)),
    ),
  );
  return h(
    "div",
    { class: "tabled" },
    sorting && narrowSorting(shown, sorting),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      h(
        "table",
        { role: "table" },
        h("caption", { class: "unseen" }, caption),
        h("thead", { role: "rowgroup" }, head),
        h("tbody", { role: "rowgroup" }, body),
      ),
    ),
  );
}

function cell(column, row, index) {
  const { title, kind, of } = column;
  // The first cell names the row.
  const header = index === 0 && kind !== "acts" && kind !== "check";
  return h(
    header ? "th" : "td",
    {
      role: header ? "rowheader" : "cell",
      scope: header ? "row" : null,
      class: kind || null,
      "data-label": title || null,
    },
    of(row),
  );
}

function heading(column, sorting) {
  const { title, kind, sort } = column;
  const by = sorting && sort && sorting.field === sort;
  const order = by ? (sorting.reverse ? "descending" : "ascending") : null;
  const content =
    sorting && sort
      ? h(
          "button",
          { type: "button", class: "sort", onclick: () => turn(sorting, column) },
          title,
          h("span", { "aria-hidden": "true" }, by ? (sorting.reverse ? " ▾" : " ▴") : ""),
        )
      : title || h("span", { class: "unseen" }, kind === "acts" ? "Actions" : "Choose");
  return h(
    "th",
    { role: "columnheader", scope: "col", class: kind || null, "aria-sort": order },
    content,
  );
}

// Figures start with the largest, names with the first.
function turn(sorting, { sort, kind }) {
  const reverse = sorting.field === sort ? !sorting.reverse : kind === "number";
  sorting.set(sort, reverse);
}

function narrowSorting(columns, sorting) {
  const sortable = columns.filter((column) => column.sort);
  const choose = (event) => {
    const column = sortable.find(({ sort }) => sort === event.target.value);
    if (column) sorting.set(column.sort, column.kind === "number");
  };
  return h(
    "label",
    { class: "only-narrow" },
    "Sort by ",
    h(
      "select",
      { onchange: choose },
      sortable.map(({ title, sort }) =>
        h("option", { value: sort, selected: sort === sorting.field }, title),
      ),
    ),
  );
}

/** How a list is asked for, kept in the page's address. */
export function listQuery(page, sort, reverse = false) {
  const { query } = page;
  const field = query.sort || sort;
  return {
    asked: {
      page: query.page || 1,
      page_size: 100,
      name: query.name,
      use_regex: "false",
      sort: field,
      sort_reverse: String(query.reverse ? query.reverse === "true" : reverse),
    },
    sorting: {
      field,
      reverse: query.reverse ? query.reverse === "true" : reverse,
      set: (to, back) => page.set({ sort: to, reverse: String(back), page: undefined }),
    },
  };
}
