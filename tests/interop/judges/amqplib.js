// amqplib on Node.js: confirms, returns, consumers, settling, exchanges, errors, large bodies.
'use strict';
const amqp = require('amqplib');
const assert = require('assert');
const crypto = require('crypto');

const url = `amqp://guest:guest@${process.env.HOST}:${process.env.PORT}`;
let passed = 0, failed = 0;

const pause = ms => new Promise(done => setTimeout(done, ms));

// Waits until `ready()` is true.
async function until(ready, ms = 5000) {
  for (const end = Date.now() + ms; !ready(); await pause(10)) {
    assert(Date.now() < end, 'never came true');
  }
}

const checks = {
  async 'publish, get, properties'(connection) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    channel.sendToQueue(queue, Buffer.from([0, 255, 254]), {
      contentType: 'a/b', persistent: true, priority: 3, correlationId: 'c', replyTo: 'r',
      expiration: '60000', messageId: 'm', timestamp: 1234567890, type: 't', appId: 'a',
      headers: { n: 5, text: 'x', yes: true, nested: { list: [1, 'two', null] } } });
    let message = false;
    while (!message) message = await channel.get(queue, { noAck: true });
    assert.deepStrictEqual([...message.content], [0, 255, 254]);
    assert.strictEqual(message.properties.correlationId, 'c');
    assert.deepStrictEqual(message.properties.headers.nested.list, [1, 'two', null]);
    assert.strictEqual(await channel.get(queue), false);
  },

  async 'a thousand confirms'(connection) {
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    for (let n = 0; n < 1000; n++) channel.sendToQueue(queue, Buffer.from(String(n)));
    await channel.waitForConfirms();
    assert.strictEqual((await channel.checkQueue(queue)).messageCount, 1000);
  },

  async 'a return comes before its confirm'(connection) {
    const channel = await connection.createConfirmChannel();
    const log = [];
    channel.on('return', message => log.push(`return ${message.content}`));
    channel.publish('', 'no.such.queue', Buffer.from('x'), { mandatory: true },
      error => log.push(error ? 'nack' : 'ack'));
    await channel.waitForConfirms();
    assert.deepStrictEqual(log, ['return x', 'ack']);
  },

  async 'a refused publish is nacked'(connection) {
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true,
      arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } });
    const log = [];
    for (let n = 0; n < 2; n++) {
      channel.sendToQueue(queue, Buffer.from('x'), {}, error => log.push(error ? 'nack' : 'ack'));
      await until(() => log.length === n + 1);
    }
    assert.deepStrictEqual(log, ['ack', 'nack']);
  },

  async 'consume with prefetch, in order'(connection) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.prefetch(7);
    const found = [];
    await channel.consume(queue, message => {
      found.push(Number(message.content));
      channel.ack(message);
    });
    for (let n = 0; n < 500; n++) channel.sendToQueue(queue, Buffer.from(String(n)));
    await until(() => found.length === 500);
    assert.deepStrictEqual(found, [...Array(500).keys()]);
  },

  async 'nack, reject and requeue'(connection) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const seen = [];
    await channel.consume(queue, message => {
      seen.push(`${message.content}${message.fields.redelivered ? '+' : ''}`);
      if (!message.fields.redelivered) channel.nack(message, false, true);
      else channel.reject(message, false);
    });
    channel.sendToQueue(queue, Buffer.from('a'));
    await until(() => seen.length === 2);
    assert.deepStrictEqual(seen, ['a', 'a+']);
    await pause(100);
    assert.strictEqual((await channel.checkQueue(queue)).messageCount, 0);
  },

  async 'deleting a queue cancels its consumer'(connection) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    let cancelled = false;
    await channel.consume(queue, message => { cancelled = cancelled || message === null; });
    await channel.deleteQueue(queue);
    await until(() => cancelled);
  },

  async 'exchanges of all kinds'(connection) {
    const channel = await connection.createConfirmChannel();
    for (const [kind, binding, args, key, headers] of [
      ['direct', 'k', {}, 'k', {}], ['fanout', '', {}, 'any', {}],
      ['topic', 'a.#', {}, 'a.b.c', {}],
      ['headers', '', { 'x-match': 'all', h: 1 }, '', { h: 1 }]]) {
      const name = `node.${process.pid}.${kind}`;
      await channel.assertExchange(name, kind, { autoDelete: true });
      const { queue } = await channel.assertQueue('', { exclusive: true });
      await channel.bindQueue(queue, name, binding, args);
      channel.publish(name, key, Buffer.from(kind), { headers });
      await channel.waitForConfirms();
      assert.strictEqual(String((await channel.get(queue, { noAck: true })).content), kind);
      await channel.unbindQueue(queue, name, binding, args);
    }
  },

  async 'a channel error spares the connection'(connection) {
    const channel = await connection.createChannel();
    let seen = null;
    channel.on('error', error => { seen = error; });
    await assert.rejects(channel.checkQueue('no.such.queue'), /NOT_FOUND/);
    await until(() => seen !== null);
    assert.strictEqual(seen.code, 404);
    await connection.createChannel();
  },

  async 'unequal arguments are refused'(connection) {
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    const queue = `node.${process.pid}.unequal`;
    await channel.assertQueue(queue, { exclusive: true });
    await assert.rejects(channel.assertQueue(queue, { exclusive: true, maxLength: 3 }),
      /PRECONDITION_FAILED - inequivalent arg 'x-max-length'/);
  },

  async 'dead letters'(connection) {
    const channel = await connection.createChannel();
    const dead = (await channel.assertQueue('', { exclusive: true })).queue;
    const { queue } = await channel.assertQueue('', { exclusive: true, messageTtl: 50,
      deadLetterExchange: '', deadLetterRoutingKey: dead });
    channel.sendToQueue(queue, Buffer.from('x'));
    let message = false;
    for (const end = Date.now() + 5000; !message && Date.now() < end;) {
      message = await channel.get(dead, { noAck: true });
    }
    const [death] = message.properties.headers['x-death'];
    assert.deepStrictEqual([death.queue, death.reason, Number(death.count)], [queue, 'expired', 1]);
  },

  async 'requests and direct replies'(connection) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.consume(queue, message => channel.sendToQueue(message.properties.replyTo,
      Buffer.from(`re: ${message.content}`)), { noAck: true });
    let reply = null;
    await channel.consume('amq.rabbitmq.reply-to', message => { reply = String(message.content); },
      { noAck: true });
    channel.sendToQueue(queue, Buffer.from('ask'), { replyTo: 'amq.rabbitmq.reply-to' });
    await until(() => reply !== null);
    assert.strictEqual(reply, 're: ask');
  },

  async 'bodies at the edges of a frame'(connection) {
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const frame = connection.connection.frameMax - 8;
    for (const size of [0, 1, frame - 1, frame, frame + 1, 2 * frame + 1, 16 * 2 ** 20 - 1]) {
      const body = crypto.randomBytes(size);
      channel.sendToQueue(queue, body);
      await channel.waitForConfirms();
      assert((await channel.get(queue, { noAck: true })).content.equals(body), `${size} bytes`);
    }
  },

  async '200 channels'(connection) {
    const own = await amqp.connect(url);
    const channels = await Promise.all([...Array(200)].map(() => own.createChannel()));
    await Promise.all(channels.map(channel => channel.assertQueue('', { exclusive: true })));
    await own.close();
  },

  async 'heartbeats of one second'() {
    const own = await amqp.connect(`${url}?heartbeat=1`);
    let error = null;
    own.on('error', reason => { error = reason; });
    await pause(4000);
    await (await own.createChannel()).assertQueue('', { exclusive: true });
    assert.strictEqual(error, null);
    await own.close();
  },

  async 'a wrong password'() {
    await assert.rejects(amqp.connect(url.replace('guest:guest', 'guest:no')), /403/);
  },
};

async function main() {
  const connection = await amqp.connect(url);
  for (const [name, check] of Object.entries(checks)) {
    const late = pause(40000).then(() => { throw new Error('time is up'); });
    late.catch(() => {});
    try {
      await Promise.race([check(connection), late]);
      passed++;
      console.log(`ok amqplib ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAIL amqplib ${name}: ${String(error.message).split('\n')[0]}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main().catch(error => {
  console.log(`FAIL amqplib: ${error.message}\n${passed} passed, ${failed + 1} failed`);
  process.exit(1);
});
