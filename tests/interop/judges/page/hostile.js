// A node full of names that would like to be markup, a log line, or the whole page.
'use strict';
const amqp = require('amqplib');
const { api, p } = require('./kit.js');

const MARKUP = '<script>alert(1)</script>';
const names = {
  script: MARKUP,
  image: '"><img src=x onerror=alert(1)>',
  quotes: `' OR "1"='1' -- \`\${x}\``,
  long: 'x'.repeat(255),
  rightToLeft: 'שלום \u202eمرحبا\u202c queue',
  path: 'a/b?c=d#e&f=%2F;..',
  control: 'tab\tand bell\u0007',
};
const VHOST = MARKUP;
const LONG = 'y'.repeat(10000);

// What these promise is said in red on every page of theirs.
const weaker = new Map([[names.script, 'written'], [names.path, 'memory']]);

async function declare(vhost, name) {
  const promise = weaker.has(name) ? { 'x-sync': weaker.get(name) } : {};
  await api('PUT', p`/queues/${vhost}/${name}`, { durable: true, arguments: { ...promise,
    'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': name.slice(0, 250) + 'dead' } });
  await api('PUT', p`/exchanges/${vhost}/${name}`, { type: 'topic', durable: true, arguments: {} });
  await api('POST', p`/bindings/${vhost}/e/${name}/q/${name}`,
    { routing_key: name, arguments: { [name.slice(0, 100)]: name } });
}

// A client that stays, with hostile properties, consumer tag and headers.
async function client() {
  const { HOST, PORT } = process.env;
  const connection = await amqp.connect(`amqp://guest:guest@${HOST}:${PORT}`, {
    clientProperties: { product: MARKUP, connection_name: names.image, version: LONG.slice(0, 2000) } });
  const channel = await connection.createChannel();
  await channel.assertQueue(names.image, { durable: true, arguments: {
    'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': names.image + 'dead' } });
  await channel.prefetch(1);
  for (let n = 0; n < 3; n++) {
    channel.sendToQueue(names.image, Buffer.from(`${MARKUP} ${LONG}`), { messageId: `${MARKUP}${n}`,
      type: names.image, appId: names.rightToLeft, headers: { [names.image]: MARKUP, long: LONG } });
  }
  await channel.consume(names.image, () => {}, { consumerTag: MARKUP });
  return connection;
}

// Fills the node; returns the connection that is to be closed in the end.
async function fill() {
  await api('PUT', p`/vhosts/${VHOST}`, { description: names.image, tags: MARKUP });
  await api('PUT', p`/permissions/${VHOST}/guest`, { configure: '.*', write: '.*', read: '.*' });
  for (const name of Object.values(names)) await declare('/', name);
  await declare(VHOST, names.script);
  await api('PUT', p`/queues/${'/'}/${names.script + 'dead'}`, { durable: true, arguments: {} });
  await api('PUT', p`/users/${names.image}`, { password: 'x', tags: 'management' });
  await api('PUT', p`/policies/${'/'}/${names.script}`, { pattern: '^<script>', priority: 1,
    'apply-to': 'queues', definition: { 'max-length': 1000 } });
  return client();
}

module.exports = { VHOST, fill, names };
