using CsCheck;
using Fairlead.Configuration;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Configuration;

public sealed class FileConfigurationSourceTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-configuration").FullName;
    private readonly FakeTimeProvider _time = new();
    private readonly Lines _log = new();
    private readonly List<GatewayConfiguration> _seen = [];

    private string File => Path.Combine(_folder, "fairlead.yaml");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private FileConfigurationSource Open(string yaml)
    {
        System.IO.File.WriteAllText(File, yaml);
        var source = new FileConfigurationSource(new ConfigurationInput { WorkingDirectory = _folder }, ConfigurationSections.BuiltIn, _time, _log);
        source.Changed += _seen.Add;
        return source;
    }

    private void Tick(int times = 2)
    {
        for (var i = 0; i < times; i++) _time.Advance(FileConfigurationSource.PollInterval);
    }

    [Fact]
    public void Reload_ValidFile_IsAppliedAndRaisesChanged()
    {
        using var source = Open("fairlead: { drainTimeout: 1s }");
        System.IO.File.WriteAllText(File, "fairlead: { drainTimeout: 2s }");
        Tick();
        Assert.Equal(TimeSpan.FromSeconds(2), source.Current.DrainTimeout);
        Assert.Same(source.Current, Assert.Single(_seen));
    }

    [Fact]
    public void Reload_InvalidFile_ReportsAllErrorsAndKeepsRunningConfiguration()
    {
        using var source = Open("fairlead: { drainTimeout: 1s }");
        var before = source.Current;
        System.IO.File.WriteAllText(File, "fairlead: { drainTimeout: soon, retry: { maxRetries: 99 } }");
        Tick(5);
        Assert.Same(before, source.Current);
        Assert.Empty(_seen);
        var line = Assert.Single(_log.All, l => l.Contains("refused", StringComparison.Ordinal));
        Assert.Contains("fairlead.drainTimeout", line, StringComparison.Ordinal);
        Assert.Contains("fairlead.retry.maxRetries", line, StringComparison.Ordinal);

        System.IO.File.WriteAllText(File, "fairlead: { drainTimeout: 3s }");
        Tick();
        Assert.Equal(TimeSpan.FromSeconds(3), source.Current.DrainTimeout);
    }

    [Fact]
    public void Reload_FileStillBeingWritten_WaitsUntilComplete()
    {
        using var source = Open("fairlead: { drainTimeout: 1s }");
        System.IO.File.WriteAllText(File, "fairlead: { drainTimeout: 2");
        Tick(1);
        System.IO.File.WriteAllText(File, "fairlead: { drainTimeout: 2s }");
        Tick();
        Assert.Equal(TimeSpan.FromSeconds(2), source.Current.DrainTimeout);
        Assert.DoesNotContain(_log.All, l => l.Contains("refused", StringComparison.Ordinal));
    }

    /// <summary>Whatever a file holds, the process that reads it lives on: an exception in its timer would end it.</summary>
    [Fact]
    public void Reload_AnyBytes_AreAcceptedOrRefused()
    {
        using var source = Open("fairlead: { drainTimeout: 1s }");
        var pieces = Gen.OneOf(
            Gen.Const("fairlead:\n"), Gen.Const("  providers:\n"), Gen.Const("    a: { kind: simulated }\n"), Gen.Const("\t"), Gen.Const("&x "), Gen.Const("*x"), Gen.Const("<<: "),
            Gen.Const("\"\\ud800\""), Gen.Const("\"\\0\""), Gen.Const("!!binary x"), Gen.Const("? [a]\n: b\n"), Gen.Const("---\n"), Gen.Const("%YAML 9\n"), Gen.Const("dataDirectory: "), Gen.Const("{"), Gen.Const("["),
            Gen.Const("${"), Gen.Const("${A:-${B}}"), Gen.Const("|2-\n"), Gen.Const("\0"), Gen.Const("\ufeff"), Gen.Const("\u2028"), Gen.Const("- "), Gen.Const(": "), Gen.Const("# "), Gen.String);
        Check.Sample(Gen.Select(pieces.Array[0, 12], Gen.Byte.Array[0, 8]), input =>
        {
            var (words, bytes) = input;
            System.IO.File.WriteAllBytes(File, [.. System.Text.Encoding.UTF8.GetBytes(string.Concat(words)), .. bytes]);
            Tick();
            return true;
        }, iter: 400, threads: 1);
        Assert.DoesNotContain(_log.All, line => line.Contains("failed to follow", StringComparison.Ordinal));
        System.IO.File.WriteAllText(File, "fairlead: { drainTimeout: 3s }");
        Tick();
        Assert.Equal(TimeSpan.FromSeconds(3), source.Current.DrainTimeout);
    }

    [Fact]
    public void Reload_FileDeleted_KeepsRunningConfigurationAndLogsOnce()
    {
        using var source = Open("fairlead: { drainTimeout: 1s }");
        System.IO.File.Delete(File);
        Tick(5);
        Assert.Equal(TimeSpan.FromSeconds(1), source.Current.DrainTimeout);
        Assert.Single(_log.All);
    }

    [Fact]
    public void Reload_SubscriberThrows_OthersAreStillNotified()
    {
        using var source = Open("fairlead: { drainTimeout: 1s }");
        source.Changed += _ => throw new InvalidOperationException("broken reader");
        var last = 0;
        source.Changed += _ => last++;
        System.IO.File.WriteAllText(File, "fairlead: { drainTimeout: 2s }");
        Tick();
        Assert.Equal(1, last);
    }

    [Theory]
    [InlineData("dataDirectory: ./elsewhere", "fairlead.dataDirectory")]
    [InlineData("storage: { connectionString: 'postgres://user:secret@db/fairlead' }", "fairlead.storage")]
    [InlineData("audit: { durability: fsync }", "fairlead.audit.durability")]
    [InlineData("telemetry: { otlpEndpoint: 'http://collector:4317' }", "fairlead.telemetry.otlpEndpoint")]
    public void Reload_SettingThatRequiresRestart_IsLoggedByKey(string change, string key)
    {
        using var source = Open("fairlead: { drainTimeout: 1s }");
        System.IO.File.WriteAllText(File, $"fairlead: {{ drainTimeout: 2s, {change} }}");
        Tick();
        var line = Assert.Single(_log.All, l => l.Contains("next start", StringComparison.Ordinal));
        Assert.StartsWith(key + " ", line, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", line, StringComparison.Ordinal);
        Assert.Equal(TimeSpan.FromSeconds(2), source.Current.DrainTimeout);
    }

    [Fact]
    public void Start_BadFile_ThrowsWithAllErrors()
    {
        var failure = Assert.Throws<ConfigurationException>(() => Open("fairlead: { drainTimeout: soon, unknown: 1 }"));
        Assert.Equal(2, failure.Errors.Count);
    }

    private sealed class Lines : ILogger<FileConfigurationSource>
    {
        public List<string> All { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => All.Add(formatter(state, exception));
    }
}
