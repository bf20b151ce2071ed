using System.Security.Cryptography;
using Microsoft.Extensions.Logging;

namespace Fairlead.Configuration;

/// <summary>
/// The configuration of the process, read once at the start and again whenever the file's content changes. A file with faults is refused:
/// they are all logged, and what runs stays. Thread-safe.
/// </summary>
internal sealed class FileConfigurationSource : IConfigurationSource, IDisposable
{
    /// <summary>How often the file is looked at. By content, since mounted files (Kubernetes) change behind links that no watcher reports.</summary>
    internal static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    private readonly ConfigurationInput _input;
    private readonly ILogger<FileConfigurationSource> _logger;
    private readonly string? _path;
    private readonly ITimer? _timer;
    private readonly Lock _gate = new();
    private volatile GatewayConfiguration _current;
    private byte[]? _settled;
    private byte[]? _pending;
    private bool _missing;

    /// <exception cref="ConfigurationException">The configuration has faults.</exception>
    public FileConfigurationSource(ConfigurationInput input, TimeProvider time, ILogger<FileConfigurationSource> logger)
    {
        _input = input;
        _logger = logger;
        var faults = new List<ConfigurationFault>();
        _path = input.Locate(faults);
        byte[]? content = null;
        if (_path is not null && !ConfigurationReader.TryReadFile(_path, out content, out var fault)) faults.Add(fault!);
        var result = ConfigurationReader.Read(input, _path, content, faults);
        _current = result.Configuration ?? throw new ConfigurationException(result.Faults);
        if (_path is null) return;
        _settled = SHA256.HashData(content!);
        _timer = time.CreateTimer(static state => ((FileConfigurationSource)state!).Poll(), this, PollInterval, PollInterval);
    }

    public GatewayConfiguration Current => _current;

    public event Action<GatewayConfiguration>? Changed;

    /// <summary>Looks at the file once; called by the timer.</summary>
    internal void Poll()
    {
        // A slow reader of the event must not pile up polls; the next tick looks again.
        if (!_gate.TryEnter()) return;
        try
        {
            Look();
        }
#pragma warning disable CA1031 // A timer's exception would end the process; a file that cannot be made sense of must not.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            _logger.ConfigurationReaderFailed(failure);
        }
        finally
        {
            _gate.Exit();
        }
    }

    public void Dispose() => _timer?.Dispose();

    private void Look()
    {
        if (!ConfigurationReader.TryReadFile(_path!, out var content, out var unreadable))
        {
            if (!_missing) _logger.ConfigurationRefused(1, unreadable!.ToString());
            _missing = true;
            return;
        }
        _missing = false;
        var hash = SHA256.HashData(content!);
        if (hash.AsSpan().SequenceEqual(_settled))
        {
            _pending = null;
            return;
        }
        // Taken only when two looks agree: an editor may be half through writing.
        if (_pending is null || !hash.AsSpan().SequenceEqual(_pending))
        {
            _pending = hash;
            return;
        }
        (_settled, _pending) = (hash, null);

        var result = ConfigurationReader.Read(_input, _path, content);
        if (result.Configuration is not { } configuration)
        {
            _logger.ConfigurationRefused(result.Faults.Count, string.Concat(result.Faults.Select(f => "\n  " + f)));
            return;
        }
        foreach (var key in _input.Keys.Fairlead.RestartKeys(_current, configuration, "fairlead")) _logger.ConfigurationNeedsRestart(key);
        _current = configuration;
        foreach (var reader in Changed?.GetInvocationList() ?? [])
        {
            try
            {
                ((Action<GatewayConfiguration>)reader)(configuration);
            }
#pragma warning disable CA1031 // One slice that fails to follow must not keep the others from it.
            catch (Exception failure)
#pragma warning restore CA1031
            {
                _logger.ConfigurationReaderFailed(failure);
            }
        }
        // Last, so that who reads it may count on it.
        _logger.ConfigurationReloaded(configuration.Providers.Count, configuration.Models.Count);
    }
}
