// Which address shows which page, and the way around.
//
// A view is { title(params), load(page) => data, draw(data, page) => content }, and `still` if it
// is not brought up to date by itself. `page` has the params and the query of the address, `state`
// to keep, and `set(query)`, `refresh()` and `redraw()`.

import { audit } from "./views/audit.js";
import { channel, channels } from "./views/channels.js";
import { connection, connections } from "./views/connections.js";
import { deadLetters, workbench } from "./views/dead_letters.js";
import { definitions } from "./views/definitions.js";
import { exchange } from "./views/exchange.js";
import { exchanges } from "./views/exchanges.js";
import { help } from "./views/help.js";
import { log } from "./views/log.js";
import { overview } from "./views/overview.js";
import { passport } from "./views/passport.js";
import { policies } from "./views/policies.js";
import { queue } from "./views/queue.js";
import { queues } from "./views/queues.js";
import { replays } from "./views/replays.js";
import { waiting } from "./views/waiting.js";
import { someone, users } from "./views/users.js";
import { vhost, vhosts } from "./views/vhosts.js";
import { websocket } from "./views/websocket.js";

const missing = {
  title: () => "No such page",
  still: true,
  load: async () => null,
  draw: () => "There is no page at this address. The menu leads to those that there are.",
};

const ROUTES = [
  ["/", overview],
  ["/queues", queues],
  ["/queues/:vhost/:queue", queue],
  ["/exchanges", exchanges],
  ["/exchanges/:vhost/:exchange", exchange],
  ["/connections", connections],
  ["/connections/:name", connection],
  ["/channels", channels],
  ["/channels/:name", channel],
  ["/dead-letters", deadLetters],
  ["/dead-letters/:vhost/:queue", workbench],
  ["/waiting", waiting],
  ["/replays", replays],
  ["/passport", passport],
  ["/users", users],
  ["/users/:user", someone],
  ["/vhosts", vhosts],
  ["/vhosts/:vhost", vhost],
  ["/policies", policies],
  ["/definitions", definitions],
  ["/log", log],
  ["/audit", audit],
  ["/websocket", websocket],
  ["/help", help],
].map(([pattern, view]) => ({ parts: pattern.split("/"), view }));

export const groups = [
  {
    title: "Traffic",
    links: [
      { href: "/", text: "Overview" },
      { href: "/queues", text: "Queues" },
      { href: "/exchanges", text: "Exchanges" },
      { href: "/connections", text: "Connections" },
      { href: "/channels", text: "Channels" },
    ],
  },
  {
    title: "Messages",
    links: [
      { href: "/dead-letters", text: "Dead letters" },
      { href: "/waiting", text: "Schedule and leases" },
      { href: "/replays", text: "Replays" },
      { href: "/passport", text: "Passport" },
      { href: "/websocket", text: "WebSocket" },
    ],
  },
  {
    title: "Access",
    links: [
      { href: "/users", text: "Users", needs: "administrator" },
      { href: "/vhosts", text: "Virtual hosts" },
      { href: "/policies", text: "Policies" },
      { href: "/definitions", text: "Definitions", needs: "administrator" },
    ],
  },
  {
    title: "Node",
    links: [
      { href: "/log", text: "Log and disk", needs: "monitoring" },
      { href: "/audit", text: "Audit", needs: "administrator" },
      { href: "/help", text: "HTTP and help" },
    ],
  },
];

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** The view for an address, and what stands in its place holders. */
export function find(where) {
  const given = where.split("/");
  for (const { parts, view } of ROUTES) {
    if (parts.length !== given.length) continue;
    const params = {};
    const fits = parts.every((part, index) => {
      if (!part.startsWith(":")) return part === given[index];
      params[part.slice(1)] = decoded(given[index]);
      return params[part.slice(1)] !== null;
    });
    if (fits) return { view, params };
  }
  return { view: missing, params: {} };
}
