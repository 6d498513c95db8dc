// A picture of bindings: what leads in on the left, what it leads to on the right.

import { h, svg } from "./dom.js";
import { many } from "./format.js";

const SHOWN_MAX = 14;
const ROW = 40;
const BOX = { width: 210, height: 28 };
const CENTRE = { width: 170, height: 40 };
// Between a box and the centre: first the label on a straight line, then the bend.
const LABEL = 150;
const BEND = 90;
const SIDE = BOX.width + LABEL + BEND;

const cut = (text, max) => {
  const letters = [...text];
  return letters.length > max ? letters.slice(0, max - 1).join("") + "…" : text;
};

/** `sources` and `targets` are [{ name, href, kind, label }]; `centre` is a name. */
export function picture({ centre, sources, targets }) {
  const [left, right] = [sources.slice(0, SHOWN_MAX), targets.slice(0, SHOWN_MAX)];
  const height = Math.max(left.length, right.length, 1) * ROW + 16;
  const middle = height / 2;
  const start = left.length ? SIDE : 0;
  const end = start + CENTRE.width;
  const width = end + (right.length ? SIDE : 0) + 2;
  const y = (list, index) => middle + (index - (list.length - 1) / 2) * ROW;
  const drawn = svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      class: "picture",
      role: "group",
      "aria-label":
        `${centre}: ${many(sources.length, "binding")} in, ` +
        `${many(targets.length, "binding")} out`,
    },
    left.map((one, index) =>
      edge({ from: start, to: BOX.width, middle, y: y(left, index), into: true }, one),
    ),
    right.map((one, index) =>
      edge({ from: end, to: end + SIDE - BOX.width, middle, y: y(right, index), into: false }, one),
    ),
    left.map((one, index) => box(1, y(left, index), one)),
    svg("rect", { class: "centre", x: start, y: middle - CENTRE.height / 2, rx: 8, ...CENTRE }),
    label(start + CENTRE.width / 2, middle, cut(centre, 19), "centre-text"),
    right.map((one, index) => box(end + SIDE - BOX.width, y(right, index), one)),
  );
  const hidden = sources.length + targets.length - left.length - right.length;
  return h(
    "div",
    {},
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Picture of the bindings" },
      drawn,
    ),
    hidden > 0 && h("p", { class: "hint" }, `${many(hidden, "more binding")} in the table below.`),
  );
}

function label(x, y, text, kind) {
  return svg(
    "text",
    { x, y, class: kind, "text-anchor": "middle", "dominant-baseline": "central" },
    text,
  );
}

function box(x, y, { name, href, kind }) {
  return svg(
    "a",
    { href, "aria-label": `${kind} ${cut(name, 26)}` },
    svg("title", {}, name),
    svg("rect", {
      class: "box " + kind,
      x,
      y: y - BOX.height / 2,
      rx: kind === "queue" ? 4 : 14,
      ...BOX,
    }),
    label(x + BOX.width / 2, y, cut(name, 26), "box-text"),
  );
}

// A bend at the centre, then a straight line to the box, with the label on it.
function edge({ from, to, middle, y, into }, { label: text }) {
  const side = Math.sign(to - from);
  const turn = from + side * BEND;
  const half = from + (side * BEND) / 2;
  const tip = into ? from : to;
  const at = into ? middle : y;
  return svg(
    "g",
    {},
    svg("path", {
      class: "edge",
      d: `M${from} ${middle}C${half} ${middle} ${half} ${y} ${turn} ${y}H${to}`,
    }),
    svg("path", { class: "tip", d: `M${tip} ${at}l-8 -4v8z` }),
    text &&
      svg(
        "g",
        {},
        svg("title", {}, text),
        label((turn + to) / 2, y - 8, cut(text, 21), "edge-text"),
      ),
  );
}
