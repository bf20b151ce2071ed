// Files and batches by the official client. Run by BatchClientTests.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";
import { key, narrowKey, url } from "./settings.mjs";

const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });

const line = (id, text, model = "sim-echo") =>
  JSON.stringify({ custom_id: id, method: "POST", url: "/v1/chat/completions", body: { model, messages: [{ role: "user", content: text }] } });

async function ended(id) {
  for (;;) {
    const batch = await client.batches.retrieve(id);
    if (["completed", "failed", "expired", "cancelled"].includes(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("a batch from its file to its answers", async () => {
  const file = await client.files.create({
    file: await toFile(Buffer.from([line("a", "one"), line("b", "twø")].join("\n")), "ïnput.jsonl"),
    purpose: "batch",
    expires_after: { anchor: "created_at", seconds: 7200 },
  });
  assert.equal(file.filename, "ïnput.jsonl");
  assert.equal(file.expires_at - file.created_at, 7200);

  const made = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h", metadata: { run: "1" } });
  assert.equal(made.object, "batch");
  const done = await ended(made.id);
  assert.equal(done.status, "completed");
  assert.deepEqual(done.request_counts, { total: 2, completed: 2, failed: 0 });

  const text = await (await client.files.content(done.output_file_id)).text();
  const answers = Object.fromEntries(text.trim().split("\n").map((one) => JSON.parse(one)).map((one) => [one.custom_id, one.response.body.choices[0].message.content]));
  assert.deepEqual(answers, { a: "one", b: "twø" });

  const listed = [];
  for await (const one of client.batches.list({ limit: 1 })) listed.push(one.id);
  assert.ok(listed.includes(made.id));
  const files = [];
  for await (const one of client.files.list({ limit: 1 })) files.push(one.id);
  assert.deepEqual(files.slice().sort(), [file.id, done.output_file_id].sort());

  assert.equal((await client.files.delete(file.id)).deleted, true);
  await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
});

test("a batch that cannot be run", async () => {
  const file = await client.files.create({ file: await toFile(Buffer.from("nothing"), "input.jsonl"), purpose: "batch" });
  const done = await ended((await client.batches.create({ input_file_id: file.id, endpoint: "/v1/embeddings", completion_window: "24h" })).id);
  assert.equal(done.status, "failed");
  assert.equal(done.errors.data[0].code, "invalid_json_line");
  assert.equal(done.errors.data[0].line, 1);
});

test("a batch that is cancelled", async () => {
  // Far more than can be done before it is cancelled.
  const lines = Array.from({ length: 200 }, (_, index) => line(`n${index}`, "one", "sim-slow"));
  const file = await client.files.create({ file: await toFile(Buffer.from(lines.join("\r\n")), "input.jsonl"), purpose: "batch" });
  const made = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
  assert.equal((await client.batches.cancel(made.id)).status, "cancelling");
  const done = await ended(made.id);
  assert.equal(done.status, "cancelled");
  assert.equal(done.request_counts.total, 200);
  const errors = (await (await client.files.content(done.error_file_id)).text()).trim().split("\n").map((one) => JSON.parse(one));
  assert.equal(errors.length, done.request_counts.failed);
  assert.deepEqual(new Set(errors.map((one) => one.error.code)), new Set(["batch_cancelled"]));
  // Who is impatient asks twice.
  assert.equal((await client.batches.cancel(made.id)).status, "cancelled");
});

test("a key without the scope", async () => {
  await assert.rejects(new OpenAI({ apiKey: narrowKey, baseURL: `${url}/v1`, maxRetries: 0 }).files.list(), OpenAI.PermissionDeniedError);
});
