// Dialogs: forms and questions. The browser's own <dialog> keeps the focus inside.
//
// Invariants
// - A form stays open, with what was typed, until the node has said yes.

import { h, patch } from "./dom.js";
import { collect, fieldOrGroup, showOnly } from "./form.js";
import { tell } from "./later.js";
import { button } from "./parts.js";

/** Opens a dialog; `make` gets a function that closes it and returns its content. */
export function dialog(title, make, { wide = false, onclose } = {}) {
  const heading = h("h2", { id: "dialog-title-" + Math.random().toString(36).slice(2) }, title);
  const box = h("dialog", { class: wide ? "wide" : null, "aria-labelledby": heading.id });
  const close = () => box.close();
  const before = document.activeElement;
  window.addEventListener("hashchange", close);
  box.addEventListener("close", () => {
    window.removeEventListener("hashchange", close);
    box.remove();
    onclose?.();
    if (before?.isConnected) before.focus();
    else document.getElementById("main")?.focus();
  });
  const body = h("div", { class: "dialog-body" });
  const draw = () => patch(body, make(close, draw));
  box.append(
    h(
      "div",
      { class: "dialog-head" },
      heading,
      button("×", close, { class: "plain close", "aria-label": "Close" }),
    ),
    body,
  );
  document.body.append(box);
  draw();
  box.showModal();
  return { close, draw };
}

/**
 * Asks for values. `act(values)` does it; what it returns is told, what it throws is shown.
 * `fields` is a list of fields and of { group, fields, open, hint }.
 */
export function form({ title, intro, fields, submit, act, done, danger, wide }) {
  dialog(
    title,
    (close) => {
      const problem = h("p", { class: "problem", role: "alert" });
      const yes = h("button", { class: danger ? "danger" : "main" }, submit);
      const onsubmit = async (event) => {
        event.preventDefault();
        problem.textContent = "";
        yes.disabled = true;
        try {
          const said = await act(collect(fields, event.target));
          close();
          if (said) tell("good", said);
          done?.();
        } catch (error) {
          problem.textContent = error.message;
        } finally {
          yes.disabled = false;
        }
      };
      const made = h(
        "form",
        { onsubmit, onchange: () => showOnly(made) },
        intro && h("p", {}, intro),
        fields.map(fieldOrGroup),
        problem,
        h("div", { class: "row end" }, button("Cancel", close), yes),
      );
      showOnly(made);
      return made;
    },
    { wide },
  );
}

/** Asks whether something is to be done. */
export function confirm({ title, text, submit, danger = true, act, done, fields = [] }) {
  form({ title, intro: text, fields, submit, danger, act, done });
}
