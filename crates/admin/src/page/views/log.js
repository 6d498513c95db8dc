// The log and its disk, and the partitions that work on it.

import { get, perhaps } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { bytes, count, inline, when } from "../lib/format.js";
import { badge, empty, facts, figures, meter, note, panel } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { alarms } from "./alarms.js";
import { weakNode } from "./promise.js";

async function load({ signal }) {
  const [log, partitions, told] = await Promise.all([
    get("/ferry/log", { signal }),
    perhaps("/ferry/partitions", { signal }),
    perhaps("/ferry/alarms", { signal }),
  ]);
  return { log, told, partitions: Array.isArray(partitions) ? partitions : partitions?.items };
}

// Whatever the node says, by its name: bytes as bytes, times as times, the rest as it is.
function shown(key, value) {
  if (typeof value !== "number")
    return typeof value === "boolean" ? (value ? "yes" : "no") : inline(value);
  if (/bytes|disk_free/.test(key)) return bytes(value);
  if (/(_at|since|time)$/.test(key) && value > 1e12) return when(value);
  if (/_ms$/.test(key)) return `${count(value)} ms`;
  if (/_us$/.test(key)) return `${count(value / 1000)} ms`;
  return count(value);
}

const words = (key) => key.replaceAll("_", " ").replace(/ (bytes|ms|us)$/, "");

const scalar = ([, value]) => typeof value !== "object" || value === null;

function draw({ log, partitions, told }) {
  const segments = Array.isArray(log.segments) ? log.segments : undefined;
  const { end, durable, written } = positions(log);
  return [
    alarms({ told }),
    weakNode(log.sync),
    figures([
      ["Segments", count(segments ? segments.length : log.segments)],
      ["Live bytes", bytes(log.live_bytes)],
      ["All bytes", bytes(log.total_bytes ?? log.bytes)],
      ["Disk free", bytes(log.disk_free ?? log.disk_free_bytes)],
      ["Written, not synced", bytes(written - durable)],
      ["Not written yet", bytes(end - written)],
    ]),
    log.live_bytes !== undefined &&
      log.total_bytes > 0 &&
      panel(
        "How full the log is",
        meter(
          "Live",
          log.live_bytes,
          log.total_bytes,
          `${bytes(log.live_bytes)} of ${bytes(log.total_bytes)}`,
        ),
        h(
          "p",
          { class: "hint" },
          "The rest belongs to messages that are gone; sparse segments are cleaned by themselves.",
        ),
      ),
    panel(
      "Log",
      facts(
        Object.entries(log)
          .filter(scalar)
          .map(([key, value]) => [words(key), shown(key, value)]),
      ),
    ),
    segments && panel("Segments", rows("Segments", segments)),
    partitions &&
      panel(
        "Partitions",
        h("p", { class: "hint" }, "Each has one writer at a time and owns many queues."),
        rows("Partitions", partitions),
      ),
    log.failed && note("bad", "The log can not be written any more: ", inline(log.failed)),
  ];
}

function positions(log) {
  const of = (key) => log[key] ?? log[key + "_position"] ?? log.positions?.[key];
  return { end: of("end"), durable: of("durable"), written: of("written") };
}

const ROWS_MAX = 200;

function rows(caption, list) {
  const keys = [...new Set(list.flatMap((one) => Object.keys(one)))];
  return [
    table({
      caption,
      rows: list.slice(0, ROWS_MAX),
      none: empty("None."),
      columns: keys.map((key) => ({
        title: words(key),
        kind: typeof list[0]?.[key] === "number" ? "number" : null,
        of: (one) =>
          typeof one[key] === "boolean" ? badge(one[key] ? "yes" : "no") : shown(key, one[key]),
      })),
    }),
    list.length > ROWS_MAX &&
      h("p", { class: "hint" }, `The first ${ROWS_MAX} of ${count(list.length)}.`),
  ];
}

export const log = { title: () => "Log and disk", load, draw };
