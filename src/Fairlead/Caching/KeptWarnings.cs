using System.Collections.Frozen;
using Fairlead.Pipeline;

namespace Fairlead.Caching;

/// <summary>
/// The warnings that are kept with an output: what was left out or changed of the request and the response. All others are about the first
/// call: its key, its budget, its usage or its attempts.
/// </summary>
internal static class KeptWarnings
{
    private static readonly FrozenSet<string> Codes = FrozenSet.Create(StringComparer.Ordinal,
        "parameter_ignored", "parameter_clamped", "parameter_adjusted", "history_omitted", "reasoning_omitted", "citations_omitted",
        "annotations_omitted", "audio_omitted", "output_omitted");

    public static IReadOnlyList<CallWarning> Of(GatewayCall call) => [.. call.Warnings.Where(static warning => Codes.Contains(warning.Code))];
}
