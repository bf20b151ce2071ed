using Fairlead.Access;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Access;

/// <summary>One process on a separate store, with a project that owns the keys.</summary>
internal sealed class AccessFixture : IDisposable
{
    public const string AdminSecret = "correct-horse-battery";

    private readonly TemporaryStorage _temporary;

    public AccessFixture(StorageProvider provider, string? adminKey = AdminSecret)
    {
        _temporary = new TemporaryStorage(provider);
        Storage = _temporary.Open();
        Changes = new AccessChanges(Storage, TimeProvider.System);
        Snapshots = SnapshotsOf(Storage);
        Callers = new ApiKeyCallerSource(Snapshots, new AdminKey(adminKey), Time);
    }

    public FakeTimeProvider Time { get; } = new(DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_000));

    public IStorage Storage { get; }

    public AccessChanges Changes { get; }

    public CallerSnapshots Snapshots { get; }

    public ApiKeyCallerSource Callers { get; }

    /// <summary>What another process on the same file would have.</summary>
    public IStorage OpenAgain() => _temporary.Open();

    public static CallerSnapshots SnapshotsOf(IStorage storage) =>
        new(new CallerSnapshotReader(storage, NullLogger<CallerSnapshotReader>.Instance), NullLogger<CallerSnapshots>.Instance);

    /// <summary>Stores a key and loads it; returns its text.</summary>
    public async Task<string> AddKeyAsync(Action<ApiKeyRow>? configure = null, DateTimeOffset? retiresAt = null, string id = "key_1")
    {
        var made = ApiKeyText.New();
        var (now, cancellation) = (Time.GetUtcNow(), TestContext.Current.CancellationToken);
        await using var change = await Changes.BeginAsync(cancellation);
        if (await ProjectTable.FirstAsync(change.Connection, cancellation) is null)
        {
            var organization = new OrganizationRow { Id = "org_1", Name = "Acme", CreatedAt = now, UpdatedAt = now };
            await OrganizationTable.InsertAsync(change.Connection, organization, cancellation);
            var project = new ProjectRow { Id = "proj_1", OrganizationId = "org_1", Name = "Search", CreatedAt = now, UpdatedAt = now };
            await ProjectTable.InsertAsync(change.Connection, project, cancellation);
        }
        var row = new ApiKeyRow
        {
            Id = id, ProjectId = "proj_1", Name = "k", Scopes = [.. Scopes.Default], Classes = [.. CallClasses.All],
            DefaultClass = CallClasses.Default, Addresses = [], ApiVersion = ApiVersions.Current, Extensions = true, CreatedAt = now, UpdatedAt = now,
        };
        configure?.Invoke(row);
        row.Secrets.Add(new ApiKeySecretRow { PublicId = made.PublicId, KeyId = id, Hash = made.Hash, CreatedAt = now, RetiresAt = retiresAt });
        await KeyTable.InsertAsync(change.Connection, row, cancellation);
        await change.CommitAsync(cancellation);
        await Snapshots.ReloadAsync(cancellation);
        return made.Text;
    }

    public AuthenticationResult Authenticate(string key, string? scope = null, string? address = null) =>
        Callers.Authenticate(Request(("Authorization", "Bearer " + key), address), scope);

    public static DefaultHttpContext Request((string Name, string Value) header, string? address = null)
    {
        var context = new DefaultHttpContext();
        context.Request.Headers[header.Name] = header.Value;
        if (address is not null) context.Connection.RemoteIpAddress = System.Net.IPAddress.Parse(address);
        return context;
    }

    public void Dispose()
    {
        Changes.Dispose();
        Snapshots.Dispose();
        _temporary.Dispose();
    }
}
