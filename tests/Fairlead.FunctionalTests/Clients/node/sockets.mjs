// The WebSocket transport of Responses by the official client. Run by ResponseSocketTests.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";
import { key, url } from "./settings.mjs";

const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1` });

/** Sends a request and gives its events up to the last one. */
function turn(socket, request) {
  return new Promise((resolve, reject) => {
    const events = [];
    const hear = (event) => {
      events.push(event);
      if (!["response.completed", "response.incomplete", "response.failed", "error"].includes(event.type)) return;
      socket.off("event", hear);
      resolve(events);
    };
    socket.on("event", hear);
    socket.on("error", () => {});
    socket.send({ type: "response.create", ...request });
    setTimeout(() => reject(new Error("no end")), 20_000).unref();
  });
}

test("several turns on one connection, each going on from the one before", async () => {
  const socket = new ResponsesWS(client);
  const first = await turn(socket, { model: "sim-echo", input: "one", store: false });
  assert.deepEqual(first.slice(0, 2).map((event) => event.type), ["response.created", "response.in_progress"]);
  assert.deepEqual(first.map((event) => event.sequence_number), first.map((_, index) => index));
  const done = first.at(-1).response;
  assert.equal(done.status, "completed");
  const second = await turn(socket, { model: "sim-fast", input: "two", store: false, previous_response_id: done.id });
  assert.equal(second.at(-1).type, "response.completed");
  assert.equal(second.at(-1).response.previous_response_id, done.id);
  assert.ok(second.at(-1).response.usage.input_tokens > done.usage.input_tokens);
  socket.close();
});

test("an error leaves the connection open", async () => {
  const socket = new ResponsesWS(client);
  const refused = (await turn(socket, { model: "no-such-model", input: "hi" })).at(-1);
  assert.equal(refused.type, "error");
  assert.equal(refused.status, 404);
  assert.equal(refused.error.code, "model_not_found");
  assert.equal((await turn(socket, { model: "sim-echo", input: "again" })).at(-1).response.output_text ?? "", "");
  socket.close();
});
