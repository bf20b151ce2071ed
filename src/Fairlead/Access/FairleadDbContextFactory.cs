using Fairlead.Storage;
using Microsoft.EntityFrameworkCore;

namespace Fairlead.Access;

/// <summary>Makes contexts on a database whose schema is up to date. Thread-safe. The model is built with the first context, not at start.</summary>
internal sealed class FairleadDbContextFactory(IStorage storage) : IDbContextFactory<FairleadDbContext>
{
    // Lazily: loading EF Core is not for the path from start to first answer.
    private readonly Lazy<DbContextOptions<FairleadDbContext>> _options = new(() =>
    {
        var builder = new DbContextOptionsBuilder<FairleadDbContext>();
        storage.Configure(builder);
        return builder.Options;
    });

    /// <remarks>The schema must be ready; prefer <see cref="CreateDbContextAsync"/>, which sees to it.</remarks>
    public FairleadDbContext CreateDbContext() => new(_options.Value, storage.Sql);

    public async Task<FairleadDbContext> CreateDbContextAsync(CancellationToken cancellationToken = default)
    {
        await storage.EnsureReadyAsync(cancellationToken);
        return new FairleadDbContext(_options.Value, storage.Sql);
    }
}
