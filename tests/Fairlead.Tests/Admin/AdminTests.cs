using Fairlead.Tests.Storage;

namespace Fairlead.Tests.Admin;

/// <summary>A host on a store of its own for every test.</summary>
public abstract class AdminTests : IAsyncLifetime
{
    private readonly TemporaryStorage _temporary = new();

    private protected AdminHost Host { get; private set; } = null!;

    private protected string DataDirectory => _temporary.DataDirectory;

    public async ValueTask InitializeAsync() => Host = await AdminHost.StartAsync(DataDirectory);

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }
}
