// MQTT.js on Node.js: versions 3.1.1 and 5, over TCP and, where MQTT_URL says where, WebSocket.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const mqtt = require('mqtt');

const TCP = `mqtt://${process.env.HOST}:${process.env.MQTT_PORT}`;
const WAIT_MS_MAX = 10000;
const BURST = 2000;
const MOSQUITTO = process.env.BROKER === 'mosquitto';
let passed = 0, failed = 0, number = 0;

const pause = ms => new Promise(done => setTimeout(done, ms));

async function until(ready, what, ms = WAIT_MS_MAX) {
  for (const end = Date.now() + ms; !ready(); await pause(5)) {
    assert(Date.now() < end, `never: ${typeof what === 'function' ? what() : what}`);
  }
}

// What one check works with: a prefix, a version, a transport, clients.
class Stage {
  constructor(url, protocolVersion) {
    Object.assign(this, { url, protocolVersion, clients: [] });
    this.prefix = `js-${process.pid}-${++number}`;
  }

  topic(rest) { return `${this.prefix}/${rest}`; }

  async client(name, options = {}) {
    const client = await mqtt.connectAsync(this.url, {
      protocolVersion: this.protocolVersion, clientId: `${this.prefix}-${name}`, clean: true,
      username: 'guest', password: 'guest', reconnectPeriod: 0, connectTimeout: WAIT_MS_MAX,
      ...options }, false);
    client.got = [];
    client.on('message', (topic, payload, packet) => client.got.push({ topic, payload, packet }));
    client.on('error', () => {});
    this.clients.push(client);
    return client;
  }

  // An option of a kept session in the words of both versions.
  kept(seconds = 60) {
    return this.protocolVersion === 5
      ? { clean: false, properties: { sessionExpiryInterval: seconds } } : { clean: false };
  }

  async close() { for (const client of this.clients) await client.endAsync(true); }
}

// So many messages and no more.
async function take(client, count, quiet = 150) {
  await until(() => client.got.length >= count, () => `${client.got.length} of ${count} messages`);
  await pause(quiet);
  assert.strictEqual(client.got.length, count);
  return client.got.splice(0);
}

const both = {
  async 'every QoS to every QoS'(s) {
    const publisher = await s.client('publisher');
    const payload = Buffer.from([...Array(256).keys()]);
    for (const granted of [0, 1, 2]) {
      const reader = await s.client(`reader${granted}`);
      const answer = await reader.subscribeAsync(s.topic('+'), { qos: granted });
      assert.strictEqual(answer[0].qos, granted);
      for (const qos of [0, 1, 2]) {
        await publisher.publishAsync(s.topic(`t${qos}`), payload, { qos });
      }
      for (const { topic, payload: found, packet } of await take(reader, 3)) {
        assert.strictEqual(packet.qos, Math.min(granted, Number(topic.at(-1))));
        assert(payload.equals(found));
      }
    }
  },

  async 'retained, replaced, removed'(s) {
    const client = await s.client('a');
    for (const text of ['one', 'two']) {
      await client.publishAsync(s.topic('r'), text, { qos: 1, retain: true });
    }
    await client.subscribeAsync(s.topic('#'), { qos: 1 });
    const [found] = await take(client, 1);
    assert(found.packet.retain && found.payload.toString() === 'two');
    await client.publishAsync(s.topic('r'), '', { qos: 1, retain: true });
    const late = await s.client('late');
    await late.subscribeAsync(s.topic('#'), { qos: 1 });
    await take(late, 0);
  },

  async 'a will after a cut'(s) {
    const watcher = await s.client('watcher');
    await watcher.subscribeAsync(s.topic('will'), { qos: 2 });
    const client = await s.client('client', {
      will: { topic: s.topic('will'), payload: Buffer.from('gone'), qos: 2, retain: false } });
    client.stream.destroy();
    const [found] = await take(watcher, 1);
    assert.strictEqual(found.payload.toString(), 'gone');
    assert.strictEqual(found.packet.qos, 2);
  },

  async 'a session waits'(s) {
    let reader = await s.client('reader', s.kept());
    await reader.subscribeAsync(s.topic('+'), { qos: 2 });
    await reader.endAsync();
    const publisher = await s.client('publisher');
    for (let n = 0; n < 20; n++) {
      await publisher.publishAsync(s.topic('t'), String(n), { qos: 1 + n % 2 });
    }
    let present;
    reader = mqtt.connect(s.url, {
      protocolVersion: s.protocolVersion, clientId: `${s.prefix}-reader`, username: 'guest',
      password: 'guest', reconnectPeriod: 0, ...s.kept() });
    s.clients.push(reader);
    reader.got = [];
    reader.on('message', (topic, payload) => reader.got.push({ payload }));
    reader.on('connect', packet => { present = packet.sessionPresent; });
    const numbers = (await take(reader, 20)).map(({ payload }) => Number(payload));
    assert.strictEqual(present, true);
    assert.deepStrictEqual(numbers.sort((a, b) => a - b), [...Array(20).keys()]);
  },

  async 'a large payload and names in all alphabets'(s) {
    const client = await s.client('a');
    await client.subscribeAsync(s.topic('#'), { qos: 1 });
    const large = crypto.randomBytes(4 << 20);
    await client.publishAsync(s.topic('large'), large, { qos: 1 });
    assert(large.equals((await take(client, 1))[0].payload));
    const names = ['ж/ж', '日本/語', '😀', 'a b', 'e\u0301', 'x'.repeat(500)];
    for (const name of names) await client.publishAsync(s.topic(name), name, { qos: 1 });
    const found = (await take(client, names.length)).map(({ topic }) => topic);
    assert.deepStrictEqual(found, names.map(name => s.topic(name)));
  },

  async 'a burst in order'(s) {
    const publisher = await s.client('publisher'), reader = await s.client('reader');
    await reader.subscribeAsync(s.topic('+'), { qos: 2 });
    for (const qos of [1, 2]) {
      const sent = [];
      for (let n = 0; n < BURST; n++) {
        sent.push(publisher.publishAsync(s.topic('t'), String(n), { qos }));
        if (n % 20 === 19) await sent.at(-1);
      }
      await Promise.all(sent);
      const found = (await take(reader, BURST)).map(({ payload }) => Number(payload));
      assert.deepStrictEqual(found, [...Array(BURST).keys()], `QoS ${qos}`);
    }
  },

  async 'unsubscribing'(s) {
    const client = await s.client('a');
    await client.subscribeAsync(s.topic('t'));
    await client.unsubscribeAsync(s.topic('t'));
    await client.publishAsync(s.topic('t'), 'x', { qos: 1 });
    await take(client, 0);
  },
};

const only5 = {
  async 'properties of a message'(s) {
    const client = await s.client('a');
    await client.subscribeAsync(s.topic('t'), { qos: 2 });
    const properties = {
      payloadFormatIndicator: true, contentType: 'text/plain', responseTopic: 'answers',
      correlationData: Buffer.from([0, 255]), userProperties: { k: ['v', 'w'], 'ü': '日本' } };
    for (const qos of [0, 1, 2]) {
      await client.publishAsync(s.topic('t'), 'text', { qos, properties });
    }
    for (const { packet } of await take(client, 3)) {
      const found = packet.properties;
      for (const name of Object.keys(properties)) {
        assert.deepStrictEqual(
          name === 'userProperties' ? { ...found[name] } : found[name], properties[name], name);
      }
    }
  },

  async 'options of a subscription'(s) {
    const one = await s.client('a'), two = await s.client('b');
    await one.subscribeAsync(s.topic('t'), { qos: 1, nl: true });
    await two.subscribeAsync(s.topic('t'), {
      qos: 1, rap: true, properties: { subscriptionIdentifier: 99 } });
    await one.publishAsync(s.topic('t'), 'x', { qos: 1, retain: true });
    const [{ packet }] = await take(two, 1);
    assert(packet.retain);
    assert.strictEqual(packet.properties.subscriptionIdentifier, 99);
    await take(one, 0);
    for (const [rh, count] of [[0, 1], [1, 0], [2, 0]]) {
      await two.subscribeAsync(s.topic('t'), { qos: 1, rh });
      await take(two, count);
    }
    await one.publishAsync(s.topic('t'), '', { qos: 1, retain: true });
  },

  async 'topic aliases in both directions'(s) {
    const publisher = await s.client('publisher', { autoAssignTopicAlias: true });
    const reader = await s.client('reader', { properties: { topicAliasMaximum: 2 } });
    await reader.subscribeAsync(s.topic('+'), { qos: 1 });
    for (let n = 0; n < 12; n++) {
      await publisher.publishAsync(s.topic(`t${n % 3}`), 'x', { qos: 1 });
    }
    const found = (await take(reader, 12)).map(({ topic }) => topic);
    assert.deepStrictEqual(found, [...Array(12).keys()].map(n => s.topic(`t${n % 3}`)));
  },

  async 'a group shares'(s) {
    const readers = [];
    for (const name of ['a', 'b']) {
      readers.push(await s.client(name));
      await readers.at(-1).subscribeAsync(`$share/g/${s.topic('t')}`, { qos: 1 });
    }
    const publisher = await s.client('publisher');
    for (let n = 0; n < 40; n++) await publisher.publishAsync(s.topic('t'), String(n), { qos: 1 });
    await until(() => readers[0].got.length + readers[1].got.length >= 40, 'forty messages');
    await pause(150);
    const counts = readers.map(reader => reader.got.length);
    assert.strictEqual(counts[0] + counts[1], 40);
    assert(Math.min(...counts) > 0, String(counts));
  },

  async 'a will with a delay'(s) {
    const watcher = await s.client('watcher');
    await watcher.subscribeAsync(s.topic('will'), { qos: 1 });
    const client = await s.client('client', {
      properties: { sessionExpiryInterval: 60 },
      will: { topic: s.topic('will'), payload: Buffer.from('gone'), qos: 1, retain: false,
        properties: { willDelayInterval: 1, contentType: 'x/y' } } });
    client.stream.destroy();
    await take(watcher, 0, 600);
    const [{ packet }] = await take(watcher, 1);
    assert.strictEqual(packet.properties.contentType, 'x/y');
  },

  async 'taken over'(s) {
    const first = await s.client('same');
    let told;
    first.on('disconnect', packet => { told = packet.reasonCode; });
    await s.client('same');
    await until(() => told !== undefined || MOSQUITTO && !first.connected, 'DISCONNECT');
    assert(told === 0x8e || MOSQUITTO, `reason ${told}`);
  },
};

async function run(name, check, url, version) {
  const s = new Stage(url, version);
  try {
    await check(s);
    passed++;
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}: ${String(error.message).slice(0, 300).replaceAll('\n', ' ')}`);
  }
  await s.close();
}

async function main() {
  const waiting = [];
  for (const [how, url] of [['tcp', TCP], ['websocket', process.env.MQTT_URL]]) {
    if (!url) continue;
    for (const version of [4, 5]) {
      const checks = version === 5 ? { ...both, ...only5 } : both;
      for (const [name, check] of Object.entries(checks)) {
        waiting.push(() => run(`${name}, v${version}, ${how}`, check, url, version));
      }
    }
  }
  const worker = async () => { while (waiting.length) await waiting.shift()(); };
  await Promise.all([worker(), worker(), worker(), worker()]);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
