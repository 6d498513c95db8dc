// Definitions: everything that was declared and set, as one file, out and in.

import { get, path, post } from "../lib/api.js";
import { form } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { now } from "../lib/later.js";
import { button, note, panel } from "../lib/parts.js";
import { vhostNames } from "./common.js";

const load = async ({ signal }) => ({ vhosts: await vhostNames(signal) });

function save(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const download = (vhost) =>
  now(async () => {
    const all = await get(vhost ? path`/definitions/${vhost}` : "/definitions");
    const day = new Date().toISOString().slice(0, 10);
    save(JSON.stringify(all, null, 2) + "\n", `ferrymq-definitions-${day}.json`);
    return "The file is made. It has password hashes: keep it where others can not read it.";
  });

const KINDS = [
  "users",
  "vhosts",
  "permissions",
  "topic_permissions",
  "policies",
  "parameters",
  "queues",
  "exchanges",
  "bindings",
];

function counted(definitions) {
  const found = KINDS.filter((kind) => definitions[kind]?.length);
  const texts = found.map((kind) => `${kind.replaceAll("_", " ")}: ${definitions[kind].length}`);
  return texts.join(", ") || "nothing that is known";
}

function upload(vhosts) {
  form({
    title: "Import definitions",
    submit: "Import",
    intro:
      "What is in the file is added; nothing that is there is taken away. The file is checked " +
      "whole first: if it is wrong, nothing changes.",
    fields: [
      {
        name: "file",
        label: "File",
        type: "file",
        accept: ".json,application/json",
        required: true,
      },
      {
        name: "vhost",
        label: "Into",
        type: "choice",
        options: [["", "all virtual hosts that it names"], ...vhosts],
      },
    ],
    act: async ({ file, vhost }) => {
      let definitions;
      try {
        definitions = JSON.parse(await file.text());
      } catch (error) {
        throw new Error(`${file.name} is not JSON: ${error.message}`);
      }
      await post(vhost ? path`/definitions/${vhost}` : "/definitions", definitions);
      return `Imported: ${counted(definitions)}.`;
    },
  });
}

function draw({ vhosts }) {
  return [
    h(
      "p",
      { class: "lead" },
      "Users, virtual hosts, permissions, policies, exchanges, queues and bindings, in RabbitMQ's ",
      "format: to keep, to compare, or to move from RabbitMQ here. Messages are not in it.",
    ),
    h(
      "div",
      { class: "two" },
      panel(
        "Export",
        h(
          "div",
          { class: "row" },
          button("Download all", () => download(), { class: "main" }),
          vhosts.length > 1 &&
            vhosts.slice(0, 20).map((vhost) =>
              button(vhost, () => download(vhost), {
                "aria-label": `Download virtual host ${vhost}`,
              }),
            ),
        ),
      ),
      panel(
        "Import",
        h(
          "div",
          { class: "row" },
          button("Choose a file", () => upload(vhosts), { class: "main" }),
        ),
      ),
    ),
    note(
      "",
      "On the command line: ",
      h("code", {}, "ferrymq plan FILE"),
      " shows what a file would change, ",
      h("code", {}, "ferrymq lint FILE"),
      " what is wrong with it.",
    ),
  ];
}

export const definitions = { title: () => "Definitions", still: true, load, draw };
