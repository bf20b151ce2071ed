using System.Globalization;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Ids of a response and its items, derived from the generation's id: the same whenever the response is written.</summary>
internal static class ResponseIds
{
    public const string Prefix = "resp_";

    public static string Of(GatewayCall call) => Prefix + Ulid(call);

    /// <param name="prefix">Such as <c>msg</c>.</param>
    /// <param name="call">The call of the item.</param>
    /// <param name="index">Position in the output.</param>
    public static string OfItem(string prefix, GatewayCall call, int index) =>
        string.Create(CultureInfo.InvariantCulture, $"{prefix}_{Ulid(call)}{index:00}");

    /// <summary>Id of an item of the input that has none.</summary>
    public static string OfInput(string prefix, GatewayCall call, int index) =>
        string.Create(CultureInfo.InvariantCulture, $"{prefix}_{Ulid(call)}i{index:00}");

    private static string Ulid(GatewayCall call) => call.GenerationId[(call.GenerationId.IndexOf('_', StringComparison.Ordinal) + 1)..];
}
