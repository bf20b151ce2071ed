using System.Globalization;
using System.Text.Json.Nodes;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Validation;

/// <summary>Whether input and requested output fit a model's context window. Pure.</summary>
internal static class WindowRule
{
    /// <summary>
    /// An estimate may be wrong by this much before it refuses anything: a wrong refusal costs a customer's call, while a wrong pass costs
    /// one refused attempt at the provider, which charges nothing.
    /// </summary>
    public const double EstimateTolerance = 1.15;

    /// <summary>Whether an upper limit of the input proves that the request fits, so that nothing needs counting.</summary>
    public static bool FitsFor(long inputBound, RequestFacts facts, CatalogueModel model) =>
        (model.ContextWindow is not { } window || inputBound + Requested(facts) <= window)
        && (model.MaxInputTokens is not { } most || inputBound <= most);

    public static GatewayError? Check(TokenEstimate input, RequestFacts facts, CatalogueModel model)
    {
        var certain = input.Basis == Basis.Measured ? input.Tokens : (long)(input.Tokens / EstimateTolerance);
        var requested = Requested(facts);
        if (model.ContextWindow is { } window && certain + requested > window)
        {
            return Exceeded(input, requested, window, certain + requested - window, model,
                $"The context window of `{model.Id}` is {Number(window)} tokens.");
        }
        if (model.MaxInputTokens is { } most && certain > most)
        {
            return Exceeded(input, requested, most, certain - most, model, $"`{model.Id}` accepts at most {Number(most)} input tokens.");
        }
        return null;
    }

    private static long Requested(RequestFacts facts) => facts.MaxOutputTokens ?? 0;

    private static GatewayError Exceeded(TokenEstimate input, long requested, long window, long excess, CatalogueModel model, string bound)
    {
        var about = input.Basis == Basis.Measured ? "" : "about ";
        var output = requested > 0 ? $" and asks for {Number(requested)} tokens of output" : "";
        return new GatewayError(ErrorCode.ContextLengthExceeded,
            $"{bound} The request has {about}{Number(input.Tokens)} input tokens{output}: {Number(excess)} too many.")
        {
            Parameter = "messages",
            Remedy = requested > 0 && requested >= excess
                ? $"Shorten the input by {Number(excess)} tokens or lower the output limit to {Number(requested - excess)}, "
                    + $"or choose a model with a larger window than `{model.Id}`."
                : $"Shorten the input by {Number(excess)} tokens, or choose a model with a larger window than `{model.Id}`.",
            Details = new JsonObject
            {
                ["input_tokens"] = input.Tokens,
                ["input_basis"] = input.Basis.ToWire(),
                ["requested_output_tokens"] = requested,
                ["context_window"] = window,
                ["excess_tokens"] = excess,
            },
        };
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
