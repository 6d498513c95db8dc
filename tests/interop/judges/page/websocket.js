// The view of WebSocket: subscribe, publish and settle by clicking, and the end of its connection.
'use strict';
const assert = require('assert');
const { api, check, logIn, open, p, tab, visit } = require('./kit.js');

const QUEUE = 'page-websocket';
const HOSTILE = '<img src=x onerror=alert(1)>';

const press = (page, name) => page.getByRole('button', { name, exact: true }).click();
const messages = page => page.getByRole('article');

async function subscribe(page, from, what) {
  await page.getByLabel('From', { exact: true }).selectOption(from);
  await page.getByLabel('Topic or queue').fill(what);
  await press(page, 'Subscribe');
  await page.getByText(`Subscribed to the ${from}`).waitFor();
}

async function publish(page, to, where, body) {
  await page.getByLabel('To', { exact: true }).selectOption(to);
  await page.getByLabel('To which').fill(where);
  await page.getByLabel('Body').fill(body);
  await press(page, 'Publish');
  await messages(page).filter({ hasText: body }).first().waitFor();
}

async function openConnections() {
  const all = await api('GET', '/connections');
  return all.filter(one => one.protocol === 'ferrymq.json').length;
}

async function websocket() {
  const browser = await open();
  const { page, wrong } = await tab(browser);
  await api('PUT', p`/queues/${'/'}/${QUEUE}`, { durable: true });
  await logIn(page);
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await check('websocket: a topic gives what is published to it', async () => {
    await visit(page, '/websocket');
    await press(page, 'Connect');
    await page.getByText('Connected and logged in').waitFor();
    await subscribe(page, 'topic', 'page/+');
    await publish(page, 'topic', 'page/1', HOSTILE);
    assert.strictEqual(await page.evaluate(() => document.querySelectorAll('main img').length), 0);
  });
  await check('websocket: a message of a queue is put back, and acked', async () => {
    await subscribe(page, 'queue', QUEUE);
    await publish(page, 'queue', QUEUE, 'to be settled');
    await press(page, 'Put back');
    await messages(page).filter({ hasText: 'yes' }).waitFor();
    await press(page, 'Ack');
    await page.getByText('It is gone: acked').waitFor();
    assert.strictEqual(await messages(page).count(), 1);
  });
  await check('websocket: what is refused is said', async () => {
    await page.getByLabel('From', { exact: true }).selectOption('queue');
    await page.getByLabel('Topic or queue').fill('none');
    await press(page, 'Subscribe');
    await page.getByText("no queue 'none'").waitFor();
  });
  await check('websocket: who leaves the view ends its connection', async () => {
    assert.strictEqual(await openConnections(), 1);
    await visit(page, '/help');
    for (let n = 0; n < 100 && await openConnections() > 0; n++) await page.waitForTimeout(50);
    assert.strictEqual(await openConnections(), 0);
  });
  await check('websocket: nothing went wrong', () => assert.deepStrictEqual(wrong, []));
  await api('DELETE', p`/queues/${'/'}/${QUEUE}`);
  await browser.close();
}

module.exports = { websocket };
