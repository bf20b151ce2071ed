using Fairlead.Erasure;
using Fairlead.Limits.Redis;
using Fairlead.Storage;

namespace Fairlead.Caching;

/// <summary>
/// Kept responses in erasures. An entry does not say whose call made it, and may answer calls of others, so all entries of the projects go
/// in which the erasure has found anything. Other nodes drop theirs within two seconds. Thread-safe.
/// </summary>
internal sealed class ErasableCache(IStorage storage, CacheDeletions deletions, OutputCache cache, RedisLevel redis) : IErasable
{
    private const int Portion = 20;

    /// <summary>Starts the cursor of the second pass over Redis.</summary>
    private const string Settled = "settled:";

    /// <summary>Until all nodes know the deletion: before, calls on them could still keep what they had begun.</summary>
    private static readonly TimeSpan SettlePause = CacheDeletions.MaxAge + TimeSpan.FromSeconds(1);

    public string Name => "cache";

    public int Order => 600;

    public IReadOnlyList<string> Tables { get; } = [];

    public async Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        var isSettled = cursor.StartsWith(Settled, StringComparison.Ordinal);
        var after = isSettled ? cursor[Settled.Length..] : cursor;
        List<string> projects;
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            projects = await connection.QueryAsync(
                $"{ErasureTarget.Projects} AND project_id > @after ORDER BY project_id LIMIT {Portion}",
                [("@erasure", target.Id), ("@after", after)], row => row.Text("project_id"), cancellationToken);
        }
        var next = projects.Count < Portion ? null : projects[^1];
        // Entries may outlive the records of their calls.
        var own = target.Kind is ErasureKind.Key or ErasureKind.Project ? target.Selector.ProjectId : null;
        if (after.Length == 0 && own is not null && !projects.Contains(own)) projects.Add(own);
        var erased = 0;
        foreach (var project in projects)
        {
            await target.KeepAliveAsync();
            var here = 0;
            if (!isSettled)
            {
                here = cache.CountOf(project);
                await deletions.AddAsync(project, model: null, record: null, cancellationToken);
            }
            var there = redis.IsConfigured ? await RemoveAsync(project, cancellationToken) : 0;
            // An entry is mostly in both.
            erased += Math.Max(here, there);
        }
        if (next is not null) return new ErasureStep(erased, (isSettled ? Settled : "") + next);
        return isSettled || !redis.IsConfigured || (projects.Count == 0 && after.Length == 0)
            ? new ErasureStep(erased, null) : new ErasureStep(erased, Settled, SettlePause);
    }

    private async Task<int> RemoveAsync(string project, CancellationToken cancellationToken)
    {
        try
        {
            redis.ThrowIfIncomplete();
            return await redis.RemoveAllAsync(CacheKeys.PatternOf(project, null), isGone: null, cancellationToken);
        }
        catch (Exception e) when (RedisErrors.IsUnavailable(e) && !cancellationToken.IsCancellationRequested)
        {
            // The erasure tries again, and goes on with the other stores meanwhile.
            throw new IOException(RedisErrors.Describe(e), e);
        }
    }
}
