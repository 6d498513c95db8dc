// Figures, times and names as people read them. What is not known is a dash.

export const DASH = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (known(value) ? value.toLocaleString("en") : DASH);

/** "1 queue", "3 queues". */
export const many = (value, one, more = one + "s") => `${count(value)} ${value === 1 ? one : more}`;

/** Short, for an axis: 1.2k. */
export function short(value) {
  if (!known(value)) return DASH;
  for (const [size, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (Math.abs(value) >= size) return trim(value / size) + unit;
  }
  return trim(value);
}

const trim = (value) => String(Number(value.toFixed(value < 10 ? 1 : 0)));

export function bytes(value) {
  if (!known(value)) return DASH;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit + 1 < units.length) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export const rate = (value) => (known(value) ? short(value) + "/s" : DASH);

/** A span of milliseconds in its two largest units. */
export function span(ms) {
  if (!known(ms)) return DASH;
  if (ms < 1000) return Math.round(ms) + " ms";
  const parts = [];
  let rest = Math.floor(ms / 1000);
  for (const [size, unit] of [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ]) {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole || parts.length) parts.push(`${whole} ${unit}`);
    if (parts.length === 2) break;
  }
  return parts.filter((part, index) => !index || !part.startsWith("0 ")).join(" ");
}

/** A point in time, in Unix milliseconds, as this reader's clock shows it. */
export function time(ms) {
  if (!known(ms)) return DASH;
  const when = new Date(ms);
  const part = (value) => String(value).padStart(2, "0");
  const day = `${when.getFullYear()}-${part(when.getMonth() + 1)}-${part(when.getDate())}`;
  return `${day} ${part(when.getHours())}:${part(when.getMinutes())}:${part(when.getSeconds())}`;
}

/** The same with how far away it is. */
export function when(ms) {
  if (!known(ms)) return DASH;
  const away = ms - Date.now();
  return `${time(ms)} (${away > 0 ? "in " + span(away) : span(-away) + " ago"})`;
}

export const yes = (flag) => (flag === undefined ? DASH : flag ? "yes" : "no");

/** Any JSON value on one line. */
export function inline(value) {
  if (value === undefined || value === null) return DASH;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The value at a dotted path, if every step of it is there. */
export function at(object, dotted) {
  let found = object;
  for (const step of dotted.split(".")) found = found?.[step];
  return found;
}

/** A name inside a sentence: whatever way its script runs, the sentence goes on as it was. */
export const said = (name) => `\u2068${name}\u2069`;

/** The exchange as the API names it in a path. */
export const exchangeInPath = (name) => name || "amq.default";

/** The exchange as people call it. */
export const exchangeName = (name) => name || "(default exchange)";
