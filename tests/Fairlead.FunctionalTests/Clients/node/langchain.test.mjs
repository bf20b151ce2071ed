import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import { key, narrowKey, simulate, url } from "./settings.mjs";

const make = (model, options = {}, headers) => new ChatOpenAI({ model, apiKey: key, maxRetries: 0, ...options, configuration: { baseURL: `${url}/v1`, defaultHeaders: headers } });

test("chat", async () => {
  const answer = await make("sim-echo").invoke("Hello, chain");
  assert.equal(answer.content, "Hello, chain");
  assert.ok(answer.usage_metadata.total_tokens > 0);
});

test("stream with usage", async () => {
  let text = "", usage, pieces = 0;
  for await (const chunk of await make("sim-echo").stream("Words that come one by one.")) {
    text += chunk.content;
    usage = chunk.usage_metadata ?? usage;
    pieces++;
  }
  assert.equal(text, "Words that come one by one.");
  assert.ok(pieces > 2);
  assert.ok(usage.output_tokens > 0);
});

test("tools with streamed arguments", async () => {
  const bound = make("sim-tools").bindTools([{ name: "weather", description: "The weather", schema: z.object({ city: z.string() }) }]);
  let whole;
  let fragments = 0;
  for await (const chunk of await bound.stream("Weather in Oslo?")) {
    if (chunk.tool_call_chunks?.length) fragments++;
    whole = whole ? whole.concat(chunk) : chunk;
  }
  assert.ok(fragments > 1);
  assert.equal(whole.tool_calls[0].name, "weather");
  assert.equal(typeof whole.tool_calls[0].args.city, "string");
});

test("structured output", async () => {
  const structured = make("sim-json").withStructuredOutput(z.object({ city: z.string(), sunny: z.boolean() }), { method: "jsonSchema", name: "weather" });
  const value = await structured.invoke("Weather");
  assert.equal(typeof value.city, "string");
  assert.equal(typeof value.sunny, "boolean");
});

test("embeddings", async () => {
  const embeddings = new OpenAIEmbeddings({ model: "sim-embed", apiKey: key, maxRetries: 0, configuration: { baseURL: `${url}/v1` } });
  const vectors = await embeddings.embedDocuments(["one", "two"]);
  assert.equal(vectors.length, 2);
  assert.ok(Math.abs(Math.hypot(...vectors[0]) - 1) < 1e-3);
});

test("errors carry the status", async () => {
  const failing = (model, options, headers) => make(model, options, headers).invoke("x").then(() => assert.fail("it should have failed"), (error) => error.status);
  assert.equal(await failing("sim-fast", { apiKey: "fl_nobody" }), 401);
  assert.equal(await failing("sim-fast", { apiKey: narrowKey }), 403);
  assert.equal(await failing("no-such-model"), 404);
  assert.equal(await failing("sim-fast", { temperature: 9 }), 400);
  assert.equal(await failing("sim-fast", {}, simulate("status=429; retry_after=9")), 429);
  assert.equal(await failing("sim-fast", {}, simulate("status=503; retry_after=9")), 503);
});

test("a cut stream throws", async () => {
  await assert.rejects(async () => {
    for await (const _ of await make("sim-fast", {}, simulate("cut_after=3")).stream("A long story")) { /* read to the end */ }
  });
});
