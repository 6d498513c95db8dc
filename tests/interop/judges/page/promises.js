// A promise weaker than "synced to disk" is said in red wherever its node or queue is shown, and
// nothing is said where there is none.
'use strict';
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { execFileSync } = require('child_process');
const { api, base, check, logIn, open, p, tab, visit } = require('./kit.js');

const LIB = path.join(__dirname, '..', '..', 'lib.py');
const WRITTEN = 'a loss of power may lose confirmed messages';
const MEMORY = 'lost when the node ends';
// [name, arguments, what is said in red on a node whose setting is sync]
const QUEUES = [
  ['promise-unsaid', {}, null],
  ['promise-sync', { 'x-sync': 'sync' }, null],
  ['promise-written', { 'x-sync': 'written' }, WRITTEN],
  ['promise-memory', { 'x-sync': 'memory' }, MEMORY],
];

const lib = (words, env = {}) =>
  execFileSync('python3', [LIB, ...words], { encoding: 'utf8', env: { ...process.env, ...env } }).trim();

// Red as somebody sees it: its letters or the ground below them, in light colours and in dark ones.
async function isRed(page, place) {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    const colours = await place.evaluate(element =>
      [getComputedStyle(element).color, getComputedStyle(element).backgroundColor]);
    const red = colours.some(colour => {
      const [red, green, blue] = colour.match(/\d+/g).map(Number);
      return red > green + 60 && red > blue + 60;
    });
    assert(red, `${colorScheme}: ${colours}`);
  }
}

const badges = place => place.locator('.badge.bad').filter({ hasText: /confirmed|sync =/ });
const rowOf = (page, name) => page.getByRole('row').filter({
  has: page.getByRole('rowheader', { name, exact: true }) });

async function declare(at, queues = QUEUES) {
  for (const [name, args] of queues) {
    await api('PUT', p`/queues/${'/'}/${name}`, { durable: true, arguments: args }, at);
  }
}

// A queue says it in the list and on each of its pages, or nowhere.
async function says(page, name, wanted) {
  await visit(page, '/queues?name=promise-');
  assert.strictEqual(await rowOf(page, name).count(), 1, `${name} is in the list`);
  const badge = badges(rowOf(page, name));
  assert.strictEqual(await badge.count(), wanted ? 1 : 0, `${name} in the list`);
  if (wanted) {
    await isRed(page, badge);
    assert((await badge.getAttribute('title')).includes(wanted));
  }
  for (const part of ['', '?tab=messages', '?tab=leases']) {
    await visit(page, p`/queues/${'/'}/${name}` + part);
    assert.strictEqual(await badges(page).count(), wanted ? 1 : 0, `${name}${part}`);
    const told = page.getByRole('region', { name: 'What a confirm means' });
    if (wanted) assert((await told.textContent()).includes(wanted), `${name}${part}`);
    else assert.strictEqual(await told.count(), 0, `${name}${part}`);
  }
}

async function nodeSays(page, wanted) {
  for (const where of ['/', '/log']) {
    await visit(page, where);
    const told = page.getByRole('alert').filter({ hasText: 'sync = "sync"' });
    assert.strictEqual(await told.count(), wanted ? 1 : 0, where);
    assert.strictEqual(await badges(page).count(), wanted ? 1 : 0, where);
    if (!wanted) continue;
    await isRed(page, badges(page));
    assert((await told.textContent()).includes(wanted), where);
  }
}

async function ofThisNode(browser) {
  const { page, wrong, context } = await tab(browser);
  await declare(base);
  await logIn(page);
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await check('promises: a node that syncs says nothing', () => nodeSays(page, null));
  for (const [name, , wanted] of QUEUES) {
    await check(`promises: ${name} says ${wanted ? 'so in red' : 'nothing'}`,
      () => says(page, name, wanted));
  }
  await check('promises: nothing went wrong', () => assert.deepStrictEqual(wrong, []));
  for (const [name] of QUEUES) await api('DELETE', p`/queues/${'/'}/${name}`);
  await context.close();
}

async function lookAt(browser, folder, look) {
  const { http } = JSON.parse(fs.readFileSync(path.join(folder, 'broker.json')));
  const at = `http://127.0.0.1:${http}`;
  const { page, context } = await tab(browser);
  await logIn(page, 'guest', 'guest', at);
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await look(page, at);
  await context.close();
}

// A node with another setting, which is then started again with the default.
async function ofWeakerNodes(browser) {
  for (const [sync, wanted] of [['written', WRITTEN], ['memory', MEMORY]]) {
    const folder = lib(['start', 'ferrymq', '--http'], { FERRYMQ_SYNC: sync });
    try {
      await check(`promises: a node with sync = ${sync} says so in red`, () =>
        lookAt(browser, folder, async (page, at) => {
          await declare(at);
          await nodeSays(page, wanted);
          await says(page, 'promise-unsaid', wanted);
          await says(page, 'promise-sync', null);
        }));
      lib(['restart', folder]);
      await check(`promises: a queue keeps ${sync} when the node is mended, and says so`, () =>
        lookAt(browser, folder, async page => {
          await nodeSays(page, null);
          await says(page, 'promise-unsaid', wanted);
        }));
    } finally {
      lib(['remove', folder]);
    }
  }
}

async function promises() {
  const browser = await open();
  await ofThisNode(browser);
  await ofWeakerNodes(browser);
  await browser.close();
}

module.exports = { promises };
