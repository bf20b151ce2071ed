using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Auditing.Exports;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Ledger;
using Microsoft.Extensions.Time.Testing;
using Parquet;

namespace Fairlead.Tests.Auditing.Exports;

public sealed class SqliteExportTests() : ExportTests(StorageProvider.Sqlite);

public sealed class PostgresExportTests() : ExportTests(StorageProvider.Postgres);

/// <summary>Records in the three formats, by filters.</summary>
public abstract class ExportTests : IDisposable
{
    private readonly LedgerFixture _fixture;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 12, 30, 0, TimeSpan.Zero));
    private readonly Spool _spool;
    private readonly LedgerShipper _shipper;
    private readonly AuditExporter _exporter;

    private protected ExportTests(StorageProvider provider)
    {
        _fixture = new LedgerFixture(provider);
        _spool = _fixture.Spools.Open(segmentBytes: 16 * 1024 * 1024);
        _shipper = _fixture.Ship(_spool);
        _exporter = new AuditExporter(_fixture.Storage, new AuditReader(_fixture.Storage));
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _fixture.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task JsonLines_MoreRecordsThanAPage_HasAllNewestFirst()
    {
        var ids = await CallsAsync(1203);
        var lines = Encoding.UTF8.GetString(await ExportAsync(ExportFormat.JsonLines, new AuditQuery())).TrimEnd('\n').Split('\n');
        Assert.Equal(ids.AsEnumerable().Reverse(), lines.Select(line => (string)JsonNode.Parse(line)!["generation_id"]!));
        Assert.Equal(["id", "node", "sequence", "at"], JsonNode.Parse(lines[0])!.AsObject().Select(member => member.Key).Take(4));
        Assert.NotNull(JsonNode.Parse(lines[0])!["hash"]);
    }

    [Fact]
    public async Task Csv_TextsOfClients_AreQuotedAndNoFormulas()
    {
        await CallAsync("=HYPERLINK(\"http://x\",\"y\")", ("a", "1,2\r\n3"));
        await CallAsync("  @SUM(1)");
        await CallAsync("-1+2");
        await CallAsync("plain");
        var rows = Rows(Encoding.UTF8.GetString(await ExportAsync(ExportFormat.Csv, new AuditQuery())));
        Assert.Equal(RecordColumn.All.Select(column => column.Name), rows[0]);
        Assert.All(rows, row => Assert.Equal(RecordColumn.All.Length, row.Count));
        var user = rows[0].IndexOf("user");
        Assert.Equal(["plain", "'-1+2", "'  @SUM(1)", "'=HYPERLINK(\"http://x\",\"y\")"], rows.Skip(1).Select(row => row[user]));
        Assert.Equal("1,2\r\n3", (string?)JsonNode.Parse(rows[4][rows[0].IndexOf("metadata")])!["a"]);
        Assert.Equal(["0.00028", "100", "2026-11-23T12:30:00Z", "generation"], ((string[])["cost_usd", "input_tokens", "at", "type"]).Select(name => rows[1][rows[0].IndexOf(name)]));
    }

    [Fact]
    public async Task Csv_NoRecords_HasNames()
    {
        var rows = Rows(Encoding.UTF8.GetString(await ExportAsync(ExportFormat.Csv, new AuditQuery { KeyId = "none" })));
        Assert.Equal("id", Assert.Single(rows)[0]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(ParquetRecordWriter.GroupRecords + 5)]
    public async Task Parquet_AnyNumberOfRecords_CanBeRead(int count)
    {
        var ids = await CallsAsync(count);
        using var file = new MemoryStream(await ExportAsync(ExportFormat.Parquet, new AuditQuery()));
        await using var reader = await ParquetReader.CreateAsync(file, cancellationToken: Cancel);
        Assert.Equal(RecordColumn.All.Select(column => column.Name), reader.Schema.GetDataFields().Select(field => field.Name));
        Assert.Equal((count + ParquetRecordWriter.GroupRecords - 1) / ParquetRecordWriter.GroupRecords, reader.RowGroupCount);
        var found = new List<string>();
        var costs = new List<decimal?>();
        for (var i = 0; i < reader.RowGroupCount; i++)
        {
            using var group = reader.OpenRowGroupReader(i);
            var texts = new string?[group.RowCount];
            await group.ReadAsync(reader.Schema.FindDataField("generation_id"), texts.AsMemory(), cancellationToken: Cancel);
            found.AddRange(texts!);
            var amounts = new decimal?[group.RowCount];
            await group.ReadAsync<decimal>(reader.Schema.FindDataField("cost_usd"), amounts.AsMemory(), cancellationToken: Cancel);
            costs.AddRange(amounts);
            var times = new DateTime?[group.RowCount];
            await group.ReadAsync<DateTime>(reader.Schema.FindDataField("at"), times.AsMemory(), cancellationToken: Cancel);
            Assert.All(times, time => Assert.Equal(2026, time!.Value.Year));
        }
        Assert.Equal(ids.AsEnumerable().Reverse(), found);
        Assert.All(costs, cost => Assert.Equal(0.00028m, cost));
    }

    [Fact]
    public async Task Export_Filters_SelectRecords()
    {
        await CallAsync("alice");
        await CallAsync("bob");
        var lines = Encoding.UTF8.GetString(await ExportAsync(ExportFormat.JsonLines, new AuditQuery { EndUser = "bob" })).TrimEnd('\n').Split('\n');
        Assert.Equal("bob", (string?)JsonNode.Parse(Assert.Single(lines))!["user"]);
    }

    [Theory]
    [InlineData("jsonl")]
    [InlineData("csv")]
    [InlineData("parquet")]
    public async Task Export_Cancelled_Ends(string name)
    {
        var format = ExportFormats.Parse(name);
        await CallsAsync(10);
        var query = new AuditQuery();
        var first = await _exporter.FirstAsync(query, Cancel);
        using var stop = new CancellationTokenSource();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _exporter.WriteAsync(new MemoryStream(), format, query, first, stop.Token));
    }

    private async Task<byte[]> ExportAsync(ExportFormat format, AuditQuery query)
    {
        await LedgerFixture.ShipAllAsync(_shipper);
        using var output = new MemoryStream();
        await _exporter.WriteAsync(output, format, query, await _exporter.FirstAsync(query, Cancel), Cancel);
        return output.ToArray();
    }

    private async Task<List<string>> CallsAsync(int count)
    {
        var ids = new List<string>();
        for (var i = 0; i < count; i++) ids.Add(await CallAsync($"user {i}"));
        await LedgerFixture.ShipAllAsync(_shipper);
        return ids;
    }

    private async Task<string> CallAsync(string user, params (string Key, string Value)[] metadata)
    {
        var call = RecordedCalls.New(_time);
        call.Facts.Label().User = user;
        foreach (var (key, value) in metadata) call.Facts.Label().Add(key, value);
        await _spool.AttemptStartedAsync(call, call.Try());
        await _spool.CallEndedAsync(call.End(), 200);
        return call.GenerationId;
    }

    // By RFC 4180.
    private static List<List<string>> Rows(string text)
    {
        var rows = new List<List<string>>();
        var (row, field, quoted) = (new List<string>(), new StringBuilder(), false);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (quoted && c == '"' && i + 1 < text.Length && text[i + 1] == '"') field.Append(text[++i]);
            else if (c == '"') quoted = !quoted;
            else if (quoted || (c != ',' && c != '\r' && c != '\n')) field.Append(c);
            else if (c == '\r') continue;
            else
            {
                row.Add(field.ToString());
                field.Clear();
                if (c != '\n') continue;
                rows.Add(row);
                row = [];
            }
        }
        Assert.False(quoted);
        return rows;
    }
}
