// The frame around every page: log-in, the way around, the colours, and the one timer.
//
// Invariants
// - One request for a page at a time: the next one starts when the last one was answered.
// - Nothing is asked for while the tab is hidden or the reader has paused it.
// - An answer for a page that is no longer looked at is dropped.

import { has, logIn, logOut, stillIn, user } from "./lib/api.js";
import { announce, h, patch } from "./lib/dom.js";
import { button, note } from "./lib/parts.js";
import { find, groups } from "./routes.js";
import { loginForm } from "./views/login.js";

const REFRESH_MS = 5000;

// `shown` is what the last answer was for: a view, its page, and the data.
const state = {
  view: null,
  page: null,
  where: null,
  shown: null,
  problem: null,
  turn: 0,
  timer: null,
  aborter: null,
  paused: false,
  menu: false,
  at: null,
  entered: false,
  said: null,
  // The address that was answered last.
  answered: null,
};
const themes = ["auto", "light", "dark"];

// The address

function address() {
  const [where, query = ""] = location.hash.slice(1).split("?");
  return { where: where || "/", query: Object.fromEntries(new URLSearchParams(query)) };
}

function setQuery(changes) {
  const { where, query } = address();
  const set = Object.entries({ ...query, ...changes }).filter(
    ([, value]) => value !== undefined && value !== "",
  );
  const text = new URLSearchParams(set).toString();
  history.replaceState(null, "", "#" + where + (text ? "?" + text : ""));
  state.page = { ...state.page, query: Object.fromEntries(set) };
  return refresh();
}

// The page

async function open() {
  if (!user()) return;
  state.aborter?.abort();
  const { where, query } = address();
  const { view, params } = find(where);
  const moved = state.where !== where;
  const kept = !moved && state.page ? state.page.state : {};
  Object.assign(state, {
    view,
    where,
    menu: false,
    page: { params, query, state: kept, set: setQuery, refresh, redraw: draw },
  });
  if (moved) {
    Object.assign(state, { shown: null, problem: null, at: null, answered: null });
    draw();
    window.scrollTo(0, 0);
  }
  await refresh();
  if (moved && state.entered) document.getElementById("main")?.focus({ preventScroll: true });
  state.entered = true;
}

async function refresh() {
  clearTimeout(state.timer);
  state.aborter?.abort();
  const turn = ++state.turn;
  state.aborter = new AbortController();
  const { view, page } = state;
  page.signal = state.aborter.signal;
  try {
    const data = await view.load(page);
    if (turn !== state.turn) return;
    Object.assign(state, { shown: { view, page, data }, problem: null, at: new Date() });
  } catch (error) {
    if (turn !== state.turn) return;
    if (error.status === undefined) console.error(error);
    if (error.status === 401 && !(await stillIn())) return leave(error.message);
    if (turn !== state.turn) return;
    if (!state.problem) announce(error.message);
    state.problem = error;
  }
  state.answered = location.hash.slice(1);
  draw();
  schedule();
}

function schedule() {
  clearTimeout(state.timer);
  if (document.hidden || state.paused || !user() || state.view?.still) return;
  state.timer = setTimeout(refresh, REFRESH_MS);
}

// What a refusal means to who reads it.
function problem(error) {
  if (error.status === 0) {
    return note(
      "warn",
      h(
        "p",
        {},
        h("b", {}, "No answer. "),
        `As it seems ${error.message}. `,
        state.at ? `What is shown is of ${state.at.toLocaleTimeString()}; ` : "",
        "this page goes on asking.",
      ),
    );
  }
  if (error.status === 401 || error.status === 403) {
    return note(
      "warn",
      h("p", {}, h("b", {}, "You may not see this. "), error.message, "."),
      h("p", {}, "Tags and permissions are set under Users by an administrator."),
    );
  }
  if (error.status === 404) {
    return note(
      "warn",
      h(
        "p",
        {},
        h("b", {}, "This is not there. "),
        "It was deleted, or never was, or this node does not offer it.",
      ),
    );
  }
  return note("bad", h("p", {}, h("b", {}, "That did not work. "), error.message));
}

// The frame

function draw() {
  const frame = document.getElementById("frame");
  if (!user()) {
    document.title = "Log in – FerryMQ";
    patch(
      frame,
      h("main", { id: "main", tabindex: "-1", key: "login" }, loginForm(enter, state.said)),
    );
    return;
  }
  const title = state.view.title(state.page.params);
  document.title = `${title} – FerryMQ`;
  patch(frame, header(), navigation(), content(title));
}

function content(title) {
  const { shown, problem: error, view, page } = state;
  let body = null;
  try {
    body = shown && shown.view.draw(shown.data, shown.page);
  } catch (failed) {
    console.error(failed);
    body = note("bad", `This page could not be drawn: ${failed.message}`);
  }
  return h(
    "main",
    { id: "main", tabindex: "-1", key: "page " + state.where, "data-shown": state.answered },
    h("h1", {}, view.heading?.(page.params) || title),
    error && problem(error),
    body || (!error && h("p", { class: "quiet loading" }, "Loading …")),
  );
}

function header() {
  const theme = currentTheme();
  return h(
    "header",
    { class: "top", key: "header" },
    button(
      "Menu",
      () => {
        state.menu = !state.menu;
        draw();
      },
      { class: "only-narrow", "aria-expanded": String(state.menu), "aria-controls": "navigation" },
    ),
    h(
      "a",
      { class: "brand", href: "#/" },
      h("img", { src: "icon.svg", alt: "FerryMQ", width: 20, height: 20 }),
      h("span", { class: "only-wide", "aria-hidden": "true" }, "FerryMQ"),
    ),
    h("span", { class: "grow" }),
    h(
      "span",
      { class: "quiet only-wide" },
      state.at ? "as of " + state.at.toLocaleTimeString("en-GB") : "",
    ),
    button(state.paused ? "Go on" : "Pause", pause, {
      title: "Whether figures are brought up to date every five seconds",
    }),
    button("◐ " + theme, turnTheme, {
      "aria-label": `◐ ${theme}: change the colours`,
      title: "Light, dark, or as the system has it",
    }),
    h("span", { class: "who only-wide" }, h("bdi", {}, user().name)),
    button("Log out", () => leave()),
  );
}

function navigation() {
  const { where } = state;
  const here = (href) =>
    href === "/" ? where === "/" : where === href || where.startsWith(href + "/");
  return h(
    "nav",
    {
      id: "navigation",
      class: state.menu ? "side open" : "side",
      "aria-label": "Pages",
      key: "navigation",
    },
    groups.map(({ title, links }) => {
      const shown = links.filter(({ needs }) => !needs || has(needs));
      return shown.length
        ? h(
            "div",
            { class: "nav-group" },
            h("h2", {}, title),
            h(
              "ul",
              {},
              shown.map(({ href, text }) =>
                h(
                  "li",
                  {},
                  h("a", { href: "#" + href, "aria-current": here(href) ? "page" : null }, text),
                ),
              ),
            ),
          )
        : null;
    }),
  );
}

function pause() {
  state.paused = !state.paused;
  announce(state.paused ? "Figures stand still." : "Figures are brought up to date.");
  draw();
  if (state.paused) clearTimeout(state.timer);
  else refresh();
}

// The colours

function stored(key, value) {
  try {
    if (value === undefined) return localStorage.getItem(key);
    localStorage.setItem(key, value);
  } catch {
    // Without storage the choice lasts until the page is loaded again.
  }
  return value;
}

const currentTheme = () => document.documentElement.dataset.theme || "auto";

function setTheme(theme) {
  document.documentElement.dataset.theme = themes.includes(theme) ? theme : "auto";
}

function turnTheme() {
  setTheme(themes[(themes.indexOf(currentTheme()) + 1) % themes.length]);
  stored("ferrymq.colours", currentTheme());
  draw();
}

// Coming and going

function enter() {
  Object.assign(state, { said: null, where: null, entered: false });
  open();
}

function leave(reason) {
  clearTimeout(state.timer);
  state.aborter?.abort();
  state.turn += 1;
  logOut();
  Object.assign(state, { shown: null, problem: null, said: reason, where: null, at: null });
  draw();
}

async function start() {
  setTheme(stored("ferrymq.colours"));
  try {
    await logIn();
  } catch (error) {
    state.said = error.status === 401 ? null : error.message;
  }
  if (user()) enter();
  else draw();
  document.querySelector(".skip").onclick = (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  };
  window.addEventListener("hashchange", open);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(state.timer);
    else if (user() && !state.paused && !state.view?.still) refresh();
  });
}

start();
