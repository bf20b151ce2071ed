// What a receiver gets, verified by the public libraries. Run by WebhookClientTests, on a gateway that may call loopback.
import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { Webhook } from "standardwebhooks";
import { key, url } from "./settings.mjs";

const received = [];
const waiting = [];
let server;

before(async () => {
  server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const one = { headers: request.headers, body: Buffer.concat(pieces).toString("utf8") };
    response.writeHead(204).end();
    const next = waiting.shift();
    if (next) next(one);
    else received.push(one);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

after(() => server.close());

const next = () => (received.length ? received.shift() : new Promise((resolve) => waiting.push(resolve)));

async function call(method, path, body) {
  const response = await fetch(url + path, {
    method,
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  return response.json();
}

const make = (fields = {}) => call("POST", "/v2/webhooks", { url: `http://127.0.0.1:${server.address().port}/hooks`, ...fields });
const send = async (webhook) => {
  await call("POST", `/v2/webhooks/${webhook.id}/test`);
  return next();
};

test("standardwebhooks takes it, and nothing that was changed", async () => {
  const webhook = await make();
  const { headers, body } = await send(webhook);
  const event = new Webhook(webhook.secret).verify(body, headers);
  assert.equal(event.type, "webhook.test");
  assert.equal(event.data.id, webhook.id);
  assert.throws(() => new Webhook(webhook.secret).verify(body.replace("webhook.test", "webhook.fake"), headers));
  assert.throws(() => new Webhook(webhook.secret).verify(body, { ...headers, "webhook-id": "evt_other" }));
  assert.throws(() => new Webhook("whsec_" + Buffer.alloc(32).toString("base64")).verify(body, headers));
});

test("openai's unwrap takes it", async () => {
  const webhook = await make();
  const { headers, body } = await send(webhook);
  const client = new OpenAI({ apiKey: "unused" });
  const event = await client.webhooks.unwrap(body, headers, webhook.secret);
  assert.equal(event.type, "webhook.test");
  await assert.rejects(() => client.webhooks.unwrap(body + " ", headers, webhook.secret));
});

test("both secrets are good during a rotation", async () => {
  const webhook = await make();
  const rotated = await call("POST", `/v2/webhooks/${webhook.id}/rotate`, { overlap_seconds: 3600 });
  assert.notEqual(rotated.secret, webhook.secret);
  const { headers, body } = await send(webhook);
  for (const secret of [webhook.secret, rotated.secret]) {
    new Webhook(secret).verify(body, headers);
    await new OpenAI({ apiKey: "unused" }).webhooks.unwrap(body, headers, secret);
  }
  const last = await call("POST", `/v2/webhooks/${webhook.id}/rotate`, { overlap_seconds: 0 });
  const after = await send(webhook);
  new Webhook(last.secret).verify(after.body, after.headers);
  assert.throws(() => new Webhook(rotated.secret).verify(after.body, after.headers));
});

test("Ed25519 is verified with the public key", async () => {
  const webhook = await make({ signature: "v1a" });
  assert.equal(webhook.secret, undefined);
  const { headers, body } = await send(webhook);
  const raw = Buffer.from(webhook.public_key.slice("whpk_".length), "base64");
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") }, format: "jwk" });
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const [kind, signature] = headers["webhook-signature"].split(",");
  assert.equal(kind, "v1a");
  assert.ok(verify(null, signed, publicKey, Buffer.from(signature, "base64")));
});
