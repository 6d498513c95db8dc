// Why a queue stands still: what it waits for, the most pressing first.

import { count, many, rate, span } from "../lib/format.js";

// From how much more a queue grows, rather than goes up and down.
const SLOWER = 1.1;

const perSecond = (queue, key) =>
  lower(queue.arguments?.["x-" + key], queue.effective_policy_definition?.[key]);

const lower = (a, b) => (a === undefined ? b : b === undefined ? a : Math.min(a, b));

/**
 * [{ text, advice, kind }] for a queue as the API shows it; `node` says whether publishers wait,
 * `consumers` (consumer_details) how many messages each of them may hold.
 */
export function standstill(queue, node, consumers = queue.consumer_details) {
  const {
    messages_ready: ready = 0,
    messages_unacknowledged: unacked = 0,
    messages_delayed: delayed = 0,
    messages_dead_letter_pending: stuck = 0,
    consumers: readers = 0,
  } = queue;
  const reasons = [];
  const add = (kind, text, advice) => reasons.push({ kind, text, advice });
  if (stuck) {
    add(
      "bad",
      `${many(stuck, "dead letter")} can not leave`,
      "Where they go is full or not there. Consume from the target, raise its limit, or bind a " +
        "queue to the dead-letter exchange.",
    );
  }
  if (queue.paused) add("warn", "Paused", "Somebody paused deliveries; resume the queue.");
  if (ready && !readers && queue.type !== "stream") {
    add("warn", "No consumer", "Messages wait until an application consumes from this queue.");
  } else if (ready && queue.type !== "stream") {
    whyReady(queue, { ready, unacked, readers, consumers }, add);
  }
  if (!ready && unacked) {
    add(
      "",
      `${many(unacked, "message")} with consumers`,
      "Everything is handed out and not acked yet.",
    );
  }
  if (delayed) {
    add(
      "",
      `${many(delayed, "message")} wait for their time`,
      "They were published with a delay, or are to be tried again later.",
    );
  }
  if (node?.mem_alarm) add("bad", "Publishers wait for memory", "See the alarm on the overview.");
  if (node?.disk_free_alarm)
    add("bad", "Publishers wait for disk", "See the alarm on the overview.");
  return reasons.length ? reasons : [{ kind: "good", text: "Nothing: no message waits" }];
}

function whyReady(queue, { ready, unacked, readers, consumers }, add) {
  const limit = perSecond(queue, "deliver-rate");
  const byteLimit = perSecond(queue, "deliver-byte-rate");
  const come = queue.message_stats?.publish_details?.rate || 0;
  const taken = queue.message_stats?.deliver_get_details?.rate || 0;
  if (limit || byteLimit) {
    add(
      "",
      `Held by its deliver rate, ${limit ? count(limit) : `${count(byteLimit)} bytes`} a second`,
      "The rate is an argument of the queue or of a policy.",
    );
  }
  const filtered = (consumers || []).filter((one) => one.arguments?.["x-filter"]);
  const whose = readers === 1 ? "Its consumer is" : "Consumers are";
  const held = `${many(unacked, "message")} handed out and not acked`;
  if (consumers?.length && filtered.length === consumers.length && !taken) {
    add(
      "warn",
      "Consumers take other messages only",
      "Every consumer has a filter, and what is ready matches none of them.",
    );
  } else if (taken && come > taken * SLOWER) {
    add(
      "warn",
      `${whose} too slow`,
      `${rate(come)} come and ${rate(taken)} are taken: more consumers help, or a higher prefetch.`,
    );
  } else if (taken) {
    const left = come < taken ? `, empty in ${span((ready / (taken - come)) * 1000)}` : "";
    add("", `Being delivered${left}`, `${rate(taken)} are taken.`);
  } else if (unacked && (roomOf(consumers) === 0 || queue.consumer_capacity === 0)) {
    add("warn", `${whose} full`, `${held}: as many as prefetch allows. See if they are stuck.`);
  } else if (unacked) {
    add("warn", `${whose} not taking any now`, `${held}. They may be at their prefetch, or slow.`);
  } else {
    add("", "Being delivered", "Consumers take messages as fast as they can.");
  }
}

// How many more messages consumers may hold; unknown if one has no limit.
function roomOf(consumers) {
  if (!consumers?.length) return undefined;
  let room = 0;
  for (const one of consumers) {
    const unacked = one.messages_unacknowledged ?? one.channel_details?.messages_unacknowledged;
    if (!one.prefetch_count || unacked === undefined) return undefined;
    room += Math.max(0, one.prefetch_count - unacked);
  }
  return room;
}
