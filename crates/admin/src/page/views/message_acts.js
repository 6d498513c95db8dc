// What can be done with messages, one or many: replay, edit, move, delete, send at another time.

import { get, path, post, remove } from "../lib/api.js";
import { confirm, form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { count, many, said } from "../lib/format.js";
import { localTime } from "../lib/form.js";
import { later, now } from "../lib/later.js";
import { button } from "../lib/parts.js";

const LOOKS_MAX = 10;
const LOOK_MS = 200;

const base = ({ vhost, queue }) => path`/ferry/queues/${vhost}/${queue}`;
const one = (context) => base(context) + path`/messages/${context.ref}`;

/** Buttons for the chosen messages, or for all that match. */
export function bulk(context, items) {
  const { chosen, page } = context;
  const all = chosen.size === 0;
  const whom = all ? "all that match" : many(chosen.size, "chosen message");
  const every = items.every((each) => chosen.has(each.ref));
  const turnAll = () => {
    items.forEach((each) => (every ? chosen.delete(each.ref) : chosen.add(each.ref)));
    page.redraw();
  };
  const selection = () => (all ? context.matching() : { refs: [...chosen] });
  return h(
    "div",
    { class: "bulk" },
    button(every ? "Choose none" : "Choose this page", turnAll),
    h("span", { class: "grow" }, all ? "None is chosen: the buttons act on all." : ""),
    button(`Replay ${whom}`, () => replay(context, selection(), whom), {
      class: context.dead ? "main" : null,
    }),
    button(`Move ${whom}`, () => move(context, selection(), whom)),
    button(`Delete ${whom}`, () => removeMany(context, selection(), whom), { class: "danger" }),
  );
}

// What became of them; what was left alone, and why, is a failure to be told.
export function outcome(answer, done) {
  const gone = answer?.gone ? `, ${count(answer.gone)} had gone before` : "";
  const said = `${many(answer?.done, "message")} ${done}${gone}.`;
  if (answer?.error) throw new Error(`${said} The rest was left alone: ${answer.error}`);
  return answer?.complete === false ? `${said} There are more: do it again to go on.` : said;
}

function ended({ page, chosen }) {
  chosen?.clear();
  page.refresh();
}

function removeMany(context, selection, whom) {
  confirm({
    title: "Delete messages",
    submit: "Delete",
    text: `Delete ${whom} of queue ${said(context.queue)}? They can not be brought back.`,
    act: async () =>
      later(
        `Deleting ${whom} of ${said(context.queue)}.`,
        async () => {
          const answer = await post(base(context) + "/messages/delete", selection);
          return outcome(answer, "deleted");
        },
        () => ended(context),
      ),
  });
}

function move(context, selection, whom) {
  form({
    title: "Move messages",
    submit: "Move",
    intro: `${whom} of queue ${said(context.queue)} to another queue of the same virtual host.`,
    fields: [{ name: "queue", label: "To queue", required: true }],
    act: async ({ queue }) =>
      later(
        `Moving ${whom} to ${said(queue)}.`,
        async () => {
          const answer = await post(base(context) + "/messages/move", { ...selection, queue });
          return outcome(answer, "moved");
        },
        () => ended(context),
      ),
  });
}

/** Replays what was selected, at a rate, to where it came from or elsewhere. */
function replay(context, selection, whom) {
  form({
    title: "Replay",
    submit: "Replay",
    intro:
      `${whom} of queue ${said(context.queue)} go back to work. ` +
      "Each is moved in one step: none is lost or doubled, whatever happens.",
    fields: [
      {
        name: "where",
        label: "Where to",
        type: "choice",
        options: [
          ["origin", "where it was published to first"],
          ["exchange", "another exchange"],
        ],
      },
      {
        name: "exchange",
        only: ["where", "exchange"],
        label: "Exchange",
        hint: "Empty is the default exchange: the routing key names a queue.",
      },
      {
        name: "routing_key",
        only: ["where", "exchange"],
        label: "Routing key",
        hint: "Empty keeps the message's own.",
      },
      {
        name: "rate",
        label: "Messages per second",
        type: "number",
        hint: "Empty: as fast as it goes.",
      },
    ],
    act: async ({ where, exchange = "", routing_key, rate }) => {
      const place = where === "origin" ? "origin" : { exchange, routing_key };
      // In a replay, `to` is where and not until when.
      const { to: until, ...meant } = selection;
      later(
        `Replaying ${whom} of ${said(context.queue)}.`,
        async () => {
          const { job } = await post(base(context) + "/replay", {
            ...meant,
            until,
            to: place,
            rate: rate ?? null,
          });
          return h(
            "span",
            {},
            "Replay started. ",
            h("a", { href: "#/replays" }, `Progress of job ${job}`),
          );
        },
        () => ended(context),
      );
    },
  });
}

export function removeOne(context, done) {
  later(
    "Deleting one message.",
    async () => {
      await remove(one(context));
      return "The message is deleted.";
    },
    done,
  );
}

export function moveOne(context, done) {
  form({
    title: "Move message",
    submit: "Move",
    fields: [{ name: "queue", label: "To queue", required: true }],
    act: async ({ queue }) => {
      await post(one(context) + "/move", { queue });
      return `Moved to ${said(queue)}.`;
    },
    done,
  });
}

export const replayOne = (context, done) =>
  now(async () => {
    const { job } = await post(base(context) + "/replay", { refs: [context.ref], to: "origin" });
    return finished(job);
  }, done);

// A replay of one message is over in a moment.
async function finished(job) {
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const { state, replayed, error } = await get(path`/ferry/replays/${job}`);
    if (replayed) return "Replayed to where it came from.";
    if (state !== "running") throw new Error(`Not replayed: ${error || "it has gone meanwhile"}`);
    await new Promise((over) => setTimeout(over, LOOK_MS));
  }
  return `Job ${job} replays it: see Replays.`;
}

export const sendNow = (context, done) =>
  now(async () => {
    await post(one(context) + "/due", { due_at: 0 });
    return "The message is ready now.";
  }, done);

export function reschedule(context, dueAt, done) {
  form({
    title: "Deliver at another time",
    submit: "Set time",
    fields: [
      {
        name: "due",
        label: "Ready at",
        type: "time",
        required: true,
        value: localTime(dueAt || Date.now() + 60000),
      },
    ],
    act: async ({ due }) => {
      await post(one(context) + "/due", { due_at: due });
      return "The time is set.";
    },
    done,
  });
}

/** Sends an edited copy, which is linked to the original. */
export async function sendEdited(context, edit) {
  await post(one(context) + "/edit", edit);
  return "Replayed as edited; the copy is linked to the original.";
}
