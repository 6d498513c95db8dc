// Elements from plain data, and bringing a part of the page up to date without losing focus.
//
// Invariants
// - Text is only ever put in as text: there is no way through here from a string to markup.
// - Handlers are properties, so that a kept element gets those of the element that replaces it.

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = [
  "onclick",
  "onsubmit",
  "onchange",
  "oninput",
  "onkeydown",
  "onpointermove",
  "onpointerleave",
];
// What the reader may have changed since: a refresh leaves it alone.
const READERS_OWN = { DETAILS: ["open"], DIALOG: ["open"] };

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "key" || name === "keep") element[name] = value;
    else if (name.startsWith("on")) element[name] = value;
    else if (name === "checked") element.checked = true;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

// Children without what is not there; everything but an element becomes text.
function flat(children) {
  const kept = children
    .flat(Infinity)
    .filter(
      (child) =>
        child !== undefined && child !== null && child !== false && child !== true && child !== "",
    );
  return kept.map((child) => (child instanceof Node ? child : document.createTextNode(child)));
}

/** An element of HTML. */
export function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** An element of SVG. */
export function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** Makes the children of `parent` look like `fresh`; what fits stays where it is. */
export function patch(parent, ...fresh) {
  const wanted = flat(fresh);
  const keyed = new Map();
  for (const child of parent.childNodes) {
    if (child.key !== undefined) keyed.set(child.key, child);
  }
  let place = parent.firstChild;
  for (const next of wanted) {
    const old = next.key === undefined ? place : keyed.get(next.key);
    if (!old || !fits(old, next)) {
      parent.insertBefore(next, place);
      continue;
    }
    if (old === place) place = place.nextSibling;
    else parent.insertBefore(old, place);
    update(old, next);
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

function fits(old, fresh) {
  return (
    old.nodeName === fresh.nodeName &&
    old.key === fresh.key &&
    old.getAttribute?.("type") === fresh.getAttribute?.("type")
  );
}

function update(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.keep && old.keep === fresh.keep) return;
  old.keep = fresh.keep;
  const own = READERS_OWN[old.nodeName] || [];
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !own.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !own.includes(name)) old.setAttribute(name, value);
  }
  for (const name of HANDLERS) if (old[name] !== fresh[name]) old[name] = fresh[name];
  if (old.nodeName === "INPUT" && old.type === "checkbox") old.checked = fresh.checked;
  patch(old, ...fresh.childNodes);
}

/** Says something to who can not see the page. */
export function announce(text) {
  const place = document.getElementById("announce");
  place.textContent = "";
  // The same words twice are said twice.
  setTimeout(() => {
    place.textContent = text;
  }, 50);
}
