// A browser that notes what must not happen, the node's API, and counting checks.
'use strict';
const { chromium } = require('playwright-core');

const base = `http://${process.env.HOST}:${process.env.HTTP_PORT}`;
const basic = pair => 'Basic ' + Buffer.from(pair).toString('base64');

let passed = 0, failed = 0;

// Runs a check; an exception is its failure.
async function check(name, run) {
  try {
    await run();
    passed++;
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}: ${String(error.message).split('\n').slice(0, 6).join(' ').slice(0, 400)}`);
  }
}

function finish() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

// A request to the management API as guest; throws unless it is answered well.
async function api(method, path, body, at = base) {
  const response = await fetch(at + '/api' + path, {
    method,
    headers: { authorization: basic('guest:guest'), 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  const text = await response.text();
  return text ? JSON.parse(text) : undefined;
}

// A path with every value percent-encoded.
const p = (strings, ...values) =>
  strings.reduce((made, part, n) => made + encodeURIComponent(values[n - 1]) + part);

const open = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });

// A page of its own, with a list of what went wrong on it.
async function tab(browser, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  const wrong = [];
  page.on('dialog', dialog => { wrong.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('pageerror', error => wrong.push(`error: ${error.message}`));
  page.on('console', message => {
    // Chromium says of every refused request that it was refused; pages ask for what may not be there.
    const about = message.text();
    if (['error', 'warning'].includes(message.type()) && !about.startsWith('Failed to load resource')) {
      wrong.push(`console: ${about}`);
    }
  });
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', event =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return { page, wrong, context };
}

async function logIn(page, user = 'guest', password = 'guest', at = base) {
  await page.goto(at + '/');
  await page.getByLabel('User').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

// Goes to a page and waits until it shows what the node has answered.
async function visit(page, where) {
  await page.evaluate(where => { location.hash = where; }, where);
  await page.waitForFunction(where => {
    const main = document.getElementById('main');
    return main && location.hash === '#' + where && main.dataset.shown === where;
  }, where);
}

module.exports = { api, base, basic, check, finish, logIn, open, p, tab, visit };
