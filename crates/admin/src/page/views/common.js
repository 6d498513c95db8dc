// What several pages need: virtual hosts to choose from, and the tools above a list.

import { get, path, perhaps, query } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { button } from "../lib/parts.js";
import { listQuery } from "../lib/table.js";

/** Names of the virtual hosts that this user may see. */
export async function vhostNames(signal) {
  const found = await perhaps("/vhosts?columns=name", { signal });
  return found?.length ? found.map((one) => one.name) : ["/"];
}

/** Where a list of one virtual host, or of all, is asked for. */
export const listPath = (kind, vhost) => (vhost ? `/${kind}` + path`/${vhost}` : `/${kind}`);

const TYPING_MS = 300;
let typing = null;

/** Choosing a virtual host and a part of a name, kept in the address. */
export function tools(page, vhosts, ...more) {
  const { query, set } = page;
  const typed = (event) => {
    clearTimeout(typing);
    const name = event.target.value;
    typing = setTimeout(() => set({ name, page: undefined }), TYPING_MS);
  };
  const chosen = (event) => set({ vhost: event.target.value, page: undefined });
  return h(
    "div",
    { class: "tools" },
    h(
      "label",
      {},
      "Name has ",
      h("input", { type: "search", value: query.name || "", oninput: typed, spellcheck: "false" }),
    ),
    vhosts &&
      vhosts.length > 1 &&
      h(
        "label",
        {},
        "Virtual host ",
        h(
          "select",
          { onchange: chosen },
          h("option", { value: "" }, "all"),
          vhosts.map((one) => h("option", { value: one, selected: one === query.vhost }, one)),
        ),
      ),
    h("span", { class: "grow" }),
    more,
  );
}

/** A form field for a virtual host. */
export const vhostField = (vhosts, chosen) => ({
  name: "vhost",
  label: "Virtual host",
  type: "choice",
  options: vhosts,
  value: chosen && vhosts.includes(chosen) ? chosen : vhosts[0],
});

// What the broker itself writes into the headers of a message: its deaths and replays.
const HISTORY = /^(x-death|x-first-death-.*|x-last-death-.*|x-ferry-replay)$/;

const picked = (headers, wanted) =>
  Object.fromEntries(Object.entries(headers || {}).filter(([key]) => HISTORY.test(key) === wanted));

/** The publisher's headers, and those of the broker. */
export const ownHeaders = (headers) => picked(headers, false);
export const historyOf = (headers) => picked(headers, true);

/** The main button of a page. */
export const add = (text, onclick) => button(text, onclick, { class: "main" });

/** A page that is asked for and not there any more is the first one. */
async function paged(page, ask) {
  try {
    return await ask(page.query.page || 1);
  } catch (error) {
    if (error.status !== 400 || !page.query.page) throw error;
    return ask(1);
  }
}

/** A page of a list, and the virtual hosts to choose from. */
export async function listed(page, where, columns) {
  const { signal } = page;
  const { asked } = listQuery(page, "name");
  const list = (number) => get(where + query({ ...asked, page: number, columns }), { signal });
  const [found, vhosts] = await Promise.all([paged(page, list), vhostNames(signal)]);
  return { found, vhosts };
}
