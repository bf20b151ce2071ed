import assert from "node:assert/strict";
import { test } from "node:test";
import { key, narrowKey, simulate, url, weatherSchema } from "./settings.mjs";

/** The same demands on both header generations of the Anthropic client. */
export function anthropicTests(Anthropic) {
  const client = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 });
  const ask = (content) => [{ role: "user", content }];
  const tools = [{ name: "get_weather", description: "The weather", input_schema: weatherSchema }];

  test("messages answer with usage", async () => {
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

  test("the stream helper gathers the same message", async () => {
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

  test("tools come with streamed input", async () => {
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

  test("structured output fits its schema", async () => {
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

  test("errors become the client's own classes", async () => {
    const other = (options) => new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0, ...options });
    await assert.rejects(client.messages.create({ model: "sim-fast", max_tokens: 5, messages: [] }), Anthropic.BadRequestError);
    await assert.rejects(other({ apiKey: "fl_nobody" }).messages.create({ model: "sim-fast", max_tokens: 5, messages: ask("x") }), Anthropic.AuthenticationError);
    await assert.rejects(other({ apiKey: narrowKey }).messages.create({ model: "sim-fast", max_tokens: 5, messages: ask("x") }), Anthropic.PermissionDeniedError);
    await assert.rejects(client.messages.create({ model: "no-such-model", max_tokens: 5, messages: ask("x") }), Anthropic.NotFoundError);
    await assert.rejects(client.messages.create({ model: "sim-fast", max_tokens: 5, messages: ask("x") }, { headers: simulate("status=429; retry_after=7") }), Anthropic.RateLimitError);
    await assert.rejects(client.messages.create({ model: "sim-fast", max_tokens: 5, messages: ask("x") }, { headers: simulate("status=503; retry_after=7") }), (error) => {
      assert.ok(error instanceof Anthropic.InternalServerError);
      assert.equal(error.status, 529);
      return true;
    });
  });

  test("a cut stream throws", async () => {
    const stream = client.messages.stream({ model: "sim-fast", max_tokens: 200, messages: ask("A long story, please") }, { headers: simulate("cut_after=3") });
    let text = "";
    stream.on("text", (piece) => { text += piece; });
    await assert.rejects(stream.finalMessage());
    assert.ok(text.length > 0);
  });
}
