using Fairlead.Providers;
using Fairlead.Routing;
using Fairlead.Telemetry;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Telemetry;

public sealed partial class RepeatedLinesTests : IDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly RepeatedLines _repeated;
    private readonly Written _written = new();
    private readonly LimitedLogger _logger;

    public RepeatedLinesTests()
    {
        _repeated = new RepeatedLines(_time);
        _logger = new LimitedLogger(_written, _repeated);
    }

    public void Dispose() => _repeated.Dispose();

    [Fact]
    public void Log_RepeatedLine_AppearsOncePerSecondWithCount()
    {
        for (var second = 0; second < 3; second++)
        {
            for (var i = 0; i < 1000; i++) Failed(_logger, $"req_{second}_{i}", "acme");
            Assert.Equal(second + 1, _written.Lines.Count);
            _time.Advance(TimeSpan.FromSeconds(1));
        }
        Assert.Equal("Warning Call req_0_0 failed at acme", _written.Lines[0]);
        Assert.Equal("Warning 999 more line(s) like this in the last second: Call {RequestId} failed at {Provider}", _written.Lines[1]);
        Assert.Equal("Warning 1000 more line(s) like this in the last second: Call {RequestId} failed at {Provider}", _written.Lines[2]);
        Assert.Equal(4, _written.Lines.Count);

        // Once it was quiet for a second, the next one appears as it is.
        _time.Advance(TimeSpan.FromSeconds(1));
        Failed(_logger, "req_9", "acme");
        Assert.Equal("Warning Call req_9 failed at acme", _written.Lines[^1]);
    }

    [Fact]
    public void Log_DifferentProviders_AreSeparateLines()
    {
        foreach (var provider in (string[])["acme", "other", "acme"]) Failed(_logger, "req_1", provider);
        Assert.Equal(2, _written.Lines.Count);
    }

    [Fact]
    public void Log_DifferentExceptionType_IsSeparateLine()
    {
        foreach (var exception in (Exception[])[new IOException(), new InvalidOperationException(), new IOException()]) Broke(_logger, exception);
        Assert.Equal(2, _written.Lines.Count);
    }

    [Fact]
    public void Log_TooManyDistinctObjects_CountAsOne()
    {
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < 1000; i++) Failed(_logger, "req_1", $"provider{i}");
        }
        Assert.Equal(RepeatedLines.MaxThings + 1, _written.Lines.Count);
    }

    [Fact]
    public void Log_InformationLines_HaveTheirOwnLimit()
    {
        for (var i = 0; i < 250; i++) Made(_logger, $"whk_{i}");
        Assert.Equal(RepeatedLines.MaxActsPerSecond, _written.Lines.Count);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("Information 150 more line(s) like this in the last second: Made {Id}", _written.Lines[^1]);
    }

    [Fact]
    public void Dispose_SuppressedLines_AreReported()
    {
        Failed(_logger, "req_1", "acme");
        Failed(_logger, "req_2", "acme");
        _repeated.Dispose();
        Assert.Equal(2, _written.Lines.Count);
    }

    [Fact]
    public void AddLimitedLogging_OwnCategories_AreLimitedOthersAreNot()
    {
        var services = new ServiceCollection();
        services.AddLogging(builder => builder.AddProvider(new Provider(_written)));
        services.AddSingleton<TimeProvider>(_time);
        services.AddLimitedLogging();
        using var provider = services.BuildServiceProvider();
        var ours = provider.GetRequiredService<ILogger<RoutingStage>>();
        var theirs = provider.GetRequiredService<ILogger<RepeatedLinesTests>>();
        for (var i = 0; i < 3; i++)
        {
            Failed(ours, "req_1", "acme");
            Failed(theirs, "req_2", "acme");
        }
        Assert.Equal(1, _written.Lines.Count(line => line.Contains("req_1", StringComparison.Ordinal)));
        Assert.Equal(3, _written.Lines.Count(line => line.Contains("req_2", StringComparison.Ordinal)));
    }

    [Fact]
    public void LimitAllLogging_AnyLoggerCategory_IsLimitedOnce()
    {
        var services = new ServiceCollection();
        services.AddLogging(builder => builder.AddProvider(new Provider(_written)));
        services.AddSingleton<TimeProvider>(_time);
        services.LimitAllLogging();
        services.AddLimitedLogging();
        using (var provider = services.BuildServiceProvider())
        {
            var factory = provider.GetRequiredService<ILoggerFactory>();
            var (web, own) = (factory.CreateLogger("Microsoft.AspNetCore.Server.Kestrel"), provider.GetRequiredService<ILogger<RoutingStage>>());
            for (var i = 0; i < 1000; i++)
            {
                Failed(web, $"req_{i}", "acme");
                Failed(own, $"req_{i}", "other");
            }
            Assert.Equal(2, _written.Lines.Count);
            _time.Advance(TimeSpan.FromSeconds(1));
            Assert.Equal(4, _written.Lines.Count);
            Assert.All(_written.Lines.Skip(2), line => Assert.Contains("999 more line(s)", line, StringComparison.Ordinal));
        }
        Assert.Equal(4, _written.Lines.Count);
    }

    [Fact]
    public void LimitAllLogging_DisabledLevel_NeverReachesProvider()
    {
        var services = new ServiceCollection();
        services.AddLogging(builder => builder.AddProvider(new Provider(_written)).SetMinimumLevel(LogLevel.Warning));
        services.AddSingleton<TimeProvider>(_time);
        services.LimitAllLogging();
        using var provider = services.BuildServiceProvider();
        var logger = provider.GetRequiredService<ILogger<RoutingStage>>();
        // Type and nothing between it and the factory's own logger.
        Assert.IsType<Logger<RoutingStage>>(logger);
        _written.Asked = 0;
        Made(logger, "whk_1");
        Assert.False(logger.IsEnabled(LogLevel.Information));
        Assert.Equal((0, 0), (_written.Asked, _written.Lines.Count));
    }

    [Fact]
    public void AddLimitedLogging_DisabledLevel_IsCheckedOnce()
    {
        var services = new ServiceCollection();
        services.AddLogging(builder => builder.AddProvider(new Provider(_written)));
        services.AddSingleton<TimeProvider>(_time);
        services.AddLimitedLogging();
        using var provider = services.BuildServiceProvider();
        var logger = provider.GetRequiredService<ILogger<RoutingStage>>();
        _written.IsOn = false;
        _written.Asked = 0;
        Made(logger, "whk_1");
        Assert.Equal((1, 0), (_written.Asked, _written.Lines.Count));
    }

    [Fact]
    public void Log_LinesWithoutEventId_AreDistinguishedByTemplate()
    {
#pragma warning disable CA1848, CA2254 // As other libraries write them.
        for (var i = 0; i < 10; i++)
        {
            _logger.LogWarning("One thing of {Number}", i);
            _logger.LogWarning("Another of {Number}", i);
        }
#pragma warning restore CA1848, CA2254
        Assert.Equal(["Warning One thing of 0", "Warning Another of 0"], _written.Lines);
    }

    [LoggerMessage(1, LogLevel.Warning, "Call {RequestId} failed at {Provider}")]
    private static partial void Failed(ILogger logger, string requestId, string provider);

    [LoggerMessage(3, LogLevel.Error, "Broke")]
    private static partial void Broke(ILogger logger, Exception exception);

    [LoggerMessage(2, LogLevel.Information, "Made {Id}")]
    private static partial void Made(ILogger logger, string id);

    private sealed class Written : ILogger
    {
        public List<string> Lines { get; } = [];

        public bool IsOn { get; set; } = true;

        public int Asked { get; set; }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel)
        {
            Asked++;
            return IsOn;
        }

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add($"{logLevel} {formatter(state, exception)}");
    }

    private sealed class Provider(ILogger logger) : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => logger;

        public void Dispose()
        {
        }
    }
}
