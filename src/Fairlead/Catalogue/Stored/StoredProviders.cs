using System.Security.Cryptography;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Security;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;
using System.Net.Sockets;

namespace Fairlead.Catalogue.Stored;

/// <summary>
/// The providers beside the configuration, as this process last read them. Reads run one after another. A read that fails leaves those that
/// were read before in force. Thread-safe; readers take no lock.
/// </summary>
internal sealed class StoredProviders : IDisposable
{
    private static readonly Dictionary<string, ProviderConfig> None = [];

    private readonly IStorage _storage;
    private readonly SecretBox _box;
    private readonly IConfigurationSource _configuration;
    private readonly StoredProviderNames _names;
    private readonly ILogger<StoredProviders> _logger;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>> _connect;
    private volatile IReadOnlyDictionary<string, ProviderConfig> _current = None;
    private volatile Made? _made;
    private long _revision = -1;

    public StoredProviders(
        IStorage storage, SecretBox box, IConfigurationSource configuration, StoredProviderNames names, IHostResolver resolver,
        TimeProvider time, ILogger<StoredProviders> logger)
    {
        (_storage, _box, _configuration, _names, _logger) = (storage, box, configuration, names, logger);
        var connector = new GuardedConnector(resolver, () => Addresses, time);
        // One delegate for all, so that a provider whose settings did not change is recognised.
        _connect = async (context, cancellationToken) =>
            new NetworkStream(await connector.ConnectAsync(context.DnsEndPoint, cancellationToken), ownsSocket: true);
    }

    /// <summary>Raised after <see cref="Current"/> changed, on one thread at a time.</summary>
    public event Action? Changed;

    /// <summary>Those that are enabled, by name, with their secrets.</summary>
    public IReadOnlyDictionary<string, ProviderConfig> Current => _current;

    /// <summary>Where they may be.</summary>
    public AddressRules Addresses
    {
        get
        {
            var settings = _configuration.Current.StoredProviders;
            var made = _made;
            if (made is null || !ReferenceEquals(made.Settings, settings))
                _made = made = new Made(settings, new AddressRules(settings.AllowedNetworks));
            return made.Rules;
        }
    }

    /// <summary>
    /// The configuration with these providers. A name that the configuration has too stays that of the configuration: another node, whose
    /// file does not have it, stored it while this one ran.
    /// </summary>
    public GatewayConfiguration AddTo(GatewayConfiguration configuration)
    {
        var stored = _current;
        if (stored.Count == 0) return configuration;
        var all = new Dictionary<string, ProviderConfig>(configuration.Providers, StringComparer.Ordinal);
        foreach (var (name, config) in stored) all.TryAdd(name, config);
        return configuration.With<IReadOnlyDictionary<string, ProviderConfig>>(all);
    }

    /// <summary>When it returns, everything that was committed before the call is in force here.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            await using var connection = await _storage.OpenAsync(cancellationToken);
            if (await StoredProviderTable.RevisionAsync(connection, cancellationToken) == _revision) return;
            // All of the same state: a key must never meet the address that its provider had before.
            await using var snapshot = await connection.BeginSnapshotAsync(cancellationToken);
            var revision = await StoredProviderTable.RevisionAsync(connection, cancellationToken);
            var rows = await StoredProviderTable.ListAsync(connection, cancellationToken);
            var keys = await StoredProviderTable.KeysAsync(connection, null, cancellationToken);
            _box.Load(await StoredProviderTable.RingAsync(connection, cancellationToken));
            _names.All = [.. rows.Select(row => row.Name)];
            _current = rows.Where(row => row.Enabled).ToDictionary(
                row => row.Name, row => ConfigOf(row, keys.Where(key => key.Provider == row.Name)), StringComparer.Ordinal);
            _revision = revision;
            Changed?.Invoke();
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Encrypts a secret in the transaction that stores it.</summary>
    public async Task<byte[]> ProtectAsync(System.Data.Common.DbConnection connection, string secret, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            _box.Load(await StoredProviderTable.RingAsync(connection, cancellationToken));
            var sealedSecret = _box.Protect(secret);
            await StoredProviderTable.AddToRingAsync(connection, _box.TakeAdded(), cancellationToken);
            return sealedSecret;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>A provider as the catalogue knows it.</summary>
    public ProviderConfig ConfigOf(StoredProviderRow row, IEnumerable<StoredProviderKeyRow> keys) => new()
    {
        Kind = row.Kind,
        BaseUrl = row.BaseUrl?.TrimEnd('/'),
        ApiKeys = [.. keys.Where(key => key.Enabled).Select(SecretOf).OfType<string>()],
        OfferedModels = row.Models,
        Connect = _connect,
    };

    private string? SecretOf(StoredProviderKeyRow key)
    {
        try
        {
            return _box.Unprotect(key.Secret);
        }
        catch (CryptographicException exception)
        {
            StoredProvidersLog.SecretUnreadable(_logger, key.Id, key.Provider, exception.Message);
            return null;
        }
    }

    public void Dispose() => _gate.Dispose();

    private sealed record Made(StoredProvidersConfig Settings, AddressRules Rules);
}
