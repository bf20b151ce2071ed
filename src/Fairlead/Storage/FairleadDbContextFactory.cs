using Microsoft.EntityFrameworkCore;

namespace Fairlead.Storage;

/// <summary>Makes contexts on a database whose schema is up to date. Thread-safe. The model is built with the first context, not at start.</summary>
internal sealed class FairleadDbContextFactory(SqliteStorage storage) : IDbContextFactory<FairleadDbContext>
{
    private readonly DbContextOptions<FairleadDbContext> _options =
        new DbContextOptionsBuilder<FairleadDbContext>().UseSqlite(storage.ConnectionString).Options;

    /// <remarks>The schema must be ready; prefer <see cref="CreateDbContextAsync"/>, which sees to it.</remarks>
    public FairleadDbContext CreateDbContext() => new(_options);

    public async Task<FairleadDbContext> CreateDbContextAsync(CancellationToken cancellationToken = default)
    {
        await storage.EnsureReadyAsync(cancellationToken);
        return new FairleadDbContext(_options);
    }
}
