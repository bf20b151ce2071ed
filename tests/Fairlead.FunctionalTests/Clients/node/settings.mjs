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
