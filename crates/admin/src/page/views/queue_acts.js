// What empties a queue, moves what is in it, or ends it.

import { path, post, remove } from "../lib/api.js";
import { confirm, form } from "../lib/dialog.js";
import { many, said } from "../lib/format.js";
import { later } from "../lib/later.js";
import { outcome } from "./message_acts.js";

export function purge({ vhost, name, messages_ready: ready }, page) {
  confirm({
    title: "Purge queue",
    submit: "Purge",
    text:
      `${many(ready ?? 0, "ready message")} of ${said(name)} will be dropped. ` +
      "What consumers hold stays.",
    act: async () =>
      later(
        `Purging queue ${said(name)}.`,
        async () => {
          await remove(path`/queues/${vhost}/${name}/contents`);
          return `Queue ${said(name)} is empty.`;
        },
        page.refresh,
      ),
  });
}

export function purgeDelayed({ vhost, name, messages_delayed: delayed }, page) {
  confirm({
    title: "Purge delayed messages",
    submit: "Purge delayed",
    text: `${many(delayed, "message")} of ${said(name)} that wait for their time will be dropped.`,
    act: async () =>
      later(
        `Purging what waits in ${said(name)}.`,
        async () => {
          await remove(path`/ferry/queues/${vhost}/${name}/delayed`);
          return "Nothing waits any more.";
        },
        page.refresh,
      ),
  });
}

export function deleteQueue({ vhost, name, messages, consumers }) {
  confirm({
    title: "Delete queue",
    submit: "Delete queue",
    text:
      `Queue ${said(name)} will be deleted with its bindings ` +
      `and ${many(messages ?? 0, "message")}` +
      (consumers ? `; ${many(consumers, "consumer")} will be cancelled.` : "."),
    fields: [
      { name: "empty", label: "Only if it is empty", type: "bool" },
      { name: "unused", label: "Only if nobody consumes from it", type: "bool" },
    ],
    act: async ({ empty, unused }) => {
      const only = (empty ? "if-empty=true&" : "") + (unused ? "if-unused=true" : "");
      later(`Deleting queue ${said(name)}.`, async () => {
        await remove(path`/queues/${vhost}/${name}` + (only ? "?" + only : ""));
        if (location.hash.startsWith("#" + path`/queues/${vhost}/${name}`))
          location.hash = "#/queues";
        return `Queue ${said(name)} is deleted.`;
      });
    },
  });
}

export function moveAll({ vhost, name }, page) {
  form({
    title: "Move all messages",
    submit: "Move",
    intro:
      `Every ready message of ${said(name)} goes to another queue of the same virtual host, ` +
      "in order.",
    fields: [{ name: "queue", label: "To queue", required: true }],
    act: async ({ queue }) =>
      later(
        `Moving all messages of ${said(name)} to ${said(queue)}.`,
        async () => {
          const answer = await post(path`/ferry/queues/${vhost}/${name}/messages/move`, {
            state: "ready",
            queue,
          });
          return outcome(answer, "moved");
        },
        page.refresh,
      ),
  });
}
