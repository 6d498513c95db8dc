// Fields of forms: a label, a place to type or choose, and a word of explanation.
//
// A field is { name, label, type, hint, value, required, options, choices }; type is one of text
// (the default), password, number, choice, bool, area, json, time, file, tags. One with `only`,
// [name, value], is there while the field of that name has that value.

import { h } from "./dom.js";

let last = 0;

export function field(one) {
  if (!one) return null;
  const id = `field-${(last += 1)}`;
  const { type = "text", label, hint, required } = one;
  const described = hint ? id + "-hint" : null;
  const common = { id, name: one.name, required, "aria-describedby": described };
  const hinted = hint && h("small", { id: described, class: "hint" }, hint);
  if (type === "bool") {
    return h(
      "div",
      { class: "field check" },
      h("label", {}, h("input", { ...common, type: "checkbox", checked: one.value }), label),
      hinted,
    );
  }
  if (type === "tags") return tags(one, hinted);
  return h(
    "div",
    { class: "field", "data-only": one.only?.join("=") },
    h("label", { for: id }, label, required ? h("span", { class: "quiet" }, " (required)") : null),
    input(one, type, common, id),
    hinted,
  );
}

/** Shows the fields that have to do with what is chosen. */
export function showOnly(form) {
  for (const field of form.querySelectorAll("[data-only]")) {
    const [name, value] = field.dataset.only.split("=");
    field.hidden = form.elements[name].value !== value;
  }
}

/** A field, or several of them below a line that opens. */
export function fieldOrGroup(one) {
  if (!one?.group) return field(one);
  return h(
    "details",
    { class: "group", open: one.open },
    h("summary", {}, one.group),
    one.hint && h("p", { class: "hint" }, one.hint),
    h("div", { class: "fields" }, one.fields.map(field)),
  );
}

function input(one, type, common, id) {
  const value = one.value ?? "";
  if (type === "choice") {
    return h(
      "select",
      common,
      one.options.map((option) => {
        const [key, text] = Array.isArray(option) ? option : [option, option || "not set"];
        return h("option", { value: key, selected: key === value }, text);
      }),
    );
  }
  if (type === "area" || type === "json") {
    const rows = one.rows || 4;
    return h("textarea", { ...common, rows, spellcheck: "false" }, value);
  }
  if (type === "time") {
    return h("input", { ...common, type: "datetime-local", step: "1", value });
  }
  if (type === "file") return h("input", { ...common, type, accept: one.accept });
  const kind = type === "password" ? "password" : "text";
  const list = one.choices?.length ? id + "-list" : null;
  return [
    h("input", {
      ...common,
      type: kind,
      value,
      list,
      spellcheck: "false",
      autocapitalize: "none",
      autocomplete: kind === "password" ? "new-password" : "off",
      inputmode: type === "number" ? "decimal" : null,
      placeholder: one.placeholder,
    }),
    list &&
      h(
        "datalist",
        { id: list },
        one.choices.map((choice) => h("option", { value: choice })),
      ),
  ];
}

function tags({ name, label, value = [], options }, hinted) {
  return h(
    "fieldset",
    { class: "field" },
    h("legend", {}, label),
    options.map(([tag, text]) =>
      h(
        "label",
        { class: "check-line" },
        h("input", { type: "checkbox", name, value: tag, checked: value.includes(tag) }),
        h("span", {}, h("b", {}, tag), " ", h("small", { class: "hint" }, text)),
      ),
    ),
    hinted,
  );
}

/** The values of a form, as what they mean; what was left empty is not there. */
export function collect(fields, form) {
  const values = {};
  for (const one of fields.flatMap((each) => (each?.group ? each.fields : each)).filter(Boolean)) {
    const found = form.elements[one.name];
    const value = valueOf(one, found, form);
    if (value !== undefined) values[one.name] = value;
  }
  return values;
}

function valueOf({ type = "text", label, name }, input, form) {
  if (type === "tags") {
    const boxes = [...form.querySelectorAll("input[type=checkbox]")];
    return boxes.filter((box) => box.name === name && box.checked).map((box) => box.value);
  }
  if (type === "bool") return input.checked;
  if (type === "file") return input.files[0];
  const text = input.value;
  if (type === "password" || type === "area" || type === "text") return text || undefined;
  if (text.trim() === "") return undefined;
  if (type === "number") {
    const number = Number(text.replaceAll(/[\s_,']/g, ""));
    if (!Number.isFinite(number)) throw new Error(`${label}: “${text}” is not a number`);
    return number;
  }
  if (type === "json") return parsed(label, text);
  if (type === "time") return new Date(text).getTime();
  return text;
}

function parsed(label, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${label} is not JSON: ${error.message}`);
  }
}

/** Unix milliseconds as a field of type time wants them. */
export function localTime(ms) {
  const when = new Date(ms - new Date(ms).getTimezoneOffset() * 60000);
  return when.toISOString().slice(0, 19);
}
