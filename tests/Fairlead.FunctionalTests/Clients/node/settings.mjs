import { test } from "node:test";

// What the C# side tells the clients' tests.
export const url = need("FAIRLEAD_URL");
export const key = need("FAIRLEAD_KEY");
/** A key that may only read models. */
export const narrowKey = need("FAIRLEAD_NARROW_KEY");

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set`);
  return value;
}

export const weatherSchema = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 7 } },
  required: ["city", "days"],
  additionalProperties: false,
};

/** Headers that make the simulated provider misbehave. */
export const simulate = (directives) => ({ "Fairlead-Simulate": directives });

/** A test that fills one place of the table of clients and features (ClientTable.cs), which reads the name out of the output. */
export const shows = (client, feature, body) => test(`${client} | ${feature}`, body);

/** The ways to fail that every client is shown: what the call is made with, and the statuses that the client may see. */
export const failures = [
  { feature: "400", statuses: [400], headers: simulate("status=400") },
  { feature: "401", statuses: [401], apiKey: "fl_nobody" },
  { feature: "403", statuses: [403], apiKey: narrowKey },
  { feature: "404", statuses: [404], model: "no-such-model" },
  { feature: "429", statuses: [429], headers: simulate("status=429; retry_after=7") },
  // Anthropic's word for a provider that is too busy is 529.
  { feature: "503", statuses: [503, 529], headers: simulate("status=503; retry_after=7") },
];

/** The error that a call must end with. */
export async function failureOf(call) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    return error;
  }
  throw new Error(`It should have failed, but answered ${JSON.stringify(answer)?.slice(0, 200)}`);
}
