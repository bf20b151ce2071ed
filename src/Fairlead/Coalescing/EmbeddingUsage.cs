using System.Numerics;
using Fairlead.Conversation;

namespace Fairlead.Coalescing;

/// <summary>Divides the usage of requests among their inputs.</summary>
internal static class EmbeddingUsage
{
    /// <summary>
    /// The usage of each input, by the share that sent it. In proportion to their bytes; the sum is exactly the usage of the requests.
    /// </summary>
    public static Dictionary<EmbeddingShare, Usage[]> Divide(IReadOnlyList<EmbeddingPart> parts)
    {
        var usages = new Dictionary<EmbeddingShare, Usage[]>();
        foreach (var part in parts)
        {
            var total = part.Attempt.Usage;
            long bytes = 0;
            foreach (var (share, index) in part.Items) bytes += share.BytesOf(index);
            long before = 0, given = 0;
            foreach (var (share, index) in part.Items)
            {
                before += share.BytesOf(index);
                // Rounded sums, so that what one input has too little the next one has too much.
                var until = (long)((BigInteger)total.InputTokens * before / Math.Max(1, bytes));
                if (!usages.TryGetValue(share, out var own)) usages.Add(share, own = new Usage[share.Flights.Count]);
                own[index] = new Usage(until - given, 0) { Basis = total.Basis };
                given = until;
            }
        }
        return usages;
    }

    /// <summary>The sum of several.</summary>
    public static Usage Sum(IEnumerable<Usage> usages)
    {
        var sum = default(Usage);
        foreach (var usage in usages) sum += usage;
        return sum;
    }
}
