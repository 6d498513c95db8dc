// Lines over time: the node's own samples, or what this page has seen since it was opened.
//
// Invariants
// - What is remembered is bounded: so many points of so many lines.

const POINTS_MAX = 720;
const LINES_MAX = 200;

const remembered = new Map();

function remember(key, at, value) {
  const line = remembered.get(key) || [];
  remembered.delete(key);
  remembered.set(key, line);
  if (remembered.size > LINES_MAX) remembered.delete(remembered.keys().next().value);
  if (Number.isFinite(value) && (!line.length || line.at(-1)[0] < at)) line.push([at, value]);
  if (line.length > POINTS_MAX) line.shift();
  return line;
}

// RabbitMQ's samples come newest first, as totals.
function samplesOf(stats, name) {
  const samples = stats?.[name + "_details"]?.samples;
  if (!samples || samples.length < 2) return undefined;
  return samples.map(({ timestamp, sample }) => [timestamp, sample]).reverse();
}

function differences(points) {
  const rates = [];
  for (let index = 1; index < points.length; index += 1) {
    const [before, at] = [points[index - 1], points[index]];
    const grown = at[1] - before[1];
    // A total that goes back is that of a node that was started again.
    if (grown >= 0) rates.push([at[0], grown / ((at[0] - before[0]) / 1000)]);
  }
  return rates;
}

/** Points of a level such as messages_ready: [[ms, value]], oldest first. */
export function level(owner, stats, name, at) {
  const own = remember(`${owner} ${name}`, at, stats?.[name]);
  return samplesOf(stats, name) || own;
}

/** Points of a rate such as publish: per second. */
export function speed(owner, stats, name, at) {
  const own = remember(`${owner} ${name}`, at, stats?.[name]);
  return differences(samplesOf(stats, name) || own);
}

/** The rate now. */
export function rateNow(owner, stats, name, at) {
  const told = stats?.[name + "_details"]?.rate;
  if (Number.isFinite(told)) return told;
  return differences(remember(`${owner} ${name}`, at, stats?.[name])).at(-1)?.[1];
}
