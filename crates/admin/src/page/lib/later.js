// What is done in a few seconds unless somebody says no, and what is told after something was done.
//
// Invariants
// - A pending act is done once or, if it is undone or the page is left before, not at all.
// - The time stands still while the pointer or the focus is on it, or a dialog is before it.

import { announce, h } from "./dom.js";
import { button } from "./parts.js";

const UNDO_S = 8;
const TOLD_S = 8;
const TICK_MS = 250;

const place = () => document.getElementById("toasts");

/** Says what has happened: kind is "good" or "bad". A bad one stays until it is closed. */
export function tell(kind, text) {
  const box = h(
    "div",
    { class: "toast " + kind },
    h("p", {}, text),
    button("×", () => box.remove(), { class: "plain close", "aria-label": "Close this message" }),
  );
  place().append(box);
  announce(typeof text === "string" ? text : text.textContent);
  if (kind !== "bad") setTimeout(() => box.remove(), TOLD_S * 1000);
}

/** Does `act` in a few seconds; `text` says what, and `act` returns what there is to tell. */
export function later(text, act, done) {
  let left = UNDO_S * 1000;
  const counted = h("span", { class: "toast-count", "aria-hidden": "true" }, seconds(left));
  const box = h("div", { class: "toast pending" }, h("p", {}, text, " ", counted));
  const end = () => {
    clearInterval(timer);
    box.remove();
  };
  const run = async () => {
    end();
    try {
      tell("good", (await act()) || "Done.");
    } catch (error) {
      tell("bad", `${text} That did not work: ${error.message}.`);
    }
    done?.();
  };
  const timer = setInterval(() => {
    if (box.matches(":hover, :focus-within") || document.querySelector("dialog")) return;
    left -= TICK_MS;
    counted.textContent = seconds(left);
    if (left <= 0) run();
  }, TICK_MS);
  const undo = () => {
    end();
    tell("good", "Undone: nothing was changed.");
    document.getElementById("main")?.focus({ preventScroll: true });
  };
  box.append(h("div", { class: "row" }, button("Undo", undo), button("Do it now", run)));
  place().append(box);
  announce(`${text} It happens in ${UNDO_S} seconds. The button Undo stops it.`);
}

const seconds = (ms) => `in ${Math.max(0, Math.ceil(ms / 1000))} s`;

/** Does it at once and tells how it went. */
export async function now(act, done) {
  try {
    const said = await act();
    if (said) tell("good", said);
  } catch (error) {
    tell("bad", error.message);
  }
  done?.();
}
