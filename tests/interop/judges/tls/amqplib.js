// amqplib over TLS: amqplib.js PORT CA prints `ok`.
const amqplib = require("amqplib");
const fs = require("fs");

async function main() {
  const [port, ca] = process.argv.slice(2);
  const options = { ca: [fs.readFileSync(ca)] };
  const connection = await amqplib.connect(`amqps://guest:guest@localhost:${port}/`, options);
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  const body = Buffer.alloc(300000, 7);
  channel.sendToQueue(queue, body);
  await channel.waitForConfirms();
  const found = await channel.get(queue, { noAck: true });
  if (!found.content.equals(body)) throw new Error("another body");
  await connection.close();
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
