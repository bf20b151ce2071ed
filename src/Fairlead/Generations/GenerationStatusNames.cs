using System.Text.Json.Serialization;
using Fairlead.Conversation;

namespace Fairlead.Generations;

/// <summary>Names of states and outcomes on the wire and in the database.</summary>
internal static class GenerationStatusNames
{
    public static readonly IReadOnlyList<string> All = [.. Enum.GetValues<GenerationStatus>().Select(ToWire)];

    public static string ToWire(this GenerationStatus status) => status switch
    {
        GenerationStatus.Queued => "queued",
        GenerationStatus.InProgress => "in_progress",
        GenerationStatus.Completed => "completed",
        GenerationStatus.Incomplete => "incomplete",
        GenerationStatus.Cancelled => "cancelled",
        _ => "failed",
    };

    public static bool TryParse(string name, out GenerationStatus status)
    {
        foreach (var known in Enum.GetValues<GenerationStatus>())
        {
            if (known.ToWire() != name) continue;
            status = known;
            return true;
        }
        status = default;
        return false;
    }

    public static GenerationStatus Parse(string name) => TryParse(name, out var status)
        ? status
        : throw new FormatException($"'{name}' is not a status of a generation.");

    public static Outcome ParseOutcome(string name)
    {
        foreach (var known in Enum.GetValues<Outcome>())
        {
            if (known.ToWire() == name) return known;
        }
        throw new FormatException($"'{name}' is not an outcome of a generation.");
    }
}

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
[JsonSerializable(typeof(RequestContext))]
[JsonSerializable(typeof(GenerationProgress))]
internal sealed partial class GenerationJsonContext : JsonSerializerContext;
