using Fairlead.Configuration;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;

namespace Fairlead.Http;

/// <summary>
/// Suggests an address for one that does not exist: the same end after another prefix, or the correction of a typo.
/// </summary>
internal static class AddressHint
{
    private const int MaxLength = 512;
    private const int MaxSegments = 16;
    private const int MaxTypoLength = 48;

    private static readonly string[][] Roots = [["v1"], ["v2"], ["admin", "v1"]];

    /// <summary>What clients put before an API's own path: versions, names of vendors, names of proxies.</summary>
    private static readonly HashSet<string> Prefixes = new(StringComparer.OrdinalIgnoreCase)
    {
        "api", "openai", "anthropic", "admin", "fairlead", "proxy", "gateway", "llm", "ai", "engines", "deployments", "beta",
    };

    /// <summary>
    /// The address that <paramref name="path"/> should have been, or null. The time depends on the number of addresses, not on what the
    /// client sent.
    /// </summary>
    public static string? Find(IEnumerable<Endpoint> endpoints, string? path)
    {
        if (path is null || path.Length is 0 or > MaxLength) return null;
        var written = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (written.Length is 0 or > MaxSegments) return null;

        string? best = null;
        var bestScore = (0, 0, 0);
        var fixedAddresses = new HashSet<string>(StringComparer.Ordinal);
        foreach (var endpoint in endpoints.OfType<RouteEndpoint>())
        {
            if (endpoint.Metadata.GetMetadata<HttpMethodMetadata>() is null) continue;
            var segments = endpoint.RoutePattern.PathSegments;
            for (var i = 0; i < Roots.Length; i++)
            {
                var root = Roots[i];
                if (segments.Count <= root.Length || !root.Select((word, at) => LiteralOf(segments[at]) == word).All(same => same))
                    continue;
                if (segments.All(segment => LiteralOf(segment) is not null))
                    fixedAddresses.Add("/" + string.Join('/', segments.Select(LiteralOf)));
                if (Match(segments, root, written) is not { } match) continue;
                var score = (match.Length, match.Prefix.Contains(root[0], StringComparer.OrdinalIgnoreCase) ? 1 : 0, -i);
                if (score.CompareTo(bestScore) <= 0) continue;
                (best, bestScore) = (match.Address, score);
            }
        }
        if (best is null && path.Length <= MaxTypoLength) best = Suggestion.For("/" + string.Join('/', written), fixedAddresses);
        return string.Equals(best, path, StringComparison.OrdinalIgnoreCase) ? null : best;
    }

    // Whether the last segments match the address after its root.
    private static (string Address, int Length, string[] Prefix)? Match(IReadOnlyList<RoutePatternPathSegment> segments, string[] root,
        string[] written)
    {
        var count = segments.Count - root.Length;
        if (LiteralOf(segments[root.Length]) is not { } first) return null;
        // An id that may contain slashes, such as a model's, takes the rest of the path.
        var offset = segments[^1].Parts is [RoutePatternParameterPart { IsCatchAll: true }]
            ? Array.FindIndex(written, word => string.Equals(word, first, StringComparison.OrdinalIgnoreCase))
            : written.Length - count;
        if (offset < 0 || offset + count > written.Length) return null;
        var literals = 0;
        var address = new List<string>(root);
        for (var i = 0; i < count; i++)
        {
            var segment = segments[root.Length + i];
            if (LiteralOf(segment) is { } literal)
            {
                if (!string.Equals(literal, written[offset + i], StringComparison.OrdinalIgnoreCase)) return null;
                literals++;
                address.Add(literal);
            }
            else if (segment.Parts is [RoutePatternParameterPart parameter])
            {
                if (parameter.IsCatchAll) address.AddRange(written[(offset + i)..]);
                else address.Add(written[offset + i]);
            }
            else
            {
                return null;
            }
        }
        var prefix = written[..offset];
        return literals > 1 || IsPrefix(prefix) ? ("/" + string.Join('/', address), count, prefix) : null;
    }

    // A single common word such as 'files' may be the address of something else, so its prefix must look like that of an API.
    private static bool IsPrefix(string[] prefix)
    {
        if (prefix.Length == 0 || IsVersion(prefix[^1])) return true;
        for (var i = 0; i < prefix.Length; i++)
        {
            // Azure's deployments and OpenAI's former engines are followed by a name that the client chose.
            if (!Prefixes.Contains(prefix[i]) && !IsVersion(prefix[i]) && (i == 0 || prefix[i - 1] is not ("engines" or "deployments")))
                return false;
        }
        return true;
    }

    private static bool IsVersion(string segment) => segment is ['v' or 'V', >= '0' and <= '9', ..] && segment.Length <= 8;

    private static string? LiteralOf(RoutePatternPathSegment segment) => segment.Parts is [RoutePatternLiteralPart literal]
        ? literal.Content : null;
}
