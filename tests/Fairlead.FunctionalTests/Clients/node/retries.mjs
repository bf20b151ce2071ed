// Calls with the clients' own retries, all at once, because each waits. The C# side counts the requests of each key.
import assert from "node:assert/strict";
import Anthropic1 from "@anthropic-ai/sdk";
import Anthropic0 from "anthropic-0";
import OpenAI from "openai";

const url = process.env.FAIRLEAD_URL;
const messages = [{ role: "user", content: "hi" }];
const openai = (apiKey) => new OpenAI({ apiKey, baseURL: `${url}/v1` });
const anthropic = (Anthropic, apiKey, model) => new Anthropic({ apiKey, baseURL: url }).messages.create({ model, max_tokens: 20, messages });

const clients = {
  "openai chat": (key, model) => openai(key).chat.completions.create({ model, messages }),
  "openai stream": async (key, model) => {
    for await (const chunk of await openai(key).chat.completions.create({ model, messages, stream: true })) assert.equal(chunk.object, "chat.completion.chunk");
  },
  "openai responses": (key, model) => openai(key).responses.create({ model, input: "hi" }),
  "anthropic 1": (key, model) => anthropic(Anthropic1, key, model),
  "anthropic 0": (key, model) => anthropic(Anthropic0, key, model),
};

const calls = JSON.parse(process.env.FAIRLEAD_CALLS);
assert.deepEqual([...new Set(calls.map((call) => call.client))].sort(), Object.keys(clients).sort());
await Promise.all(calls.map(async ({ client, key, model, refused }) => {
  const call = () => clients[client](key, model);
  if (refused) await assert.rejects(call, (error) => error.status === 429, client);
  else await call();
}));
