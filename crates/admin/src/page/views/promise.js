// What a confirm means where it means less than synced to the disk: said in red.

import { h } from "../lib/dom.js";
import { badge, note } from "../lib/parts.js";

// By the value of the setting `sync` and the argument `x-sync`. What is not here is safe.
const WEAKER = {
  written: {
    short: "confirmed when written",
    means: "Confirms do not wait for the disk: a loss of power may lose confirmed messages.",
  },
  memory: {
    short: "confirmed in memory",
    means: "Confirms wait for nothing: confirmed messages are lost when the node ends.",
  },
};

// What comes from elsewhere is no name of a property.
const weaker = (sync) => (Object.hasOwn(WEAKER, sync) ? WEAKER[sync] : undefined);

/** For a list of queues: nothing where a confirm means synced. */
export function weakBadge({ sync }) {
  const found = weaker(sync);
  return found && badge(found.short, "bad", found.means);
}

/** For the page of a queue: what it means, where that comes from, and the way out. */
export function weakQueue({ sync, arguments: given }) {
  const found = weaker(sync);
  if (!found) return null;
  const asked = given?.["x-sync"] !== undefined;
  return h(
    "section",
    { key: "promise", "aria-label": "What a confirm means" },
    note(
      "bad",
      h("p", {}, badge(found.short, "bad"), h("b", {}, found.means)),
      h(
        "p",
        {},
        asked
          ? `Its declaration asks for it, with x-sync: ${sync}; `
          : "The node's setting sync was weaker when it was declared; ",
        "to have more, delete it and declare it with x-sync: sync.",
      ),
    ),
  );
}

/** For pages about the node: what its setting means for queues that do not say. */
export function weakNode(sync) {
  const found = weaker(sync);
  if (!found) return null;
  return h(
    "div",
    { role: "alert", key: "promise" },
    note(
      "bad",
      h("p", {}, badge(`sync = "${sync}"`, "bad"), h("b", {}, found.means)),
      h(
        "p",
        {},
        'Start the node with sync = "sync" for the queues that are declared then; those that ' +
          "are there keep what they have, and say so in the list.",
      ),
    ),
  );
}

const WAITS = {
  sync: "the disk (sync)",
  written: "the write to the file (written)",
  memory: "nothing (memory)",
};

/** What a confirm of a persistent message waits for, on one line. */
export const confirmWaits = ({ sync }) =>
  sync === undefined ? undefined : (WAITS[sync] ?? "nothing: it is gone after a restart");
