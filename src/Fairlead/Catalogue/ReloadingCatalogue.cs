using Fairlead.Catalogue.Stored;
using Fairlead.Configuration;
using Fairlead.Providers;
using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue;

/// <summary>
/// The current catalogue. Rebuilt and replaced as a whole when the configuration or a stored provider changes; open calls keep the snapshot with which they
/// started.
/// Thread-safe; readers take no lock.
/// </summary>
internal sealed class ReloadingCatalogue : ICatalogue, IDisposable
{
    private readonly CatalogueBuilder _builder;
    private readonly IConfigurationSource _source;
    private readonly StoredProviders? _stored;
    private readonly ILogger<ReloadingCatalogue> _log;
    private readonly Lock _gate = new();
    private volatile CatalogueSnapshot _current;

    /// <exception cref="CatalogueException">The first configuration has errors.</exception>
    public ReloadingCatalogue(CatalogueBuilder builder, IConfigurationSource source, ILogger<ReloadingCatalogue> log, StoredProviders? stored = null)
    {
        _builder = builder;
        _source = source;
        _log = log;
        _stored = stored;
        source.Changed += Reload;
        if (stored is not null) stored.Changed += ReloadStored;
        // Under the lock, so that a concurrent change is applied after this one and not before.
        lock (_gate) _current = Build(source.Current, null);
    }

    public ICatalogueSnapshot Current => _current;

    public void Dispose()
    {
        _source.Changed -= Reload;
        if (_stored is not null) _stored.Changed -= ReloadStored;
    }

    private void ReloadStored() => Reload(_source.Current);

    // A stored provider that does not fit a new configuration must not keep the configuration from being used.
    private CatalogueSnapshot Build(GatewayConfiguration config, ProviderPool? previous)
    {
        if (_stored is null || _stored.Current.Count == 0) return _builder.Build(config, previous);
        foreach (var name in _stored.Current.Keys.Where(config.Providers.ContainsKey)) StoredProvidersLog.NamedTwice(_log, name);
        try
        {
            return _builder.Build(_stored.AddTo(config), previous);
        }
        catch (CatalogueException exception)
        {
            StoredProvidersLog.LeftOut(_log, exception.Message);
            return _builder.Build(config, previous);
        }
    }

    private void Reload(GatewayConfiguration config)
    {
        lock (_gate)
        {
            try
            {
                _current = Build(config, _current?.Providers);
                CatalogueLog.Reloaded(_log, _current.Models.Count);
            }
            catch (CatalogueException exception)
            {
                // The configuration reader checks before it swaps, so this is a second line of defence: the running catalogue stays.
                CatalogueLog.Refused(_log, exception.Message);
            }
        }
    }
}
