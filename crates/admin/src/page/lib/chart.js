// Line charts in SVG. The scales are text beside the drawing, so they stay readable at any width.
//
// Invariants
// - Lines differ by colour and by dash; the legend has the figures for who does not see the lines.

import { h, svg } from "./dom.js";
import { DASH, span } from "./format.js";

const WIDTH = 600;
const HEIGHT = 140;
const STEPS = [1, 2, 2.5, 5, 10];

/** The smallest round number that is not below. */
function roundUp(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return STEPS.find((step) => step * size >= value - 1e-9) * size;
}

/** `lines` is [{ name, points: [[ms, value]] }], `show` makes text of a value. */
export function chart({ title, lines, show }) {
  const drawn = lines.filter(({ points }) => points.length > 1);
  const times = drawn.flatMap(({ points }) => [points[0][0], points.at(-1)[0]]);
  const [from, until] = [Math.min(...times), Math.max(...times)];
  const top = roundUp(Math.max(0, ...drawn.flatMap(({ points }) => points.map((p) => p[1]))));
  const waits = !drawn.length || until <= from;
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, title),
    h(
      "div",
      { class: "chart-area" },
      h(
        "div",
        { class: "chart-scale", "aria-hidden": "true" },
        [top, top / 2, 0].map((value) => h("span", {}, waits ? "" : show(value))),
      ),
      waits
        ? h("p", { class: "chart-wait" }, "The first points are on their way.")
        : drawing(title, lines, { from, until, top, show }),
      h(
        "div",
        { class: "chart-times", "aria-hidden": "true" },
        h("span", {}, waits ? "" : span(until - from) + " ago"),
        h("span", {}, "now"),
      ),
    ),
    legend(lines, show),
  );
}

function drawing(title, lines, { from, until, top, show }) {
  const x = (ms) => ((ms - from) / (until - from)) * WIDTH;
  const y = (value) => HEIGHT - (value / top) * HEIGHT;
  const paths = lines.map(
    ({ points }, index) =>
      points.length > 1 &&
      svg("polyline", {
        class: "line-" + index,
        points: points.map(([ms, value]) => `${x(ms).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
      }),
  );
  const said = lines.map(({ name, points }) => `${name} ${lastOf(points, show)}`).join(", ");
  return svg(
    "svg",
    {
      viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${title} over the last ${span(until - from)}. Now: ${said}.`,
    },
    [0, HEIGHT / 2, HEIGHT].map((at) =>
      svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: at, y2: at }),
    ),
    paths,
  );
}

const lastOf = (points, show) => (points.length ? show(points.at(-1)[1]) : DASH);

function legend(lines, show) {
  return h(
    "ul",
    { class: "legend" },
    lines.map(({ name, points }, index) =>
      h(
        "li",
        {},
        svg(
          "svg",
          { viewBox: "0 0 24 8", class: "key", "aria-hidden": "true" },
          svg("line", { class: "line-" + index, x1: 0, x2: 24, y1: 4, y2: 4 }),
        ),
        name,
        " ",
        h("b", {}, lastOf(points, show)),
      ),
    ),
  );
}
