using System.Buffers;
using System.Data.Common;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Auditing.Content;

/// <summary>Shows recorded content in the records that it belongs to, for whoever asks for it and may read it. Thread-safe.</summary>
internal sealed class ContentView(IStorage storage, ContentSealer sealer, ILogger<ContentView>? logger = null)
{
    /// <summary>The parameter that asks for it.</summary>
    public const string Parameter = "include";

    /// <summary>Its value.</summary>
    public const string Value = "content";

    /// <summary>Maximum records of a page with content.</summary>
    public const int MaxRecords = 100;

    private readonly ILogger _logger = logger ?? NullLogger<ContentView>.Instance;

    /// <summary>Whether the request asks for content. An error is added if the caller's role does not allow that.</summary>
    /// <exception cref="GatewayErrorException">The role does not allow it.</exception>
    public static bool IsAsked(QueryReader parameters, Caller caller)
    {
        if (parameters.OneOf(Parameter, [Value]) is null) return false;
        AdminRights.RequireContent(caller);
        return true;
    }

    /// <summary>The action of a request that reads content: with it, the audit shows who may have seen what.</summary>
    /// <param name="request">The request.</param>
    /// <param name="organizationId">The organization whose content it reads; null for all.</param>
    public static AdminAction Reading(EndpointRequest request, string? organizationId)
    {
        var filters = request.Query.Where(pair => pair.Key != "cursor").ToArray();
        return new AdminAction(request.Actor, AdminAction.ReadContent)
        {
            ResourceType = "audit",
            OrganizationId = organizationId,
            After = AdminAction.Keep(json =>
            {
                json.WriteStartObject();
                foreach (var (name, value) in filters) json.WriteString(name, value.ToString());
                json.WriteEndObject();
            }),
        };
    }

    /// <summary>The records with their content.</summary>
    public async Task<IReadOnlyList<StoredRecord>> AddToAsync(IReadOnlyList<StoredRecord> records, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var shown = new List<StoredRecord>(records.Count);
        foreach (var record in records) shown.Add(await AddToAsync(connection, record, cancellationToken));
        return shown;
    }

    private async Task<StoredRecord> AddToAsync(DbConnection connection, StoredRecord record, CancellationToken cancellationToken)
    {
        if (RecordedContent.Of(record.Json.Span) is not { Hash: { } hash }) return record;
        var row = await ContentTable.FindAsync(connection, record.Node, record.Sequence, "", cancellationToken);
        var (content, problem) = row switch
        {
            null => (null, ContentProblem.Missing),
            { Data: null } => (null, ContentProblem.Removed),
            // What the record does not know is not shown as its content.
            _ when !row.Hash.AsSpan().SequenceEqual(hash) => (null, ContentProblem.Damaged),
            _ => await sealer.OpenAsync(row, cancellationToken),
        };
        if (content is not null && TryJoin(record.Json, content) is { } joined) return record with { Json = joined };
        if (content is not null) problem = ContentProblem.Damaged;
        if (problem is ContentProblem.Missing or ContentProblem.Damaged or ContentProblem.KeyMissing)
            _logger.ContentUnreadable(record.Node, record.Sequence, NameOf(problem));
        var why = problem == ContentProblem.Removed ? $"removed_by_{ContentRemoval.Parse(row!.Removal)?.Reason ?? "unknown"}" : NameOf(problem);
        return record with { Json = Join(record.Json, null, why) };
    }

    // One record that cannot be shown must not hide the others.
    private static ReadOnlyMemory<byte>? TryJoin(ReadOnlyMemory<byte> record, byte[] content)
    {
        try
        {
            return Join(record, content, "");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static string NameOf(ContentProblem problem) => problem switch
    {
        ContentProblem.KeyMissing => "key_missing",
        ContentProblem.Damaged => "damaged",
        _ => "missing",
    };

    // The record as it is, with more members in its content.
    private static ReadOnlyMemory<byte> Join(ReadOnlyMemory<byte> record, byte[]? content, string why)
    {
        var joined = new ArrayBufferWriter<byte>(record.Length + (content?.Length ?? 64) + 64);
        using (var document = JsonDocument.Parse(record, RecordJson.Reading))
        using (var json = new Utf8JsonWriter(joined, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            foreach (var member in document.RootElement.EnumerateObject())
            {
                if (!member.NameEquals(RecordedContent.Name))
                {
                    member.WriteTo(json);
                    continue;
                }
                json.WriteStartObject(RecordedContent.Name);
                foreach (var inner in member.Value.EnumerateObject()) inner.WriteTo(json);
                if (content is null) json.WriteString("unavailable", why);
                else WriteContent(json, content);
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        return joined.WrittenMemory;
    }

    private static void WriteContent(Utf8JsonWriter json, byte[] content)
    {
        using var document = JsonDocument.Parse(content, RecordJson.Reading);
        foreach (var member in document.RootElement.EnumerateObject())
        {
            if (!member.NameEquals("salt"u8)) member.WriteTo(json);
        }
    }
}
