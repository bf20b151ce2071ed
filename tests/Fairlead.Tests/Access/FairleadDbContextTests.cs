using Fairlead.Access;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Microsoft.EntityFrameworkCore;

namespace Fairlead.Tests.Access;

public sealed class SqliteFairleadDbContextTests() : FairleadDbContextTests(StorageProvider.Sqlite);

public sealed class PostgresFairleadDbContextTests() : FairleadDbContextTests(StorageProvider.Postgres);

public abstract class FairleadDbContextTests : IDisposable
{
    private readonly TemporaryStorage _temporary;

    private protected FairleadDbContextTests(StorageProvider provider) => _temporary = new TemporaryStorage(provider);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>The model of EF Core and the tables of the schema steps are two texts; every column goes through both here.</summary>
    [Fact]
    public async Task SaveChanges_EveryColumn_ReadsBackTheSame()
    {
        var contexts = new FairleadDbContextFactory(_temporary.Open());
        var at = DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_123);
        await using (var context = await contexts.CreateDbContextAsync(Cancellation))
        {
            context.Organizations.Add(new OrganizationRow { Id = "org_1", Name = "Ω & co", CreatedAt = at, UpdatedAt = at.AddHours(1) });
            context.Projects.Add(new ProjectRow { Id = "proj_1", OrganizationId = "org_1", Name = "p", CreatedAt = at, UpdatedAt = at });
            var key = new ApiKeyRow
            {
                Id = "key_1", ProjectId = "proj_1", Name = "k", Scopes = ["chat", "models:read"], Models = ["a\"b", "c,d"], Classes = ["bulk"], DefaultClass = "bulk",
                Addresses = ["10.0.0.0/8"], ExpiresAt = at.AddDays(1), ApiVersion = "2026-11-23", Extensions = false, BatchTokens = 9, BatchDelayMs = 0, RevokedAt = at.AddDays(2), CreatedAt = at, UpdatedAt = at,
            };
            key.Secrets.Add(new ApiKeySecretRow { PublicId = "pub", KeyId = "key_1", Hash = [1, 2, 3], CreatedAt = at, RetiresAt = at.AddMinutes(3) });
            context.ApiKeys.Add(key);
            await context.SaveChangesAsync(Cancellation);
        }

        await using var again = await contexts.CreateDbContextAsync(Cancellation);
        var organization = await again.Organizations.SingleAsync(Cancellation);
        Assert.Equal(("org_1", "Ω & co", at, at.AddHours(1)), (organization.Id, organization.Name, organization.CreatedAt, organization.UpdatedAt));
        var project = await again.Projects.SingleAsync(Cancellation);
        Assert.Equal(("proj_1", "org_1", "p", at, at), (project.Id, project.OrganizationId, project.Name, project.CreatedAt, project.UpdatedAt));
        var read = await again.ApiKeys.Include(row => row.Secrets).SingleAsync(Cancellation);
        Assert.Equal(("key_1", "proj_1", "k", "bulk"), (read.Id, read.ProjectId, read.Name, read.DefaultClass));
        Assert.Equal(["chat", "models:read"], read.Scopes);
        Assert.Equal(["a\"b", "c,d"], read.Models!);
        Assert.Equal(["bulk"], read.Classes);
        Assert.Equal(["10.0.0.0/8"], read.Addresses);
        Assert.Equal((at.AddDays(1), "2026-11-23", false, at.AddDays(2)), (read.ExpiresAt, read.ApiVersion, read.Extensions, read.RevokedAt));
        Assert.Equal((9, 0), (read.BatchTokens, read.BatchDelayMs));
        Assert.Equal((at, at), (read.CreatedAt, read.UpdatedAt));
        var secret = Assert.Single(read.Secrets);
        Assert.Equal(("pub", "key_1", at, at.AddMinutes(3)), (secret.PublicId, secret.KeyId, secret.CreatedAt, secret.RetiresAt));
        Assert.Equal([1, 2, 3], secret.Hash);
    }

    [Fact]
    public async Task SaveChanges_AnyChange_RaisesTheRevision()
    {
        var storage = _temporary.Open();
        var contexts = new FairleadDbContextFactory(storage);
        await using var context = await contexts.CreateDbContextAsync(Cancellation);
        var seen = await RevisionAsync(storage);
        var organization = new OrganizationRow { Id = "org_1", Name = "a", CreatedAt = default, UpdatedAt = default };

        context.Organizations.Add(organization);
        await context.SaveChangesAsync(Cancellation);
        Assert.True(await RevisionAsync(storage) > seen);

        seen = await RevisionAsync(storage);
        organization.Name = "b";
        await context.SaveChangesAsync(Cancellation);
        Assert.True(await RevisionAsync(storage) > seen);

        seen = await RevisionAsync(storage);
        context.Organizations.Remove(organization);
        await context.SaveChangesAsync(Cancellation);
        Assert.True(await RevisionAsync(storage) > seen);
    }

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    private static async Task<long> RevisionAsync(IStorage storage)
    {
        await using var connection = await storage.OpenAsync(Cancellation);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT revision FROM access_revision";
        return (long)(await command.ExecuteScalarAsync(Cancellation))!;
    }
}
