import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { failureOf, failures, key, shows, simulate, url, weatherSchema } from "./settings.mjs";

const name = "openai";

const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
const ask = (content) => [{ role: "user", content }];
const tools = [{ type: "function", function: { name: "get_weather", description: "The weather", parameters: weatherSchema } }];

shows(name, "chat", async () => {
  const answer = await client.chat.completions.create({ model: "sim-echo", messages: ask("Hello, Fairlead!") });
  assert.equal(answer.choices[0].message.content, "Hello, Fairlead!");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.object, "chat.completion");
  assert.equal(answer.model, "sim-echo");
  assert.ok(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
  assert.match(answer.fairlead.generation_id, /^gen_/);
  assert.match(answer._request_id, /^req_/);
});

shows(name, "stream", async () => {
  const text = "One two three four five six seven eight nine ten.";
  const stream = await client.chat.completions.create({ model: "sim-echo", stream: true, stream_options: { include_usage: true }, messages: ask(text) });
  let got = "", finish, usage, chunks = 0;
  for await (const chunk of stream) {
    chunks++;
    got += chunk.choices[0]?.delta?.content ?? "";
    finish ??= chunk.choices[0]?.finish_reason;
    usage = chunk.usage ?? usage;
  }
  assert.equal(got, text);
  assert.equal(finish, "stop");
  assert.ok(usage.total_tokens > 0);
  assert.ok(chunks > 3);
});

shows(name, "tools", async () => {
  const stream = client.chat.completions.stream({ model: "sim-tools", messages: ask("What is the weather in Oslo?"), tools });
  const deltas = [];
  stream.on("tool_calls.function.arguments.delta", (event) => deltas.push(event.arguments_delta));
  const answer = await stream.finalChatCompletion();
  const call = answer.choices[0].message.tool_calls[0];
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  assert.equal(call.function.name, "get_weather");
  const parsed = JSON.parse(call.function.arguments);
  assert.equal(typeof parsed.city, "string");
  assert.ok(Number.isInteger(parsed.days) && parsed.days >= 1 && parsed.days <= 7);
  assert.ok(deltas.length > 1);
  assert.equal(deltas.join(""), call.function.arguments);
});

test("a tool's result is answered in text", async () => {
  const answer = await client.chat.completions.create({
    model: "sim-tools",
    tools,
    messages: [
      ...ask("Weather?"),
      { role: "assistant", content: null, tool_calls: [{ id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Oslo","days":1}' } }] },
      { role: "tool", tool_call_id: "call_1", content: "sunny" },
    ],
  });
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.choices[0].message.content.length > 0);
});

shows(name, "structured output", async () => {
  const answer = await client.chat.completions.parse({
    model: "sim-json",
    messages: ask("Weather as JSON"),
    response_format: { type: "json_schema", json_schema: { name: "weather", strict: true, schema: weatherSchema } },
  });
  const value = JSON.parse(answer.choices[0].message.content);
  assert.deepEqual(Object.keys(value).sort(), ["city", "days"]);
  assert.ok(Number.isInteger(value.days));
});

test("several choices and logprobs", async () => {
  const answer = await client.chat.completions.create({ model: "sim-fast", messages: ask("Tell me"), n: 2, logprobs: true, top_logprobs: 2, seed: 7, max_tokens: 8 });
  assert.equal(answer.choices.length, 2);
  for (const choice of answer.choices) {
    assert.ok(choice.logprobs.content.length > 0);
    assert.equal(choice.logprobs.content[0].top_logprobs.length, 2);
  }
  const again = await client.chat.completions.create({ model: "sim-fast", messages: ask("Tell me"), n: 2, logprobs: true, top_logprobs: 2, seed: 7, max_tokens: 8 });
  assert.equal(again.choices[0].message.content, answer.choices[0].message.content);
});

test("legacy completions", async () => {
  const answer = await client.completions.create({ model: "sim-echo", prompt: "Say it" });
  assert.equal(answer.object, "text_completion");
  assert.equal(answer.choices[0].text, "Say it");
  let text = "";
  for await (const chunk of await client.completions.create({ model: "sim-echo", prompt: "Say it again", stream: true })) text += chunk.choices[0]?.text ?? "";
  assert.equal(text, "Say it again");
});

shows(name, "embeddings", async () => {
  const answer = await client.embeddings.create({ model: "sim-embed", input: ["one", "two"] });
  assert.equal(answer.data.length, 2);
  const length = Math.hypot(...answer.data[0].embedding);
  assert.ok(Math.abs(length - 1) < 1e-3, `length ${length}`);
  const floats = await client.embeddings.create({ model: "sim-embed", input: "one", encoding_format: "float", dimensions: 16 });
  assert.equal(floats.data[0].embedding.length, 16);
  const sameAsFloat = await client.embeddings.create({ model: "sim-embed", input: "one", encoding_format: "float" });
  assert.ok(Math.abs(sameAsFloat.data[0].embedding[0] - answer.data[0].embedding[0]) < 1e-6);
});

test("models are listed and retrieved", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("sim-fast"));
  assert.equal((await client.models.retrieve("sim-fast")).id, "sim-fast");
});

const classes = {
  400: OpenAI.BadRequestError, 401: OpenAI.AuthenticationError, 403: OpenAI.PermissionDeniedError,
  404: OpenAI.NotFoundError, 429: OpenAI.RateLimitError, 503: OpenAI.InternalServerError,
};

for (const { feature, statuses, apiKey, model, headers } of failures) {
  shows(name, feature, async () => {
    const other = new OpenAI({ apiKey: apiKey ?? key, baseURL: `${url}/v1`, maxRetries: 0 });
    const error = await failureOf(() => other.chat.completions.create({ model: model ?? "sim-fast", messages: ask("x") }, { headers }));
    assert.equal(error.constructor, classes[feature]);
    assert.ok(statuses.includes(error.status), `${error.status}`);
    assert.match(error.requestID, /^req_/);
    assert.equal(typeof error.code, "string");
    if (feature === "429") assert.equal(error.headers.get("retry-after"), "7");
    if (feature === "404") {
      assert.equal(error.code, "model_not_found");
      assert.match(error.message, /The model .* does not exist/);
    }
  });
}

test("a bad request names its field", async () => {
  const error = await failureOf(() => client.chat.completions.create({ model: "sim-fast", messages: [] }));
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.param, "messages");
});

test("an error before a stream begins has its class", async () => {
  const error = await failureOf(() => client.chat.completions.create({ model: "sim-fast", stream: true, messages: ask("x") }, { headers: simulate("status=429; retry_after=7") }));
  assert.ok(error instanceof OpenAI.RateLimitError);
});

shows(name, "cut stream", async () => {
  const stream = await client.chat.completions.create({ model: "sim-fast", stream: true, messages: ask("Tell me a long story") }, { headers: simulate("cut_after=3") });
  let text = "";
  await assert.rejects(async () => {
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  });
  assert.ok(text.length > 0);
});

test("a call that first fails is retried by the gateway", async () => {
  const { data, response } = await client.chat.completions.create({ model: "sim-echo", messages: ask("again") }, { headers: simulate("fail_first=1") }).withResponse();
  assert.equal(data.choices[0].message.content, "again");
  assert.equal(data.fairlead.attempts.length, 2);
  assert.ok(response.headers.get("fairlead-generation"));
});
