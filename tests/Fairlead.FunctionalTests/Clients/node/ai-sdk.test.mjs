import assert from "node:assert/strict";
import { test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateObject, generateText, streamText, tool } from "ai";
import { z } from "zod";
import { key, narrowKey, simulate, url } from "./settings.mjs";

const openai = (apiKey = key) => createOpenAI({ apiKey, baseURL: `${url}/v1` });
const compatible = (apiKey = key) => createOpenAICompatible({ name: "fairlead", apiKey, baseURL: `${url}/v1`, supportsStructuredOutputs: true });
const anthropic = (apiKey = key) => createAnthropic({ apiKey, baseURL: `${url}/v1` });

const providers = {
  "openai.chat": { make: (id, k) => openai(k).chat(id) },
  "openai-compatible": { make: (id, k) => compatible(k)(id) },
  anthropic: { make: (id, k) => anthropic(k)(id) },
};

const weather = tool({
  description: "The weather",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

for (const [name, { make }] of Object.entries(providers)) {
  test(`${name}: text`, async () => {
    const { text, usage, finishReason } = await generateText({ model: make("sim-echo"), prompt: "Hello, gateway", maxRetries: 0 });
    assert.equal(text, "Hello, gateway");
    assert.equal(finishReason, "stop");
    assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
  });

  test(`${name}: stream`, async () => {
    const wanted = "Several words that arrive one after the other.";
    const result = streamText({ model: make("sim-echo"), prompt: wanted, maxRetries: 0, onError: ({ error }) => { throw error; } });
    let text = "", pieces = 0;
    for await (const piece of result.textStream) {
      text += piece;
      pieces++;
    }
    assert.equal(text, wanted);
    assert.ok(pieces > 2);
    assert.ok((await result.usage).outputTokens > 0);
  });

  test(`${name}: tools with streamed arguments`, async () => {
    const result = streamText({ model: make("sim-tools"), prompt: "Weather in Oslo?", tools: { weather }, maxRetries: 0 });
    const kinds = new Set();
    let call;
    for await (const part of result.fullStream) {
      kinds.add(part.type);
      if (part.type === "tool-call") call = part;
      if (part.type === "error") throw part.error;
    }
    assert.ok(kinds.has("tool-input-delta"), [...kinds].join());
    assert.equal(call.toolName, "weather");
    assert.equal(typeof call.input.city, "string");
  });

  test(`${name}: structured output`, async () => {
    const { object } = await generateObject({ model: make("sim-json"), schema: z.object({ city: z.string(), sunny: z.boolean() }), prompt: "Weather", maxRetries: 0 });
    assert.equal(typeof object.city, "string");
    assert.equal(typeof object.sunny, "boolean");
  });

  test(`${name}: errors carry status and message`, async () => {
    const failing = async (options) => {
      try {
        await generateText({ model: make(options.model ?? "sim-fast", options.key), prompt: options.prompt ?? "x", maxRetries: 0, headers: options.headers });
      } catch (error) {
        assert.ok(APICallError.isInstance(error), String(error));
        return error;
      }
      assert.fail("it should have failed");
    };
    assert.equal((await failing({ key: "fl_nobody" })).statusCode, 401);
    assert.equal((await failing({ key: narrowKey })).statusCode, 403);
    const missing = await failing({ model: "no-such-model" });
    assert.equal(missing.statusCode, 404);
    assert.match(missing.message, /does not exist/);
    assert.equal((await failing({ headers: simulate("status=400") })).statusCode, 400);
    assert.equal((await failing({ headers: simulate("status=429; retry_after=9") })).statusCode, 429);
    assert.ok([503, 529].includes((await failing({ headers: simulate("status=503; retry_after=9") })).statusCode));
  });
}

test("embeddings", async () => {
  for (const model of [openai().embedding("sim-embed"), compatible().textEmbeddingModel("sim-embed")]) {
    const { embeddings } = await embedMany({ model, values: ["one", "two"], maxRetries: 0 });
    assert.equal(embeddings.length, 2);
    assert.ok(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-3);
  }
});
