using System.Globalization;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>
/// Maps the position of an error in the canonical model to the request of this dialect, whose messages and fields have other
/// names: <c>messages[2].content</c> may be <c>input/1</c>.
/// </summary>
internal static class V2ParameterNames
{
    public static GatewayError Of(GatewayCall call, GatewayError error) =>
        // A request that could not be read has only names of this dialect.
        call.Facts.V2 is { } request && error.Parameter is { } parameter && Find(request, parameter) is { } place
            ? error with { Parameter = place }
            : error;

    private static string? Find(V2Request request, string parameter)
    {
        var end = parameter.AsSpan().IndexOfAny('[', '.');
        var index = IndexOf(parameter, end);
        switch (end < 0 ? parameter : parameter[..end])
        {
            case "messages": return index is { } message && message < request.MessagePointers.Count
                ? request.MessagePointers[message]
                : "input";
            case "tools": return index is { } tool ? string.Create(CultureInfo.InvariantCulture, $"tools/{tool}") : "tools";
            case "response_format": return "output";
            case "stop" or "stop_sequences": return "sampling/stop";
            case "max_tokens" or "max_completion_tokens" or "max_output_tokens": return "sampling/max_output_tokens";
            case "temperature": return "sampling/temperature";
            case "top_p": return "sampling/top_p";
            case "seed": return "sampling/seed";
            case "reasoning_effort": return "reasoning/effort";
            // Already a position of this dialect, or not one in the request.
            default: return null;
        }
    }

    private static int? IndexOf(string parameter, int start)
    {
        if (start < 0 || parameter[start] != '[') return null;
        var end = parameter.IndexOf(']', start);
        return end > 0 && int.TryParse(parameter.AsSpan(start + 1, end - start - 1), NumberStyles.None, CultureInfo.InvariantCulture,
            out var index) ? index : null;
    }
}
