import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateObject, generateText, streamText, tool } from "ai";
import { z } from "zod";
import { failureOf, failures, key, shows, simulate, url } from "./settings.mjs";

const openai = (apiKey = key) => createOpenAI({ apiKey, baseURL: `${url}/v1` });
const compatible = (apiKey = key) => createOpenAICompatible({ name: "fairlead", apiKey, baseURL: `${url}/v1`, supportsStructuredOutputs: true });
const anthropic = (apiKey = key) => createAnthropic({ apiKey, baseURL: `${url}/v1` });

const providers = {
  "@ai-sdk/openai": { make: (id, k) => openai(k).chat(id) },
  // What the provider takes by default.
  "@ai-sdk/openai responses": { make: (id, k) => openai(k)(id) },
  "@ai-sdk/openai-compatible": { make: (id, k) => compatible(k)(id) },
  "@ai-sdk/anthropic": { make: (id, k) => anthropic(k)(id) },
};

const weather = tool({
  description: "The weather",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

for (const [name, { make }] of Object.entries(providers)) {
  shows(name, "chat", async () => {
    const { text, usage, finishReason } = await generateText({ model: make("sim-echo"), prompt: "Hello, gateway", maxRetries: 0 });
    assert.equal(text, "Hello, gateway");
    assert.equal(finishReason, "stop");
    assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
  });

  shows(name, "stream", async () => {
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

  shows(name, "tools", async () => {
    const result = streamText({ model: make("sim-tools"), prompt: "Weather in Oslo?", tools: { weather }, maxRetries: 0 });
    let call, fragments = 0;
    for await (const part of result.fullStream) {
      if (part.type === "tool-input-delta") fragments++;
      if (part.type === "tool-call") call = part;
      if (part.type === "error") throw part.error;
    }
    assert.ok(fragments > 1, `${fragments}`);
    assert.equal(call.toolName, "weather");
    assert.equal(typeof call.input.city, "string");
  });

  shows(name, "structured output", async () => {
    const { object } = await generateObject({ model: make("sim-json"), schema: z.object({ city: z.string(), sunny: z.boolean() }), prompt: "Weather", maxRetries: 0 });
    assert.equal(typeof object.city, "string");
    assert.equal(typeof object.sunny, "boolean");
  });

  shows(name, "cut stream", async () => {
    const errors = [];
    const result = streamText({ model: make("sim-fast"), prompt: "A long story", maxRetries: 0, headers: simulate("cut_after=3"), onError: ({ error }) => errors.push(error) });
    let text = "", finish;
    try {
      for await (const part of result.fullStream) {
        if (part.type === "text-delta") text += part.text;
        if (part.type === "finish") finish = part.finishReason;
      }
    } catch (error) {
      errors.push(error);
    }
    assert.ok(text.length > 0);
    assert.ok(errors.length > 0);
    assert.notEqual(finish, "stop");
  });

  for (const { feature, statuses, apiKey, model, headers } of failures) {
    shows(name, feature, async () => {
      const error = await failureOf(() => generateText({ model: make(model ?? "sim-fast", apiKey), prompt: "x", maxRetries: 0, headers }));
      assert.ok(APICallError.isInstance(error), String(error));
      assert.ok(statuses.includes(error.statusCode), `${error.statusCode}`);
      assert.equal(error.isRetryable, ["429", "503"].includes(feature));
      assert.ok(error.message.length > 10, error.message);
      if (feature === "404") assert.match(error.message, /does not exist/);
    });
  }
}

const embedders = { "@ai-sdk/openai": openai().embedding("sim-embed"), "@ai-sdk/openai-compatible": compatible().textEmbeddingModel("sim-embed") };

for (const [name, model] of Object.entries(embedders)) {
  shows(name, "embeddings", async () => {
    const { embeddings } = await embedMany({ model, values: ["one", "two"], maxRetries: 0 });
    assert.equal(embeddings.length, 2);
    assert.ok(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-3);
  });
}
