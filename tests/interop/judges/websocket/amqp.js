// @cloudamqp/amqp-client over WebSocket: amqp.js URL prints `ok`.
'use strict';
const assert = require('assert');
globalThis.WebSocket ??= require('ws');
const { AMQPWebSocketClient } = require('@cloudamqp/amqp-client');

async function main() {
  const client = new AMQPWebSocketClient(process.argv[2], '/', 'guest', 'guest');
  const connection = await client.connect();
  const channel = await connection.channel();
  await channel.confirmSelect();
  const { name } = await channel.queueDeclare('', { exclusive: true });
  const sizes = [0, 1, 5000, 400000];
  for (const [at, size] of sizes.entries()) {
    const tag = await channel.basicPublish('', name, 'x'.repeat(size), { deliveryMode: 2 });
    assert.strictEqual(tag, at + 1, 'it is confirmed');
  }
  const got = [];
  await new Promise(done => channel.basicConsume(name, { noAck: false }, message => {
    got.push(message.bodyString().length);
    message.ack();
    if (got.length === sizes.length) done();
  }));
  assert.deepStrictEqual(got, sizes);
  await connection.close();
  console.log('ok');
}

main().catch(error => { console.error(error); process.exit(1); });
