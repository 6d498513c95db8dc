// Every page with hostile names in it: text stays text, nothing is wrong, everybody can use it.
'use strict';
const assert = require('assert');
const fs = require('fs');
const { api, check, logIn, open, p, tab, visit } = require('./kit.js');
const { VHOST, names } = require('./hostile.js');

const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
// Those that are seen on a page of their own; the others are seen in lists.
const OWN = [names.script, names.image, names.long, names.rightToLeft, names.path];
// Pages that differ by their name alone need not be judged for their colours again.
const AGAIN = new Set(OWN.slice(1).map(name => p`/queues/${'/'}/${name}`));
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

// [address, a hostile name that must be seen there as text, or nothing]
async function places() {
  const q = name => p`/queues/${'/'}/${name}`;
  const [connection] = await api('GET', '/connections');
  const channels = await api('GET', '/channels').catch(() => []);
  return [
    ['/', null], ['/queues', names.script], ['/queues?vhost=%3Cscript%3Ealert(1)%3C%2Fscript%3E', VHOST],
    ...OWN.map(name => [q(name), name]),
    [q(names.image) + '?tab=messages&state=all', '<script>alert(1)</script>0'],
    [q(names.image) + '?tab=leases', names.script],
    ['/exchanges', names.quotes],
    [p`/exchanges/${'/'}/${names.image}`, names.image], [p`/exchanges/${'/'}/amq.default`, null],
    ['/connections', names.image], [p`/connections/${connection.name}`, names.script],
    ['/channels', null], ...channels.slice(0, 1).map(one => [p`/channels/${one.name}`, names.script]),
    ['/dead-letters', names.script], [p`/dead-letters/${'/'}/${names.image}`, '<script>alert(1)</script>1'],
    ['/waiting', names.image], ['/replays', null],
    [`/passport?vhost=%2F&id=${encodeURIComponent(names.image)}`, null],
    ['/users', names.image], [p`/users/${names.image}`, names.image],
    ['/vhosts', VHOST], [p`/vhosts/${VHOST}`, VHOST], ['/policies', names.script],
    ['/definitions', null], ['/log', null], ['/audit', null], ['/help', null], ['/none', null],
    ['/queues/%2F/none', null], ['/websocket', null],
  ];
}

async function judged(page, colours) {
  const options = { runOnly: { type: 'tag', values: TAGS } };
  if (colours === 'dark') options.runOnly = { type: 'rule', values: ['color-contrast'] };
  const { violations } = await page.evaluate(options => axe.run(document, options), options);
  const bad = violations.filter(({ impact }) => ['serious', 'critical', 'moderate'].includes(impact));
  const said = bad.map(({ id, nodes }) => `${id} (${nodes.length}): ${nodes[0].html.slice(0, 160)}`);
  assert.deepStrictEqual(said, [], colours);
}

async function lookAt(page, where, name) {
  await visit(page, where);
  if (name) {
    const seen = await page.evaluate(() => document.getElementById('main').textContent);
    assert(seen.includes(name), 'the name is not seen as it is');
  }
  const made = await page.evaluate(() =>
    document.querySelectorAll('main script, main img, main iframe, main [onerror]').length);
  assert.strictEqual(made, 0, 'a name became markup');
  await judged(page, 'light');
  await page.emulateMedia({ colorScheme: 'dark' });
  if (!AGAIN.has(where)) await judged(page, 'dark');
  await page.setViewportSize({ width: 360, height: 740 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1280, height: 800 });
  assert(wide <= 0, `${wide} pixels too wide at 360`);
}

async function dialogs(page, wrong) {
  await check('page: a message with hostile headers opens', async () => {
    await visit(page, p`/queues/${'/'}/${names.image}` + '?tab=messages&state=all');
    await page.getByRole('button', { name: '<script>alert(1)</script>0' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText(names.image).first().waitFor();
    await judged(page, 'light');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  });
  for (const [where, button] of [['/queues', 'Add queue'], ['/exchanges', 'Add exchange'],
    ['/users', 'Add user'], ['/policies', 'Add policy'], ['/vhosts', 'Add virtual host']]) {
    await check(`page: the dialog of ${button} can be used by all`, async () => {
      await visit(page, where);
      await page.getByRole('button', { name: button, exact: true }).click();
      await page.getByRole('dialog').waitFor();
      await judged(page, 'light');
      for (let n = 0; n < 60; n++) await page.keyboard.press('Tab');
      const inside = await page.evaluate(() =>
        document.activeElement === document.body || document.activeElement.closest('dialog') !== null);
      assert(inside, 'the focus has left the dialog');
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      const back = await page.evaluate(() => document.activeElement.textContent);
      assert.strictEqual(back, button, 'the focus is not where it was');
    });
  }
  assert.deepStrictEqual(wrong, []);
}

async function part(browser, list) {
  const { page, wrong, context } = await tab(browser);
  await page.addInitScript(axe);
  await logIn(page);
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  for (const [where, name] of list) {
    await check(`page ${where.slice(0, 60)}`, async () => {
      wrong.length = 0;
      await lookAt(page, where, name);
      assert.deepStrictEqual(wrong, []);
    });
  }
  return { page, wrong, context };
}

async function walk() {
  const browser = await open();
  const all = await places();
  const half = Math.ceil(all.length / 2);
  const [first] = await Promise.all([part(browser, all.slice(0, half)), part(browser, all.slice(half))]);
  await dialogs(first.page, first.wrong);
  await browser.close();
}

module.exports = { walk };
