using Microsoft.Extensions.Logging;

namespace Fairlead.Telemetry;

/// <summary>A logger whose repeated lines are counted instead of written. Thread-safe.</summary>
internal sealed class LimitedLogger(ILogger inner, RepeatedLines lines) : ILogger
{
    /// <summary>The logger with a limit, where one is configured.</summary>
    public static ILogger Of(ILogger logger, RepeatedLines? lines) => lines is null ? logger : new LimitedLogger(logger, lines);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => inner.BeginScope(state);

    public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (inner.IsEnabled(logLevel) && lines.TryTake(inner, logLevel, eventId, state, exception))
            inner.Log(logLevel, eventId, state, exception, formatter);
    }
}

/// <summary>
/// The same for the gateway's own types, in an app with its own loggers. The lines of all other types are the app's to limit. Checking
/// whether a level is enabled costs one call more than with <see cref="Logger{T}"/>.
/// </summary>
/// <typeparam name="T">The type that logs.</typeparam>
internal sealed class LimitedLogger<T>(ILoggerFactory factory, RepeatedLines lines) : ILogger<T>
{
    private static readonly bool IsOwn = typeof(T).Assembly == typeof(LimitedLogger).Assembly;

#pragma warning disable CA2263 // The generic one puts a Logger<T> in between.
    private readonly ILogger _logger = factory.CreateLogger(typeof(T));
#pragma warning restore CA2263

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => _logger.BeginScope(state);

    public bool IsEnabled(LogLevel logLevel) => _logger.IsEnabled(logLevel);

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!_logger.IsEnabled(logLevel) || (IsOwn && !lines.TryTake(_logger, logLevel, eventId, state, exception))) return;
        _logger.Log(logLevel, eventId, state, exception, formatter);
    }
}
