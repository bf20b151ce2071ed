using System.Text.Json.Nodes;
using Fairlead.Auditing;
using Fairlead.Auditing.Exports;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Ledger;
using Fairlead.Tests.Catalogue;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Exports;

public sealed class SqliteScheduledExportTests() : ScheduledExportTests(StorageProvider.Sqlite);

public sealed class PostgresScheduledExportTests() : ScheduledExportTests(StorageProvider.Postgres);

/// <summary>Files on a schedule: each record is in exactly one.</summary>
public abstract class ScheduledExportTests : IDisposable
{
    private readonly LedgerFixture _fixture;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 12, 30, 0, TimeSpan.Zero));
    private readonly Spool _spool;
    private readonly LedgerShipper _shipper;
    private readonly string _folder;

    private protected ScheduledExportTests(StorageProvider provider)
    {
        _fixture = new LedgerFixture(provider);
        _spool = _fixture.Spools.Open(segmentBytes: 1024 * 1024);
        _shipper = _fixture.Ship(_spool);
        _folder = Path.Combine(_fixture.Database.DataDirectory, "files");
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _fixture.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Run_EveryDay_WritesEachRecordOnce()
    {
        var first = await CallAsync();
        Assert.Null(await RunAsync());
        _time.Advance(TimeSpan.FromHours(11));
        Assert.Null(await RunAsync());
        var second = await CallAsync();
        _time.Advance(TimeSpan.FromHours(1));
        var file = await RunAsync();
        Assert.Equal("audit-20261123T123000Z.jsonl", Path.GetFileName(file));
        Assert.Equal([first, second], Ids(file!));
        Assert.Null(await RunAsync());

        // A day without calls, then one while the server was away.
        _time.Advance(TimeSpan.FromDays(1));
        Assert.Null(await RunAsync());
        var third = await CallAsync();
        _time.Advance(TimeSpan.FromDays(3));
        var next = await RunAsync();
        Assert.Equal([third], Ids(next!));
        Assert.Equal(2, Directory.GetFiles(_folder).Length);
    }

    [Fact]
    public async Task Run_AfterEndBeforeItWasRecorded_ReplacesTheFile()
    {
        var first = await CallAsync();
        Assert.Null(await RunAsync());
        _time.Advance(TimeSpan.FromDays(1));
        var file = await RunAsync();
        await _fixture.ExecuteAsync("UPDATE audit_exports SET at = at - 41400000; DELETE FROM audit_export_positions");
        var second = await CallAsync();
        Assert.Equal(file, await RunAsync());
        Assert.Equal([first, second], Ids(file!));
    }

    [Fact]
    public async Task Run_FolderCannotBeWritten_LeavesNothingOutLater()
    {
        var id = await CallAsync();
        Assert.Null(await RunAsync());
        _time.Advance(TimeSpan.FromDays(1));
        Directory.CreateDirectory(_fixture.Database.DataDirectory);
        await File.WriteAllTextAsync(_folder, "in the way", Cancel);
        await Assert.ThrowsAnyAsync<IOException>(RunAsync);
        File.Delete(_folder);
        Assert.Equal([id], Ids((await RunAsync())!));
    }

    [Fact]
    public async Task Run_TwoNodesAtOnce_OneWrites()
    {
        if (_fixture.Storage.Provider == StorageProvider.Sqlite) return;
        var id = await CallAsync();
        Assert.Null(await RunAsync());
        _time.Advance(TimeSpan.FromDays(1));
        var files = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => RunAsync()));
        Assert.Equal([id], Ids(Assert.Single(files, file => file is not null)!));
    }

    [Fact]
    public async Task Run_NotConfigured_WritesNothing()
    {
        await CallAsync();
        using var export = Export(new AuditExportConfig());
        _time.Advance(TimeSpan.FromDays(2));
        Assert.Null(await export.RunAsync(Cancel));
        Assert.False(Directory.Exists(_folder));
    }

    private async Task<string?> RunAsync()
    {
        using var export = Export(new AuditExportConfig { Directory = "files" });
        return await export.RunAsync(Cancel);
    }

    private ScheduledExport Export(AuditExportConfig config)
    {
        var configuration = new FakeConfigurationSource(new GatewayConfiguration { DataDirectory = _fixture.Database.DataDirectory }
            .With(AuditConfig.Default with { Export = config }));
        var exporter = new AuditExporter(_fixture.Storage, new AuditReader(_fixture.Storage));
        return new ScheduledExport(_fixture.Storage, exporter, configuration, _time, NullLogger<ScheduledExport>.Instance);
    }

    private async Task<string> CallAsync()
    {
        var call = RecordedCalls.New(_time);
        await _spool.AttemptStartedAsync(call, call.Try());
        await _spool.CallEndedAsync(call.End(), 200);
        await LedgerFixture.ShipAllAsync(_shipper);
        return call.GenerationId;
    }

    private static IEnumerable<string> Ids(string file) => File.ReadAllLines(file).Select(line => (string)JsonNode.Parse(line)!["generation_id"]!);
}
