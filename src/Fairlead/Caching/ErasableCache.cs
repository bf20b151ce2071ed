using Fairlead.Erasure;
using Fairlead.Storage;

namespace Fairlead.Caching;

/// <summary>
/// Kept responses in erasures. An entry does not say whose call made it, and may answer calls of others, so all entries of the projects go
/// in which the erasure has found anything. Other nodes drop theirs within two seconds. Thread-safe.
/// </summary>
internal sealed class ErasableCache(IStorage storage, CacheDeletions deletions, OutputCache cache, RedisLevel redis) : IErasable
{
    private const int Portion = 20;

    public string Name => "cache";

    public int Order => 600;

    public IReadOnlyList<string> Tables { get; } = [];

    public async Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        List<string> projects;
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            projects = await connection.QueryAsync(
                $"{ErasureTarget.Projects} AND project_id > @after ORDER BY project_id LIMIT {Portion}",
                [("@erasure", target.Id), ("@after", cursor)], row => row.Text("project_id"), cancellationToken);
        }
        var erased = 0;
        foreach (var project in projects)
        {
            var here = cache.CountOf(project);
            await deletions.AddAsync(project, model: null, record: null, cancellationToken);
            var there = redis.IsConfigured
                ? await redis.RemoveAllAsync(CacheKeys.PatternOf(project, null), isGone: null, cancellationToken) : 0;
            // An entry is mostly in both.
            erased += Math.Max(here, there);
        }
        return new ErasureStep(erased, projects.Count < Portion ? null : projects[^1]);
    }
}
