using Fairlead.Configuration;
using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue;

/// <summary>
/// The current catalogue. Rebuilt and replaced as a whole when the configuration changes; open calls keep the snapshot with which they
/// started.
/// Thread-safe; readers take no lock.
/// </summary>
internal sealed class ReloadingCatalogue : ICatalogue, IDisposable
{
    private readonly CatalogueBuilder _builder;
    private readonly IConfigurationSource _source;
    private readonly ILogger<ReloadingCatalogue> _log;
    private readonly Lock _gate = new();
    private volatile CatalogueSnapshot _current;

    /// <exception cref="CatalogueException">The first configuration has errors.</exception>
    public ReloadingCatalogue(CatalogueBuilder builder, IConfigurationSource source, ILogger<ReloadingCatalogue> log)
    {
        _builder = builder;
        _source = source;
        _log = log;
        source.Changed += Reload;
        // Under the lock, so that a concurrent change is applied after this one and not before.
        lock (_gate) _current = builder.Build(source.Current);
    }

    public ICatalogueSnapshot Current => _current;

    public void Dispose() => _source.Changed -= Reload;

    private void Reload(GatewayConfiguration config)
    {
        lock (_gate)
        {
            try
            {
                _current = _builder.Build(config, _current?.Providers);
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
