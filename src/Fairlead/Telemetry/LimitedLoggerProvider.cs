using Microsoft.Extensions.Logging;

namespace Fairlead.Telemetry;

/// <summary>A provider whose repeated lines are counted instead of written, whichever type writes them. Levels that are off never come here. Thread-safe.</summary>
internal sealed class LimitedLoggerProvider(ILoggerProvider inner, TimeProvider time) : ILoggerProvider, ISupportExternalScope
{
    private readonly RepeatedLines _lines = new(time);

    public ILogger CreateLogger(string categoryName) => new LimitedLogger(inner.CreateLogger(categoryName), _lines);

    public void SetScopeProvider(IExternalScopeProvider scopeProvider) => (inner as ISupportExternalScope)?.SetScopeProvider(scopeProvider);

    public void Dispose()
    {
        // The last counts are written first.
        _lines.Dispose();
        inner.Dispose();
    }
}
