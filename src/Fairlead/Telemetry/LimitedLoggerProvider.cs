using Microsoft.Extensions.Logging;

namespace Fairlead.Telemetry;

/// <summary>
/// A provider that counts repeated lines instead of writing them, whichever type logs them. Disabled levels never arrive here. Thread-safe.
/// </summary>
internal sealed class LimitedLoggerProvider(ILoggerProvider inner, TimeProvider time) : ILoggerProvider, ISupportExternalScope
{
    private readonly RepeatedLines _lines = new(time);

    public ILogger CreateLogger(string categoryName) => new LimitedLogger(inner.CreateLogger(categoryName), _lines);

    public void SetScopeProvider(IExternalScopeProvider scopeProvider) => (inner as ISupportExternalScope)?.SetScopeProvider(scopeProvider);

    public void Dispose()
    {
        // Write the last counts first.
        _lines.Dispose();
        inner.Dispose();
    }
}
