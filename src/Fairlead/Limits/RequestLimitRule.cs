using System.Globalization;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Limits;

/// <summary>Limits on the tokens of one request. They are checked before anything is reserved, because waiting cannot help.</summary>
internal static class RequestLimitRule
{
    /// <summary>An estimate may be wrong by this much before it refuses anything, as for the model's window.</summary>
    private const double EstimateTolerance = 1.15;

    /// <summary>The error, or null. Caps the output of a call without a maximum.</summary>
    public static GatewayError? Check(GatewayCall call, AppliedLimits limits, TokenCounter counter) =>
        (limits.InputPerRequest is { } input ? CheckInput(call, input, counter) : null)
        ?? (limits.OutputPerRequest is { } output && call.Operation == Operation.Chat ? CheckOutput(call, output) : null);

    private static GatewayError? CheckInput(GatewayCall call, RequestLimit limit, TokenCounter counter)
    {
        // Nothing needs counting if the bytes prove that it fits.
        if (call.MaxInputTokens <= limit.Tokens) return null;
        if (call.InputEstimate.Basis == Basis.Estimated) call.InputEstimate = counter.CountOrGuess(call);
        var input = call.InputEstimate;
        var certain = input.Basis == Basis.Measured ? input.Tokens : (long)(input.Tokens / EstimateTolerance);
        if (certain <= limit.Tokens) return null;
        var about = input.Basis == Basis.Measured ? "" : "about ";
        return Refuse(limit, LimitName.InputTokensPerRequest, call, call.Dialect.InputField, input.Tokens, input.Basis,
            $"has {about}{Number(input.Tokens)} input tokens", "Shorten the input, or ask an administrator for a higher limit.");
    }

    private static GatewayError? CheckOutput(GatewayCall call, RequestLimit limit)
    {
        var choices = Math.Max(1, call.Facts.ChargedChoices);
        if (call.MaxOutputTokens is { } requested)
        {
            var tokens = (long)requested * choices;
            return tokens <= limit.Tokens ? null : Refuse(limit, LimitName.OutputTokensPerRequest, call, call.Facts.MaxOutputTokensField,
                tokens, Basis.Measured, $"asks for up to {Number(tokens)} output tokens",
                "Lower the output limit, or ask an administrator for a higher limit.") with
            {
                OpenAiCode = "integer_above_max_value",
            };
        }
        var cap = limit.Tokens / choices;
        if (call.Model.MaxOutputTokens is { } most && most <= cap) return null;
        if (cap < call.Dialect.MinOutputCap)
        {
            return Refuse(limit, LimitName.OutputTokensPerRequest, call, call.Facts.MaxOutputTokensField,
                (call.Model.MaxOutputTokens ?? WorstCase.UnboundedOutputTokens) * (long)choices, Basis.Measured,
                "has no output limit that is low enough", "Set an output limit, ask for fewer choices, or ask an administrator.");
        }
        var tokensOfEach = (int)Math.Min(cap, int.MaxValue);
        call.CapOutput(tokensOfEach);
        CallBudget.WarnOfCap(call, tokensOfEach,
            $"because of the limit {LimitRefusal.NameOf(StateOf(limit, LimitName.OutputTokensPerRequest))}");
        return null;
    }

    private static GatewayError Refuse(RequestLimit limit, LimitName name, GatewayCall call, string field, long tokens, Basis basis,
        string what, string remedy)
    {
        var state = StateOf(limit, name);
        var details = LimitRefusal.DetailsOf(state);
        details["tokens"] = tokens;
        details["basis"] = basis.ToWire();
        return GatewayError.Invalid(field,
            $"The request {what}, but the limit {LimitRefusal.NameOf(state)} is {Number(limit.Tokens)}.") with
        {
            Remedy = remedy,
            Details = details,
        };
    }

    private static LimitState StateOf(RequestLimit limit, LimitName name) =>
        new(name, limit.Scope, "", limit.Model, limit.Class, limit.Tokens, 0, 0, limit.Tokens, null, null);

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
