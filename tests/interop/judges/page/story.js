// A newcomer with a browser: a user, a queue and a binding, a message that is published, looked at,
// dead-lettered, edited and replayed. All of it by clicking and typing.
'use strict';
const assert = require('assert');
const { api, base, check, logIn, open, tab } = require('./kit.js');

const heading = (page, name) => page.getByRole('heading', { name, level: 1 }).waitFor();
const press = (place, name) => place.getByRole('button', { name, exact: true }).click();
const part = (page, name) => page.getByRole('navigation', { name: 'Parts of this page' })
  .getByRole('link', { name }).click();
const menu = (page, name) => page.getByRole('navigation', { name: 'Pages' })
  .getByRole('link', { name, exact: true }).click();

// Opens a dialog by a button, fills in its fields, and sends it off.
async function fillIn(page, button, values, submit = button) {
  await press(page, button);
  const dialog = page.getByRole('dialog');
  for (const [label, value] of Object.entries(values)) {
    const field = dialog.getByLabel(label, { exact: false }).first();
    if (value === true) await field.check();
    else if (typeof value === 'object') await field.selectOption(value.choose);
    else await field.fill(value);
  }
  await press(dialog, submit);
  await dialog.waitFor({ state: 'detached' });
}

async function comesIn(page) {
  await check('story: a wrong password is told', async () => {
    await logIn(page, 'guest', 'wrong');
    await page.getByRole('alert').filter({ hasText: 'wrong' }).waitFor();
  });
  await check('story: a user is made, and may come in', async () => {
    await logIn(page);
    await menu(page, 'Users');
    await fillIn(page, 'Add user', { Name: 'newcomer', 'Password (': 'ship and sail',
      'Password again': 'ship and sail', policymaker: true });
    await heading(page, 'User newcomer');
    await press(page, 'Log out');
    await page.getByRole('button', { name: 'Log in' }).waitFor();
    await logIn(page, 'newcomer', 'ship and sail');
    await heading(page, 'Overview');
  });
  await check('story: what a user may not see is not offered, and says why', async () => {
    assert.strictEqual(await page.getByRole('link', { name: 'Users', exact: true }).count(), 0);
    await page.goto(base + '/#/users');
    await page.getByText('You may not see this').waitFor();
    await menu(page, 'Overview');
    await heading(page, 'Overview');
  });
}

async function declares(page) {
  await check('story: two queues, one with dead letters', async () => {
    await menu(page, 'Queues');
    await fillIn(page, 'Add queue', { Name: 'work.dead' });
    await heading(page, 'Queue work.dead');
    await menu(page, 'Queues');
    await press(page, 'Add queue');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('work');
    await dialog.getByText('Dead letters', { exact: true }).click();
    await dialog.getByLabel('Routing key').fill('work.dead');
    await press(dialog, 'Add queue');
    await heading(page, 'Queue work');
  });
  await check('story: a binding, and its picture', async () => {
    await menu(page, 'Exchanges');
    await page.getByRole('link', { name: 'amq.topic', exact: true }).click();
    await heading(page, 'Exchange amq.topic');
    await page.getByRole('button', { name: 'Add binding' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Its name').fill('work');
    await dialog.getByLabel('Routing key').fill('order.*');
    await press(dialog, 'Bind');
    await page.getByRole('link', { name: 'queue work' }).waitFor();
  });
}

async function works(page) {
  await check('story: a message is published and looked at', async () => {
    await fillIn(page, 'Publish message', { 'Routing key': 'order.new', Payload: '{"amount": "two"}' },
      'Publish');
    await menu(page, 'Queues');
    await page.getByRole('link', { name: 'work', exact: true }).click();
    await part(page, /^Messages/);
    await page.getByText('{"amount": "two"}').waitFor();
    const { messages_ready: ready } = await api('GET', '/queues/%2F/work');
    assert.strictEqual(ready, 1, 'looking has taken it');
  });
  await check('story: a purge is undone', async () => {
    await part(page, 'Overview');
    await fillIn(page, 'Purge', {});
    await press(page, 'Undo');
    await page.getByText('Undone: nothing was changed.').first().waitFor();
  });
  await check('story: it is taken and rejected, so it is a dead letter', async () => {
    await fillIn(page, 'Take messages', { Afterwards: { choose: 'reject_requeue_false' } }, 'Take')
      .catch(() => {});
    const taken = page.getByRole('dialog');
    await taken.getByText('{"amount": "two"}').waitFor();
    await taken.getByRole('button', { name: 'Close', exact: true }).last().click();
  });
  await check('story: the dead letter is found, mended and replayed', async () => {
    await menu(page, 'Dead letters');
    await page.getByRole('link', { name: 'work.dead', exact: true }).first().click();
    await heading(page, 'Dead letters in work.dead');
    await page.getByText('rejected').first().waitFor();
    await page.getByRole('button', { name: /no id/ }).click();
    await press(page.getByRole('dialog'), 'Edit and replay');
    const edit = page.getByRole('dialog').last();
    await edit.getByLabel('Payload', { exact: true }).fill('{"amount": 2}');
    await press(edit, 'Replay edited');
    await page.getByText('Replayed as edited').first().waitFor();
  });
  await check('story: the mended message is back at work', async () => {
    await menu(page, 'Queues');
    await page.getByRole('link', { name: 'work', exact: true }).click();
    await part(page, /^Messages/);
    await page.getByText('{"amount": 2}').waitFor();
    const { messages_ready: left } = await api('GET', '/queues/%2F/work.dead');
    assert.strictEqual(left, 0);
  });
}

async function story() {
  const browser = await open();
  const { page, wrong } = await tab(browser);
  await comesIn(page);
  await declares(page);
  await works(page);
  await check('story: nothing went wrong on the way', async () => assert.deepStrictEqual(wrong, []));
  await browser.close();
}

module.exports = { story };
