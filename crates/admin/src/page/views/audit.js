// Who did what by HTTP: the last acts, newest first.

import { get } from "../lib/api.js";
import { when } from "../lib/format.js";
import { badge, empty, name } from "../lib/parts.js";
import { table } from "../lib/table.js";

async function load({ signal }) {
  const found = await get("/ferry/audit?limit=200", { signal });
  return Array.isArray(found) ? found : found.items || [];
}

const kindOf = (status) => (status < 300 ? "good" : status < 500 ? "warn" : "bad");

function draw(acts) {
  return table({
    caption: "Acts, the newest first",
    rows: acts,
    none: empty("Nobody has changed anything by HTTP since the node started."),
    columns: [
      { title: "When", kind: "time", of: (one) => when(one.at) },
      { title: "User", kind: "name", of: (one) => name(one.user) },
      { title: "From", kind: "name", of: (one) => name(one.address) },
      { title: "Act", of: (one) => one.method ?? one.act ?? "" },
      { title: "Path", kind: "name", of: (one) => name(one.path ?? one.queue) },
      {
        title: "Answer",
        of: (one) => (one.status ? badge(String(one.status), kindOf(one.status)) : ""),
      },
    ],
  });
}

export const audit = { title: () => "Audit", load, draw };
