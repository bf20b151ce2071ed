namespace Fairlead.Configuration;

/// <summary>Suggests a known name for an unknown one.</summary>
internal static class Suggestion
{
    /// <summary>
    /// The nearest of <paramref name="known"/> if a typing error explains the difference; otherwise null.
    /// </summary>
    public static string? For(string written, IEnumerable<string> known)
    {
        string? best = null;
        var bestDistance = Math.Max(1, Math.Min(3, written.Length / 2)) + 1;
        foreach (var name in known)
        {
            var distance = Distance(Plain(written), Plain(name));
            if (distance >= bestDistance) continue;
            (best, bestDistance) = (name, distance);
        }
        return best;
    }

    // base_url, base-url and BaseUrl all mean baseUrl.
    private static string Plain(string name) =>
        name.Replace("_", "", StringComparison.Ordinal).Replace("-", "", StringComparison.Ordinal).ToLowerInvariant();

    private static int Distance(string left, string right)
    {
        if (left.Length > 64 || right.Length > 64) return int.MaxValue;
        var previous = new int[right.Length + 1];
        var current = new int[right.Length + 1];
        for (var j = 0; j <= right.Length; j++) previous[j] = j;
        for (var i = 1; i <= left.Length; i++)
        {
            current[0] = i;
            for (var j = 1; j <= right.Length; j++)
            {
                var substitution = previous[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
                current[j] = Math.Min(substitution, Math.Min(previous[j], current[j - 1]) + 1);
            }
            (previous, current) = (current, previous);
        }
        return previous[right.Length];
    }
}
