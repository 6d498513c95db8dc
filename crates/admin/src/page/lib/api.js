// Asking the node: paths, the log-in, and what refusals mean.
//
// Invariants
// - User and password go to this origin only, in a header that no other page can make a browser
//   send; there is no cookie.
// - They are kept in this tab (sessionStorage) until it is closed or somebody logs out.

/** Where this page is, which may be below a proxy's path; everything else is below that. */
export const BASE = new URL(".", location.href);

const KEPT_AS = "ferrymq.authorization";
const ANSWER_MS_MAX = 30000;

const session = { authorization: read(), user: null };

function read() {
  try {
    return sessionStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}

function keep(authorization) {
  session.authorization = authorization;
  try {
    if (authorization) sessionStorage.setItem(KEPT_AS, authorization);
    else sessionStorage.removeItem(KEPT_AS);
  } catch {
    // Without storage the log-in lasts until the page is loaded again.
  }
}

/** Why the node did not do it: `status` is 0 if there was no answer at all. */
class Refusal extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

/** A path below /api with each value percent-encoded: path`/queues/${vhost}/${name}`. */
export function path(strings, ...values) {
  return strings.reduce((made, part, index) => made + encodeURIComponent(values[index - 1]) + part);
}

/** A query string of what is set. */
export function query(values) {
  const set = Object.entries(values).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  return set.length ? "?" + new URLSearchParams(set) : "";
}

function reasonOf(response, body) {
  const reason = body?.reason ?? body?.error;
  if (typeof reason === "string") return reason;
  if (Array.isArray(reason)) return reason.join(": ").replaceAll("_", " ");
  return `the node answered ${response.status} ${response.statusText}`.trim();
}

/** One request; the answer's JSON, or nothing where there is none. */
async function ask(method, where, body, { headers = {}, signal } = {}) {
  const timeout = AbortSignal.timeout(ANSWER_MS_MAX);
  const request = {
    method,
    headers: { authorization: session.authorization, ...headers },
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  };
  if (body !== undefined) request.body = JSON.stringify(body);
  if (method !== "GET") request.headers["content-type"] = "application/json";
  let response, text;
  try {
    response = await fetch(new URL("api" + where, BASE), request);
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    const late = error.name === "TimeoutError";
    throw new Refusal(0, late ? "the node took too long to answer" : "the node does not answer");
  }
  let answer;
  try {
    answer = text ? JSON.parse(text) : undefined;
  } catch {
    throw new Refusal(response.ok ? 0 : response.status, "the answer is not JSON");
  }
  if (response.ok) return answer;
  throw new Refusal(response.status, reasonOf(response, answer));
}

export const get = (where, options) => ask("GET", where, undefined, options);
export const put = (where, body) => ask("PUT", where, body ?? {});
export const post = (where, body) => ask("POST", where, body ?? {});
export const remove = (where, options) => ask("DELETE", where, undefined, options);

/** The answer, or nothing if this user may not see it or this node does not have it. */
export async function perhaps(where, options) {
  try {
    return await get(where, options);
  } catch (error) {
    if ([400, 401, 403, 404, 405].includes(error.status)) return undefined;
    throw error;
  }
}

/** Logs in with a user and a password, or with what this tab has kept; the user if it worked. */
export async function logIn(name, password) {
  if (name !== undefined) {
    const pair = new TextEncoder().encode(name + ":" + password);
    session.authorization = "Basic " + btoa(String.fromCharCode(...pair));
  }
  if (!session.authorization) return null;
  try {
    const user = await get("/whoami");
    const tags = Array.isArray(user.tags) ? user.tags : String(user.tags || "").split(",");
    session.user = { name: user.name, tags };
    keep(session.authorization);
    return session.user;
  } catch (error) {
    if (error.status !== 0) logOut();
    throw error;
  }
}

export function logOut() {
  keep(null);
  session.user = null;
}

/** Whether the node still takes this log-in; a refusal may be about one path only. */
export async function stillIn() {
  try {
    await get("/whoami");
    return true;
  } catch (error) {
    return error.status !== 401;
  }
}

export const user = () => session.user;

/** User and password of this log-in, for a protocol that has no header for them. */
export function credentials() {
  const bytes = Uint8Array.from(atob(session.authorization.slice(6)), (one) => one.charCodeAt(0));
  const [name, ...rest] = new TextDecoder().decode(bytes).split(":");
  return { user: name, password: rest.join(":") };
}

const ALL = ["administrator"];
const RIGHTS = {
  administrator: ALL,
  monitoring: ["monitoring", ...ALL],
  policymaker: ["policymaker", ...ALL],
};

/** Whether the user has that tag, or one that includes it. */
export function has(tag) {
  const tags = session.user?.tags || [];
  return RIGHTS[tag].some((one) => tags.includes(one));
}
