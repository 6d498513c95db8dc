// The web page in a headless browser: all checks, one total.
'use strict';
const { check, finish } = require('./kit.js');
const { fill } = require('./hostile.js');
const { many } = require('./many.js');
const { promises } = require('./promises.js');
const { story } = require('./story.js');
const { walk } = require('./walk.js');
const { websocket } = require('./websocket.js');

// A part that ends early is one more failure.
const whole = (name, run) => run().catch(error => check(name, () => { throw error; }));

async function main() {
  await Promise.all([whole('story', story), whole('many', many)]);
  await whole('websocket', websocket);
  await whole('promises', promises);
  const connection = await fill();
  await whole('walk', walk);
  await connection.close();
}

whole('page', main).then(finish);
