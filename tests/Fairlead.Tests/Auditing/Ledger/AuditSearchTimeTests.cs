using System.Diagnostics;
using System.Globalization;
using System.Text;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Fairlead.Conversation;
using Fairlead.Storage;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Ledger;

public sealed class SqliteAuditSearchTimeTests() : AuditSearchTimeTests(StorageProvider.Sqlite);

public sealed class PostgresAuditSearchTimeTests() : AuditSearchTimeTests(StorageProvider.Postgres);

/// <summary>The first page of any search is there in a second: over a million records if FAIRLEAD_TEST_FULL is 1, else over fewer.</summary>
public abstract class AuditSearchTimeTests
{
    private static readonly int Records = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1" ? 1_000_000 : 50_000;

    private readonly StorageProvider _provider;

    private protected AuditSearchTimeTests(StorageProvider provider) => _provider = provider;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Search_ManyRecords_FirstPageTakesLessThanASecond()
    {
        using var fixture = new LedgerFixture(_provider);
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        var chain = new ChainWriter(null, null, time);
        var ids = new List<string>();
        var bytes = 0L;
        for (var first = 0; first < Records; first += 1024)
        {
            var calls = new List<ShippedCall>();
            for (var i = first; i < Math.Min(first + 1024, Records); i++)
            {
                time.Advance(TimeSpan.FromMilliseconds(7));
                var id = Ids.New("gen_", time);
                if (i % 9973 == 0) ids.Add(id);
                calls.Add(ShippedCall.Read(Record(id, time, i), i)!);
                bytes += calls[^1].Record.Length;
            }
            await LedgerWriter.WriteAsync(fixture.Storage, chain, new LedgerBatch("node_1", calls) { Position = new(1, first + 1) }, null, null, false, Cancel);
        }

        var reader = new AuditReader(fixture.Storage);
        var middle = time.GetUtcNow() - TimeSpan.FromMilliseconds(7L * Records / 2);
        (string Name, AuditQuery Query, int Found)[] searches =
        [
            ("all", new AuditQuery(), 50),
            ("by time", new AuditQuery { To = middle }, 50),
            ("a common key", new AuditQuery { KeyId = "key_7" }, 50),
            ("a rare key", new AuditQuery { KeyId = "key_rare" }, 3),
            ("no such key", new AuditQuery { KeyId = "key_none" }, 0),
            ("a rare outcome of a common key", new AuditQuery { KeyId = "key_7", Outcome = "failed" }, -1),
            ("a code", new AuditQuery { Code = "rate_limit_exceeded" }, -1),
            ("model and provider that do not go together", new AuditQuery { Model = "model 1", Provider = "provider 2" }, 0),
            ("a rare user", new AuditQuery { EndUser = "user 9973" }, 1),
            ("no such user", new AuditQuery { EndUser = "user x" }, 0),
            ("a common pair of metadata", new AuditQuery { Metadata = [new("team", "3")] }, 50),
            ("metadata and user that do not go together", new AuditQuery { EndUser = "user 9973", Metadata = [new("team", "1")] }, 0),
            ("a cost that none has", new AuditQuery { MinCostUsd = 0.000281m }, 0),
            ("the first generation", new AuditQuery { GenerationId = ids[0] }, 1),
            ("the last generation", new AuditQuery { GenerationId = ids[^1] }, 1),
            ("no such generation", new AuditQuery { GenerationId = Ids.New("gen_", time) }, 0),
            ("a request", new AuditQuery { RequestId = "req_" + ids[ids.Count / 2][4..] }, 1),
        ];
        TestContext.Current.TestOutputHelper?.WriteLine($"{Records} records, {bytes / Records} bytes each");
        foreach (var (name, query, expected) in searches)
        {
            var watch = Stopwatch.StartNew();
            var page = await reader.ReadAsync(query, Cancel);
            watch.Stop();
            TestContext.Current.TestOutputHelper?.WriteLine($"{name}: {page.Records.Count} records in {watch.Elapsed.TotalMilliseconds:F0} ms");
            if (expected >= 0) Assert.Equal(expected, page.Records.Count);
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(1), $"{name} took {watch.Elapsed}");
        }
    }

    private static byte[] Record(string id, TimeProvider time, int i) => Encoding.UTF8.GetBytes($$"""
        {"id":"aud_{{id[4..]}}","at":"{{time.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture)}}","request_id":"req_{{id[4..]}}","generation_id":"{{id}}","organization_id":"org_{{i % 40 / 10}}","project_id":"proj_{{i % 40 / 4}}","key_id":"{{(i % (Records / 3) == 5 ? "key_rare" : $"key_{i % 40}")}}","address":"192.0.2.7","endpoint":"/v1/chat/completions","dialect":"openai.chat","model_requested":"fast","model":"model {{i % 3}}","provider":"provider {{i % 3}}","parameters":{"stream":true,"class":"standard"},"prompt":null,"policy":null,"attempts":[{"id":"att_{{id[4..]}}_1","number":1,"deployment":"openai/gpt-x","provider":"openai","model":"gpt-x","outcome":"complete","error_code":null,"upstream_status":200,"sent":true,"duration_ms":{{i % 1000}}.4,"usage":{"input_tokens":{{i % 300}},"cached_input_tokens":0,"cache_write_tokens":0,"output_tokens":{{i % 70}},"reasoning_tokens":0,"basis":"measured"},"cost_usd":0.00028}],"usage":{"input_tokens":{{i % 300}},"cached_input_tokens":0,"cache_write_tokens":0,"output_tokens":{{i % 70}},"reasoning_tokens":0,"basis":"measured"},"cost_usd":0.00028,"outcome":"{{(i % 997 == 7 ? "failed" : "complete")}}","error_code":{{(i % 9973 == 9 ? "\"rate_limit_exceeded\"" : "null")}},"user":"user {{i}}","metadata":{"team":"{{i % 10}}"},"status":200,"timing_ms":{"total":{{i % 1000}}.2},"content":null}
        """);
}
