import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { failureOf, failures, key, shows, simulate, url, weatherSchema } from "./settings.mjs";

const name = "openai responses";

const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
const tools = [{ type: "function", name: "get_weather", description: "The weather", parameters: weatherSchema, strict: true }];

shows(name, "chat", async () => {
  const first = await client.responses.create({ model: "sim-echo", input: "a bowline" });
  assert.equal(first.status, "completed");
  assert.equal(first.output_text, "a bowline");
  const second = await client.responses.create({ model: "sim-echo", input: "a hitch", previous_response_id: first.id });
  assert.equal(second.output_text, "a hitch");
  assert.ok(second.usage.input_tokens > first.usage.input_tokens);
  const items = [];
  for await (const item of client.responses.inputItems.list(first.id)) items.push(item);
  assert.equal(items.length, 1);
  await client.responses.delete(first.id);
  const gone = await failureOf(() => client.responses.retrieve(first.id));
  assert.equal(gone.constructor, OpenAI.NotFoundError);
});

shows(name, "stream", async () => {
  const text = "One two three four five six seven eight nine ten.";
  const seen = [];
  const stream = client.responses.stream({ model: "sim-echo", input: text });
  stream.on("event", (event) => seen.push(event));
  const answer = await stream.finalResponse();
  assert.equal(answer.output_text, text);
  assert.equal(answer.status, "completed");
  assert.deepEqual(seen.map((event) => event.sequence_number), seen.map((_, index) => index));
  assert.equal(seen[0].type, "response.created");
  assert.equal(seen.at(-1).type, "response.completed");
  assert.equal(seen.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join(""), text);
});

shows(name, "tools", async () => {
  const fragments = [];
  const stream = client.responses.stream({ model: "sim-tools", input: "What is the weather in Oslo?", tools });
  stream.on("response.function_call_arguments.delta", (event) => fragments.push(event.delta));
  const answer = await stream.finalResponse();
  const call = answer.output.find((item) => item.type === "function_call");
  assert.equal(call.name, "get_weather");
  assert.equal(fragments.join(""), call.arguments);
  assert.equal(typeof JSON.parse(call.arguments).city, "string");
  const next = await client.responses.create({ model: "sim-tools", tools, previous_response_id: answer.id, input: [{ type: "function_call_output", call_id: call.call_id, output: "sunny" }] });
  assert.ok(next.output_text.length > 0);
});

shows(name, "structured output", async () => {
  const answer = await client.responses.parse({
    model: "sim-json",
    input: "Weather as JSON",
    text: { format: { type: "json_schema", name: "weather", strict: true, schema: weatherSchema } },
  });
  const value = answer.output_parsed ?? JSON.parse(answer.output_text);
  assert.deepEqual(Object.keys(value).sort(), ["city", "days"]);
  assert.ok(Number.isInteger(value.days));
});

test("responses: in the background, retrieved and cancelled", async () => {
  let answer = await client.responses.create({ model: "sim-echo", input: "a bowline", background: true });
  assert.equal(answer.status, "queued");
  while (answer.status === "queued" || answer.status === "in_progress") {
    await fetch(`${url}/v2/generations/gen_${answer.id.slice(5)}?wait=60`, { headers: { authorization: `Bearer ${key}` } });
    answer = await client.responses.retrieve(answer.id);
  }
  assert.equal(answer.status, "completed");
  assert.equal(answer.output_text, "a bowline");
  assert.equal((await client.responses.cancel(answer.id)).status, "completed");

  const slow = await client.responses.create({ model: "sim-slow", input: "Tell me about knots ".repeat(200), background: true });
  const cancelled = await client.responses.cancel(slow.id);
  assert.equal(cancelled.status, "cancelled");
});

test("responses: input tokens are counted", async () => {
  const counted = await client.responses.inputTokens.count({ model: "sim-echo", input: "How many are these?" });
  assert.ok(counted.input_tokens > 3);
});

test("responses: what is wrong names its field", async () => {
  const error = await failureOf(() => client.responses.create({ model: "sim-fast", input: "x", max_output_tokens: 1 }));
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.param, "max_output_tokens");
  const unknown = await failureOf(() => client.responses.create({ model: "no-such-model", input: "x" }));
  assert.ok(unknown instanceof OpenAI.NotFoundError);
});

shows(name, "cut stream", async () => {
  let text = "", last, error;
  try {
    for await (const event of await client.responses.create({ model: "sim-fast", input: "A long story", stream: true }, { headers: simulate("cut_after=3") })) {
      if (event.type === "response.output_text.delta") text += event.delta;
      last = event;
    }
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(text.length > 0);
  assert.ok(error instanceof OpenAI.APIError || last.type === "response.failed", `${last?.type}`);
  if (last.type === "response.failed") assert.equal(last.response.status, "failed");
});

const classes = {
  400: OpenAI.BadRequestError, 401: OpenAI.AuthenticationError, 403: OpenAI.PermissionDeniedError,
  404: OpenAI.NotFoundError, 429: OpenAI.RateLimitError, 503: OpenAI.InternalServerError,
};

for (const { feature, statuses, apiKey, model, headers } of failures) {
  shows(name, feature, async () => {
    const other = new OpenAI({ apiKey: apiKey ?? key, baseURL: `${url}/v1`, maxRetries: 0 });
    const error = await failureOf(() => other.responses.create({ model: model ?? "sim-fast", input: "x" }, { headers }));
    assert.equal(error.constructor, classes[feature]);
    assert.ok(statuses.includes(error.status), `${error.status}`);
    if (feature === "429") assert.equal(error.headers.get("retry-after"), "7");
  });
}

test("responses: streamed in the background, and read again from the middle", async () => {
  const text = "One two three four five six seven eight nine ten.";
  const seen = [];
  for await (const event of await client.responses.create({ model: "sim-echo", input: text, background: true, stream: true })) seen.push(event);
  assert.deepEqual(seen.map((event) => event.sequence_number), seen.map((_, index) => index));
  assert.equal(seen[1].type, "response.queued");
  assert.equal(seen.at(-1).type, "response.completed");
  const { id } = seen[0].response;

  const rest = [];
  for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: 4 })) rest.push(event);
  assert.deepEqual(rest, seen.slice(5));

  const helper = client.responses.stream({ response_id: id, starting_after: 4 });
  const deltas = [];
  helper.on("event", (event) => deltas.push(event.sequence_number));
  const answer = await helper.finalResponse();
  assert.equal(answer.output_text, text);
  assert.deepEqual(deltas, seen.slice(5).map((event) => event.sequence_number));
});
