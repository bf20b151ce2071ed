using System.Data.Common;
using System.Text;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Records;
using Fairlead.Storage;
using Microsoft.Data.Sqlite;

namespace Fairlead.Tests.Common;

/// <summary>The audit records of a database as rows, in a copy in memory that tests can ask by SQL.</summary>
internal static class StoredRecords
{
    private const string Tables = """
        CREATE TABLE audit_records (id TEXT, node TEXT, sequence INTEGER, type TEXT, at INTEGER, organization_id TEXT, project_id TEXT, key_id TEXT,
            request_id TEXT, generation_id TEXT, model TEXT, outcome TEXT, record TEXT);
        CREATE TABLE ledger_entries (attempt_id TEXT, generation_id TEXT, number INTEGER, at INTEGER, provider TEXT, deployment TEXT, upstream_model TEXT,
            outcome TEXT, input_tokens INTEGER, cached_input_tokens INTEGER, cache_write_tokens INTEGER, output_tokens INTEGER, reasoning_tokens INTEGER,
            basis TEXT, cost_pico_usd INTEGER);
        """;

    /// <summary>Whether the statement asks for what is in blocks.</summary>
    public static bool IsMeant(string sql) =>
        sql.Contains("audit_records", StringComparison.Ordinal) || sql.Contains("ledger_entries", StringComparison.Ordinal);

    public static async Task<SqliteConnection> CopyAsync(DbConnection source, CancellationToken cancellationToken)
    {
        var copy = new SqliteConnection("Data Source=:memory:");
        await copy.OpenAsync(cancellationToken);
        await copy.ExecuteAsync(Tables, [], cancellationToken);
        await using var transaction = await copy.BeginTransactionAsync(cancellationToken);
        foreach (var block in await BlocksAsync(source, cancellationToken))
        {
            for (var i = 0; i < block.Count; i++)
            {
                if (block.CallOf(i) is { } call) await AddAsync(copy, block, i, call, cancellationToken);
            }
        }
        await transaction.CommitAsync(cancellationToken);
        return copy;
    }

    /// <summary>All blocks in the order of their numbers.</summary>
    public static async Task<List<AuditBlock>> BlocksAsync(DbConnection source, CancellationToken cancellationToken)
    {
        var rows = await source.QueryAsync("SELECT * FROM audit_blocks ORDER BY number", [], BlockTable.Read, cancellationToken);
        return rows.ConvertAll(AuditBlock.Read);
    }

    private static async Task AddAsync(SqliteConnection copy, AuditBlock block, int place, ShippedCall call, CancellationToken cancellationToken)
    {
        await copy.ExecuteAsync(
            "INSERT INTO audit_records VALUES (@id, @node, @sequence, @type, @at, @organization, @project, @key, @request, @generation, @model, @outcome, @record)",
            [
                ("@id", Text(call.Id)), ("@node", block.Row.Node), ("@sequence", block.SequenceOf(place)),
                ("@type", call.Kind == AuditRecordKind.Generation ? "generation" : "admin"), ("@at", call.At),
                ("@organization", Text(call.OrganizationId)), ("@project", Text(call.ProjectId)), ("@key", Text(call.KeyId)), ("@request", Text(call.RequestId)),
                ("@generation", Text(call.GenerationId)), ("@model", call.Model is { } model ? Text(model) : null), ("@outcome", Text(call.Outcome)),
                ("@record", Text(call.Record)),
            ],
            cancellationToken);
        foreach (var attempt in call.Attempts)
        {
            await copy.ExecuteAsync(
                "INSERT INTO ledger_entries VALUES (@id, @generation, @number, @at, @provider, @deployment, @model, @outcome, @input, @cached, @written, @output, @reasoning, @basis, @cost)",
                [
                    ("@id", Text(attempt.Id)), ("@generation", Text(call.GenerationId)), ("@number", attempt.Number), ("@at", call.At),
                    ("@provider", Text(attempt.Provider)), ("@deployment", Text(attempt.Deployment)), ("@model", Text(attempt.UpstreamModel)),
                    ("@outcome", attempt.Outcome is { } outcome ? Text(outcome) : null), ("@input", attempt.InputTokens),
                    ("@cached", attempt.CachedInputTokens), ("@written", attempt.CacheWriteTokens), ("@output", attempt.OutputTokens),
                    ("@reasoning", attempt.ReasoningTokens), ("@basis", Text(attempt.Basis)), ("@cost", attempt.CostPicoUsd),
                ],
                cancellationToken);
        }
    }

    private static string Text(ReadOnlyMemory<byte> utf8) => Encoding.UTF8.GetString(utf8.Span);
}
