import assert from "node:assert/strict";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import { failureOf, failures, key, shows, simulate, url } from "./settings.mjs";

const name = "@langchain/openai";

const make = (model, options = {}, headers) => new ChatOpenAI({ model, apiKey: key, maxRetries: 0, ...options, configuration: { baseURL: `${url}/v1`, defaultHeaders: headers } });

shows(name, "chat", async () => {
  const answer = await make("sim-echo").invoke("Hello, chain");
  assert.equal(answer.content, "Hello, chain");
  assert.ok(answer.usage_metadata.total_tokens > 0);
});

shows(name, "stream", async () => {
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

shows(name, "tools", async () => {
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

shows(name, "structured output", async () => {
  const structured = make("sim-json").withStructuredOutput(z.object({ city: z.string(), sunny: z.boolean() }), { method: "jsonSchema", name: "weather" });
  const value = await structured.invoke("Weather");
  assert.equal(typeof value.city, "string");
  assert.equal(typeof value.sunny, "boolean");
});

shows(name, "embeddings", async () => {
  const embeddings = new OpenAIEmbeddings({ model: "sim-embed", apiKey: key, maxRetries: 0, configuration: { baseURL: `${url}/v1` } });
  const vectors = await embeddings.embedDocuments(["one", "two"]);
  assert.equal(vectors.length, 2);
  assert.ok(Math.abs(Math.hypot(...vectors[0]) - 1) < 1e-3);
});

for (const { feature, statuses, apiKey, model, headers } of failures) {
  shows(name, feature, async () => {
    const error = await failureOf(() => make(model ?? "sim-fast", apiKey ? { apiKey } : {}, headers).invoke("x"));
    assert.ok(error instanceof Error);
    assert.ok(statuses.includes(error.status), `${error.status}: ${error}`);
    if (feature === "404") assert.equal(error.lc_error_code, "MODEL_NOT_FOUND");
    if (feature === "429") assert.equal(error.lc_error_code, "MODEL_RATE_LIMIT");
    if (feature === "401") assert.equal(error.lc_error_code, "MODEL_AUTHENTICATION");
  });
}

shows(name, "cut stream", async () => {
  let text = "";
  await assert.rejects(async () => {
    for await (const chunk of await make("sim-fast", {}, simulate("cut_after=3")).stream("A long story")) text += chunk.content;
  });
  assert.ok(text.length > 0);
});
