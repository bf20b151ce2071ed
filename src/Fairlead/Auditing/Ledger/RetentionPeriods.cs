using System.Text;
using Fairlead.Access;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Up to which time records, or their contents, have expired: by the configuration, and by organizations with times of their own. Times are
/// milliseconds since 1970. Immutable.
/// </summary>
internal sealed class RetentionPeriods
{
    private readonly (string OrganizationId, byte[] Name, long Before)[] _own;

    private RetentionPeriods(TimeSpan? configured, IEnumerable<(string OrganizationId, TimeSpan? Time)> own, DateTimeOffset now)
    {
        Default = BeforeOf(configured, now);
        _own = [.. own.Select(one => (one.OrganizationId, Encoding.UTF8.GetBytes(one.OrganizationId), BeforeOf(one.Time, now)))];
    }

    /// <summary>What is older has expired, for all organizations without a time of their own.</summary>
    public long Default { get; }

    /// <summary>Whether some organization has a time of its own.</summary>
    public bool HasOwn => _own.Length > 0;

    /// <summary>Organizations with a time of their own, with what is older than that.</summary>
    public IEnumerable<(string OrganizationId, long Before)> Own => _own.Select(one => (one.OrganizationId, one.Before));

    /// <summary>What is not older has not expired for anyone.</summary>
    public long Latest => _own.Select(one => one.Before).Append(Default).Max();

    /// <summary>What is older has expired for everyone.</summary>
    public long Earliest => _own.Select(one => one.Before).Append(Default).Min();

    public static RetentionPeriods OfRecords(AuditConfig config, IReadOnlyList<OrganizationRetention> own, DateTimeOffset now) => new(
        config.Retention, own.Where(one => one.Records is not null).Select(one => (one.OrganizationId, one.Records)), now);

    public static RetentionPeriods OfContents(AuditConfig config, IReadOnlyList<OrganizationRetention> own, DateTimeOffset now) => new(
        config.ContentRetention, own.Where(one => one.Content is not null).Select(one => (one.OrganizationId, one.Content)), now);

    public bool HasOwnOf(string organizationId) => Array.Exists(_own, one => one.OrganizationId == organizationId);

    /// <summary>How much of a block has expired, as far as its index says.</summary>
    public BlockExpiry ExpiryOf(BlockTerms terms)
    {
        var before = new long[terms.Count];
        Array.Fill(before, Default);
        var matches = new bool[terms.Count];
        foreach (var (_, name, own) in _own)
        {
            Array.Fill(matches, true);
            terms.Require(BlockTerm.Organization, name, matches);
            for (var i = 0; i < matches.Length; i++)
            {
                if (matches[i]) before[i] = own;
            }
        }
        var (expired, left) = (0, 0);
        for (var i = 0; i < before.Length; i++)
        {
            if (terms.IsRemoved(i)) continue;
            if (terms.TimeOf(i) < before[i]) expired++;
            else left++;
        }
        return expired == 0 ? BlockExpiry.None : left == 0 ? BlockExpiry.All : BlockExpiry.Some;
    }

    /// <summary>Whether a record that is still there has expired.</summary>
    public bool HasExpired(AuditBlock block, int place)
    {
        var at = block.TimeOf(place);
        if (at >= Latest) return false;
        if (_own.Length == 0 || at < Earliest) return true;
        return block.CallOf(place) is { } call && at < BeforeOf(call);
    }

    /// <summary>Whether every record of the block that is still there has expired.</summary>
    public bool HasExpired(AuditBlock block) =>
        Enumerable.Range(0, block.Count).All(place => block.RemovedFor(place) is not null || HasExpired(block, place));

    private long BeforeOf(ShippedCall call)
    {
        foreach (var (_, name, before) in _own)
        {
            if (call.OrganizationId.Span.SequenceEqual(name)) return before;
        }
        return Default;
    }

    // Without a time, nothing expires.
    private static long BeforeOf(TimeSpan? time, DateTimeOffset now) =>
        time is { } period && now - DateTimeOffset.UnixEpoch > period ? (now - period).ToUnixTimeMilliseconds() : long.MinValue;
}

/// <summary>How many records of a block have expired.</summary>
internal enum BlockExpiry
{
    None,
    Some,
    All,
}
