import assert from "node:assert/strict";
import { test } from "node:test";
import { failureOf, failures, key, shows, simulate, url, weatherSchema } from "./settings.mjs";

/** The same demands on both header generations of the Anthropic client; `name` is the client's in the table. */
export function anthropicTests(name, Anthropic) {
  const client = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 });
  const ask = (content) => [{ role: "user", content }];
  const tools = [{ name: "get_weather", description: "The weather", input_schema: weatherSchema }];

  shows(name, "chat", async () => {
    const answer = await client.messages.create({ model: "sim-echo", max_tokens: 100, messages: ask("Hello there") });
    assert.equal(answer.type, "message");
    assert.equal(answer.content[0].text, "Hello there");
    assert.equal(answer.stop_reason, "end_turn");
    assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
    assert.equal(answer.model, "sim-echo");
  });

  test("the output cap ends with max_tokens", async () => {
    const answer = await client.messages.create({ model: "sim-echo", max_tokens: 2, messages: ask("one two three four five six") });
    assert.equal(answer.stop_reason, "max_tokens");
  });

  shows(name, "stream", async () => {
    const text = "A text that comes in several pieces, one after the other.";
    const stream = client.messages.stream({ model: "sim-echo", max_tokens: 100, messages: ask(text) });
    const pieces = [];
    stream.on("text", (piece) => pieces.push(piece));
    const message = await stream.finalMessage();
    assert.equal(message.content[0].text, text);
    assert.equal(pieces.join(""), text);
    assert.ok(pieces.length > 2);
    assert.ok(message.usage.output_tokens > 0);
  });

  shows(name, "tools", async () => {
    const stream = client.messages.stream({ model: "sim-tools", max_tokens: 200, tools, messages: ask("Weather in Oslo?") });
    let fragments = 0;
    stream.on("inputJson", () => fragments++);
    const message = await stream.finalMessage();
    const use = message.content.find((block) => block.type === "tool_use");
    assert.equal(message.stop_reason, "tool_use");
    assert.equal(use.name, "get_weather");
    assert.equal(typeof use.input.city, "string");
    assert.ok(fragments > 1);

    const after = await client.messages.create({
      model: "sim-tools", max_tokens: 200, tools,
      messages: [...ask("Weather in Oslo?"), { role: "assistant", content: message.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "sunny" }] }],
    });
    assert.equal(after.stop_reason, "end_turn");
  });

  shows(name, "structured output", async () => {
    const answer = await client.messages.create({
      model: "sim-json", max_tokens: 300, messages: ask("Weather as JSON"),
      output_config: { format: { type: "json_schema", schema: weatherSchema } },
    });
    const value = JSON.parse(answer.content[0].text);
    assert.deepEqual(Object.keys(value).sort(), ["city", "days"]);
  });

  test("tokens are counted", async () => {
    const count = await client.messages.countTokens({ model: "sim-echo", messages: ask("How many tokens are these?") });
    assert.ok(count.input_tokens >= 6 && count.input_tokens < 30);
  });

  test("models are listed in this client's shape", async () => {
    const ids = [];
    for await (const model of client.models.list({ limit: 3 })) ids.push(model.id);
    assert.ok(ids.includes("sim-fast"));
    const one = await client.models.retrieve("sim-fast");
    assert.equal(one.type, "model");
    assert.ok(!Number.isNaN(Date.parse(one.created_at)));
  });

  const classes = {
    400: Anthropic.BadRequestError, 401: Anthropic.AuthenticationError, 403: Anthropic.PermissionDeniedError,
    404: Anthropic.NotFoundError, 429: Anthropic.RateLimitError, 503: Anthropic.OverloadedError ?? Anthropic.InternalServerError,
  };

  for (const { feature, apiKey, model, headers } of failures) {
    shows(name, feature, async () => {
      const other = new Anthropic({ apiKey: apiKey ?? key, baseURL: url, maxRetries: 0 });
      const error = await failureOf(() => other.messages.create({ model: model ?? "sim-fast", max_tokens: 5, messages: ask("x") }, { headers }));
      assert.equal(error.constructor, classes[feature]);
      assert.equal(error.status, feature === "503" ? 529 : Number(feature));
      assert.equal(error.error.type, "error");
      assert.equal(typeof error.error.error.type, "string");
      assert.match(error.requestID, /^req_/);
    });
  }

  test("a bad request names its field", async () => {
    const error = await failureOf(() => client.messages.create({ model: "sim-fast", max_tokens: 5, messages: [] }));
    assert.ok(error instanceof Anthropic.BadRequestError);
    assert.match(error.message, /messages/);
  });

  shows(name, "cut stream", async () => {
    const stream = client.messages.stream({ model: "sim-fast", max_tokens: 200, messages: ask("A long story, please") }, { headers: simulate("cut_after=3") });
    let text = "";
    stream.on("text", (piece) => { text += piece; });
    await assert.rejects(stream.finalMessage());
    assert.ok(text.length > 0);
  });
}
