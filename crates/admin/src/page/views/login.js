// The log-in: a form of our own, so that nothing is sent that the reader did not type here.

import { logIn } from "../lib/api.js";
import { h } from "../lib/dom.js";

function explained({ status, message }) {
  if (status !== 401) return message;
  if (/management/i.test(message)) {
    return `${message}: this page needs a user with the tag management or a higher one.`;
  }
  return `${message}: user or password is wrong, or this user may not log in from here.`;
}

export function loginForm(entered, said) {
  const problem = h("p", { class: "problem", role: "alert", key: "problem" }, said);
  const onsubmit = async (event) => {
    event.preventDefault();
    const form = event.target;
    problem.textContent = "";
    try {
      await logIn(form.elements.username.value, form.elements.password.value);
      entered();
    } catch (error) {
      problem.textContent = explained(error);
    }
  };
  return h(
    "div",
    { class: "login" },
    h("h1", {}, h("img", { src: "icon.svg", alt: "", width: 28, height: 28 }), "FerryMQ"),
    h(
      "form",
      { onsubmit, keep: "login " + said },
      h(
        "div",
        { class: "field" },
        h("label", { for: "username" }, "User"),
        h("input", {
          id: "username",
          name: "username",
          autocomplete: "username",
          required: true,
          autocapitalize: "none",
          spellcheck: "false",
        }),
      ),
      h(
        "div",
        { class: "field" },
        h("label", { for: "password" }, "Password"),
        h("input", {
          id: "password",
          name: "password",
          type: "password",
          autocomplete: "current-password",
          required: true,
        }),
      ),
      problem,
      h("button", { class: "main" }, "Log in"),
    ),
    h(
      "p",
      { class: "hint" },
      "On this machine a new node takes user ",
      h("b", {}, "guest"),
      " with password ",
      h("b", {}, "guest"),
      ". A node that others can reach prints the password ",
      "of user ",
      h("b", {}, "admin"),
      " to its log at its first start.",
    ),
  );
}
