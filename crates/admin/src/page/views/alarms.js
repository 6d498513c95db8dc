// What is wrong with the node, and what to do about it.

import { h } from "../lib/dom.js";
import { bytes, many, span } from "../lib/format.js";
import { link, note } from "../lib/parts.js";

/** Of the node's own list of alarms or, if it has none, of the figures that say so. */
export function alarms({ told, node, queued }) {
  const found = Array.isArray(told) ? told.map(fromNode) : fromFigures(node);
  if (
    queued?.messages_dead_letter_pending &&
    !found.some((one) => /dead.?letter/i.test(one.name))
  ) {
    found.push({
      name: "dead letters",
      text:
        many(queued.messages_dead_letter_pending, "dead letter") +
        " can not arrive where they go: the target is full, or there is no exchange or no route.",
      advice: [
        "They stay in the queue where they died. Look at them under ",
        link("#/dead-letters", "Dead letters"),
        "; consume from the target, raise its limit, or bind a ",
        "queue to the dead-letter exchange.",
      ],
    });
  }
  return found.map(({ name, text, advice, since }) =>
    h(
      "div",
      { role: "alert", key: "alarm " + name },
      note(
        "bad",
        h("p", {}, h("b", {}, text), since ? ` For ${span(Date.now() - since)}.` : ""),
        h("p", {}, advice),
      ),
    ),
  );
}

const fromNode = ({ name, text, advice, since }) => ({ name: String(name), text, advice, since });

function fromFigures(node) {
  const found = [];
  if (node?.running === false) {
    found.push({
      name: "failed",
      text: "This node can not store messages any more.",
      advice:
        "Its disk refused to write. Look into the log of the node, mend the disk, and start " +
        "it again.",
    });
  }
  if (node?.mem_alarm) {
    found.push({
      name: "memory",
      text: `Publishers wait: messages take all the memory they may, ${bytes(node.mem_limit)}.`,
      advice:
        "Consumers go on, and publishers do by themselves once there is room. Start more " +
        "consumers, purge queues that nobody needs, or raise --memory-high.",
    });
  }
  if (node?.disk_free_alarm) {
    found.push({
      name: "disk",
      text: `Publishers wait: ${bytes(node.disk_free)} are free on the disk of the data directory.`,
      advice:
        "Consumers go on. Free space on that disk; publishers go on by themselves within seconds.",
    });
  }
  return found;
}
