using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;
using Fairlead.Policies.Resources;

namespace Fairlead.Policies.Moderation;

/// <summary>Answers a moderation request by the rules that would check the input of a call of the same key.</summary>
internal static class RuleModeration
{
    /// <summary>The model that its responses name.</summary>
    public const string Model = "content-policy";

    /// <exception cref="GatewayErrorException">The request has an image, which rules cannot judge.</exception>
    public static async Task<EndpointResult> RunAsync(
        ModerationInput input, CallPolicy policy, TimeProvider time, string id, CancellationToken cancellationToken)
    {
        if (input.Inputs.Any(item => item.Images > 0))
        {
            throw new GatewayErrorException(
                new GatewayError(ErrorCode.IncompatibleInput, "The rules of content policies judge text, and the input has an image.")
                {
                    Parameter = "input",
                    Remedy = "Send only text, or name a configured model that judges images.",
                });
        }
        var tallies = new List<PolicyTally>(input.Inputs.Count);
        foreach (var item in input.Inputs)
        {
            var tally = new PolicyTally();
            using var check = policy.Rules.CheckInput(tally, new Placeholders());
            foreach (var text in item.Texts)
            {
                check.Check(text);
            }
            await check.JudgeAsync(policy.Judge, time, cancellationToken);
            tallies.Add(tally);
            // Of all inputs together, for the audit and the metrics.
            foreach (var (rule, direction, count) in tally.Counts()) policy.Tally.Add(rule, direction, count);
        }
        return EndpointResult.LargeJson(json => Write(json, id, tallies));
    }

    private static void Write(Utf8JsonWriter json, string id, List<PolicyTally> tallies)
    {
        json.WriteStartObject();
        json.WriteString("id", id);
        json.WriteString("model", Model);
        json.WriteStartArray("results");
        foreach (var tally in tallies) Write(json, tally);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    // OpenAI's categories are false: no rule judges by them. Those that follow are the types of rules.
    private static void Write(Utf8JsonWriter json, PolicyTally tally)
    {
        var met = tally.Counts().Select(count => count.Rule.Rule.Type).ToHashSet();
        json.WriteStartObject();
        json.WriteBoolean("flagged", met.Count > 0);
        json.WriteStartObject("categories");
        foreach (var category in ModerationCategories.All) json.WriteBoolean(category, false);
        foreach (var type in Enum.GetValues<PolicyRuleType>()) json.WriteBoolean(PolicyWords.Of(type), met.Contains(type));
        json.WriteEndObject();
        json.WriteStartObject("category_scores");
        foreach (var category in ModerationCategories.All) json.WriteNumber(category, 0);
        foreach (var type in Enum.GetValues<PolicyRuleType>()) json.WriteNumber(PolicyWords.Of(type), met.Contains(type) ? 1 : 0);
        json.WriteEndObject();
        json.WriteStartObject("category_applied_input_types");
        foreach (var category in ModerationCategories.All) Applied(json, category, isApplied: false);
        foreach (var type in Enum.GetValues<PolicyRuleType>()) Applied(json, PolicyWords.Of(type), isApplied: true);
        json.WriteEndObject();
        json.WritePropertyName("policy");
        PolicyJson.WriteVerdicts(json, tally);
        json.WriteEndObject();
    }

    private static void Applied(Utf8JsonWriter json, string category, bool isApplied)
    {
        json.WriteStartArray(category);
        if (isApplied) json.WriteStringValue("text");
        json.WriteEndArray();
    }
}
