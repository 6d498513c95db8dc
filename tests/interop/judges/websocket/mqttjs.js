// MQTT.js over WebSocket: mqttjs.js URL VERSION prints `ok`.
'use strict';
const assert = require('assert');
const mqtt = require('mqtt');

async function main() {
  const [url, version] = process.argv.slice(2);
  const client = await mqtt.connectAsync(url, {
    protocolVersion: Number(version), protocolId: version === '3' ? 'MQIsdp' : 'MQTT',
    username: 'guest', password: 'guest', keepalive: 1,
  });
  const topic = `judge/${process.pid}`;
  const got = [];
  client.on('message', (name, payload) => got.push([name, payload]));
  await client.subscribeAsync(`${topic}/+`, { qos: 2 });
  for (const [qos, size] of [[0, 0], [1, 70000], [2, 300000]]) {
    await client.publishAsync(`${topic}/${qos}`, Buffer.alloc(size, qos), { qos });
  }
  for (let n = 0; n < 200 && got.length < 3; n++) await new Promise(done => setTimeout(done, 25));
  got.sort(([a], [b]) => (a < b ? -1 : 1));
  assert.deepStrictEqual(got.map(([name, payload]) => [name, payload.length]),
    [[`${topic}/0`, 0], [`${topic}/1`, 70000], [`${topic}/2`, 300000]]);
  await new Promise(done => setTimeout(done, 2500));
  assert(client.connected, 'a silent connection lives by its pings');
  await client.endAsync();
  console.log('ok');
}

main().catch(error => { console.error(error); process.exit(1); });
