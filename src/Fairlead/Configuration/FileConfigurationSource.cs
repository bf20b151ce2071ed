using System.Security.Cryptography;
using Microsoft.Extensions.Logging;

namespace Fairlead.Configuration;

/// <summary>
/// The configuration of the process, read at the start and again whenever the content of the file changes. A file with errors is refused:
/// all errors are logged, and the running configuration stays. Thread-safe.
/// </summary>
internal sealed class FileConfigurationSource : IConfigurationSource, IDisposable
{
    /// <summary>
    /// Poll interval of the file. The content is compared: mounted files (Kubernetes) change through links that no watcher reports.
    /// </summary>
    internal static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    private readonly ConfigurationInput _input;
    private readonly ConfigKeys _keys;
    private readonly ILogger<FileConfigurationSource> _logger;
    private readonly string? _path;
    private readonly ITimer? _timer;
    private readonly Lock _gate = new();
    private volatile GatewayConfiguration _current;
    private byte[]? _settled;
    private byte[]? _pending;
    private bool _missing;

    /// <exception cref="ConfigurationException">The configuration has errors.</exception>
    public FileConfigurationSource(ConfigurationInput input, ConfigKeys keys, TimeProvider time, ILogger<FileConfigurationSource> logger)
    {
        _input = input;
        _keys = keys;
        _logger = logger;
        var errors = new List<ConfigurationError>();
        _path = input.Locate(errors);
        byte[]? content = null;
        if (_path is not null && !ConfigurationReader.TryReadFile(_path, out content, out var error)) errors.Add(error!);
        var result = ConfigurationReader.Read(input, keys, _path, content, errors);
        _current = result.Configuration ?? throw new ConfigurationException(result.Errors);
        if (_path is null) return;
        _settled = SHA256.HashData(content!);
        _timer = time.CreateTimer(static state => ((FileConfigurationSource)state!).Poll(), this, PollInterval, PollInterval);
    }

    public GatewayConfiguration Current => _current;

    public event Action<GatewayConfiguration>? Changed;

    /// <summary>Checks the file once; called by the timer.</summary>
    internal void Poll()
    {
        // A slow event handler must not accumulate polls; the next tick polls again.
        if (!_gate.TryEnter()) return;
        try
        {
            Look();
        }
#pragma warning disable CA1031 // An exception in a timer would end the process; an unreadable file must not.
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
        // Used only when two polls see the same content: an editor may still be writing.
        if (_pending is null || !hash.AsSpan().SequenceEqual(_pending))
        {
            _pending = hash;
            return;
        }
        (_settled, _pending) = (hash, null);

        var result = ConfigurationReader.Read(_input, _keys, _path, content);
        if (result.Configuration is not { } configuration)
        {
            _logger.ConfigurationRefused(result.Errors.Count, string.Concat(result.Errors.Select(f => "\n  " + f)));
            return;
        }
        foreach (var key in _keys.Fairlead.RestartKeys(_current, configuration, "fairlead")) _logger.ConfigurationNeedsRestart(key);
        _current = configuration;
        foreach (var reader in Changed?.GetInvocationList() ?? [])
        {
            try
            {
                ((Action<GatewayConfiguration>)reader)(configuration);
            }
#pragma warning disable CA1031 // A slice that fails to apply the change must not stop the others.
            catch (Exception failure)
#pragma warning restore CA1031
            {
                _logger.ConfigurationReaderFailed(failure);
            }
        }
        // Logged last, so that the new configuration is in effect when the line appears.
        _logger.ConfigurationReloaded();
    }
}
