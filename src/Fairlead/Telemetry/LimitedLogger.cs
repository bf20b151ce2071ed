using Microsoft.Extensions.Logging;

namespace Fairlead.Telemetry;

/// <summary>A logger whose repeated lines are counted instead of written. Thread-safe.</summary>
internal sealed class LimitedLogger(ILogger inner, RepeatedLines lines) : ILogger
{
    /// <summary>The logger with a limit, where there is one.</summary>
    public static ILogger Of(ILogger logger, RepeatedLines? lines) => lines is null ? logger : new LimitedLogger(logger, lines);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => inner.BeginScope(state);

    public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (inner.IsEnabled(logLevel) && lines.TryTake(inner, logLevel, eventId, state, exception)) inner.Log(logLevel, eventId, state, exception, formatter);
    }
}

/// <summary>The same for the gateway's own types. The lines of all other types are theirs to limit.</summary>
/// <typeparam name="T">The type that logs.</typeparam>
internal sealed class LimitedLogger<T>(ILoggerFactory factory, RepeatedLines lines) : ILogger<T>
{
    private readonly ILogger _logger = typeof(T).Assembly == typeof(LimitedLogger).Assembly ? new LimitedLogger(new Logger<T>(factory), lines) : new Logger<T>(factory);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => _logger.BeginScope(state);

    public bool IsEnabled(LogLevel logLevel) => _logger.IsEnabled(logLevel);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _logger.Log(logLevel, eventId, state, exception, formatter);
}
