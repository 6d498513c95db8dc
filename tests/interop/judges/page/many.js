// Ten thousand queues: the page asks for a part of them, one request after the other, and is quick.
'use strict';
const assert = require('assert');
const amqp = require('amqplib');
const { check, logIn, open, tab, visit } = require('./kit.js');

const QUEUES = Number(process.env.PAGE_QUEUES || 10000);
const ANSWER_MS_MAX = 2000;
// A little longer than the page waits from one request to the next.
const LOOK_MS = 6000;

async function declare() {
  const { HOST, PORT } = process.env;
  const connection = await amqp.connect(`amqp://guest:guest@${HOST}:${PORT}`);
  const channel = await connection.createChannel();
  const all = [];
  for (let n = 0; n < QUEUES; n++) all.push(channel.assertQueue(`zz-many-${n}`, { durable: false, exclusive: true }));
  await Promise.all(all);
  return connection;
}

async function many() {
  const connection = await declare();
  const browser = await open();
  const { page, wrong } = await tab(browser);
  await logIn(page);
  let open_ = 0, overlapping = 0, asked = 0;
  const lists = request => /\/api\/queues\?/.test(request.url());
  page.on('request', request => {
    if (!lists(request)) return;
    asked++;
    if (++open_ > 1) overlapping++;
  });
  for (const event of ['requestfinished', 'requestfailed']) {
    page.on(event, request => { if (lists(request)) open_--; });
  }
  await check(`many: ${QUEUES} queues are shown by page`, async () => {
    const began = Date.now();
    await visit(page, '/queues?sort=messages');
    const took = Date.now() - began;
    assert.strictEqual(await page.locator('tbody tr').count(), 100);
    assert(took < ANSWER_MS_MAX, `it took ${took} ms`);
  });
  asked = overlapping = 0;
  await check('many: requests do not overlap, and stop when figures stand still', async () => {
    await page.waitForTimeout(LOOK_MS);
    assert(asked >= 1, 'it is not brought up to date');
    assert.strictEqual(overlapping, 0);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.waitForTimeout(300);
    const before = asked;
    await page.waitForTimeout(LOOK_MS);
    assert.strictEqual(asked, before);
    assert.deepStrictEqual(wrong, []);
  });
  await browser.close();
  await connection.close();
}

module.exports = { many };
