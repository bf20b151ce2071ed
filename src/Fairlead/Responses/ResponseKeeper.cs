using System.Text.Json;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Responses;

/// <summary>
/// The state behind the Responses dialect: keeps what a call answered, and finds what a later call refers to, on whichever deployment either was.
/// Thread-safe.
/// </summary>
internal sealed class ResponseKeeper(IResponseStore store, ResponseFiles files, TimeProvider time, ILogger<ResponseKeeper> logger)
{
    /// <summary>As long as OpenAI keeps them.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(30);

    private static readonly TimeSpan LongestWrite = TimeSpan.FromSeconds(10);

    /// <summary>A longer chain would cost more reads than a model can use.</summary>
    private const int LongestChain = 1000;

    private const int UlidLength = 26;

    /// <summary>Puts into the facts what the request refers to: the responses before, and items named by id.</summary>
    public async ValueTask<GatewayError?> ResolveAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken)
    {
        var found = call.Facts.Responses!;
        if (found.PreviousResponseId is null && !found.HasReferences && !found.HasFileIds) return null;
        try
        {
            if (found.HasFileIds)
            {
                if (await files.InlineAsync(call, bounds, cancellationToken) is { } missing) return missing;
                found = call.Facts.Responses!;
            }
            var fault = found.PreviousResponseId is { } previous ? await ResolvePreviousAsync(call, previous, bounds, cancellationToken) : null;
            return fault ?? (found.HasReferences ? await ResolveReferencesAsync(call, cancellationToken) : null);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception) || exception is IOException)
        {
            return Away;
        }
    }

    public static readonly GatewayError Away = new(ErrorCode.StoreUnavailable, "The database of the responses cannot be reached now.") { RetryAfter = TimeSpan.FromSeconds(5) };

    /// <summary>Keeps a finished response. A failure is told by its <c>store: false</c> and a warning: the answer exists, and withholding it would not keep it.</summary>
    public async ValueTask KeepAsync(GatewayCall call, string status, Func<byte[]> response, Func<byte[]> output)
    {
        var found = call.Facts.Responses!;
        if (!found.Stores && call.Session is null) return;
        // The client waits for its last byte, whether it is still there or not.
        using var limit = new CancellationTokenSource(LongestWrite, time);
        try
        {
            if (found.Stores) await store.SaveAsync(Made(), call.RunLease, limit.Token);
            else if (!call.Session!.TryKeep(Made())) call.Warn("response_not_stored", "The server has no memory to keep the response on this connection: it cannot be named as 'previous_response_id'.");
        }
        // The last two for an input whose members stand twice: a provider of the dialect may take it, but it cannot be kept as items.
        catch (Exception exception) when (StorageErrors.IsStoreError(exception) || exception is IOException or JsonException or OperationCanceledException or ArgumentException or InvalidOperationException)
        {
            ResponsesLog.NotKept(logger, call.RequestId, StorageErrors.Describe(exception));
            found.Stores = false;
            call.Warn("response_not_stored", "The response could not be kept: it cannot be retrieved, nor named as 'previous_response_id'.");
        }

        StoredResponse Made() => new(ResponseIds.Of(call), call.Caller.ProjectId, status, found.PreviousResponseId, call.StartedAt, time.GetUtcNow() + Lifetime, response(), StoredInput.Of(call), output());
    }

    // As it is read, and as it is put into the request.
    private async ValueTask<StoredResponse?> FindAsync(GatewayCall call, string id, CancellationToken cancellationToken)
    {
        if (call.Session?.Find(id) is not { } known) return await store.FindAsync(call.Caller.ProjectId, id, StoredParts.Items, bytes => call.Body.Count(2 * bytes), cancellationToken);
        call.Body.Count(2L * (known.Input.Length + known.Output.Length));
        return known;
    }

    private async ValueTask<GatewayError?> ResolvePreviousAsync(GatewayCall call, string previous, RequestBounds bounds, CancellationToken cancellationToken)
    {
        var steps = new List<StoredResponse>();
        var bytes = 0L;
        for (string? id = previous; id is not null; id = steps[^1].PreviousId)
        {
            if (await FindAsync(call, id, cancellationToken) is not { } stored) return NotFound(id);
            if (stored.Status is not ("completed" or "incomplete"))
            {
                return GatewayError.Invalid("previous_response_id", $"The response '{id}' has the status '{stored.Status}': there is nothing to go on from.") with { OpenAiCode = "invalid_value" };
            }
            steps.Add(stored);
            bytes += stored.Input.Length + stored.Output.Length;
            if (steps.Count > LongestChain || bytes > bounds.MaxBodyBytes)
            {
                return new GatewayError(ErrorCode.PayloadTooLarge, "The responses before this one are larger than a request may be. Begin anew with what still matters of them.") { Parameter = "previous_response_id" };
            }
        }
        steps.Reverse();
        var history = new List<JsonElement>();
        foreach (var step in steps)
        {
            history.AddRange(Items(step.Input));
            history.AddRange(Items(step.Output));
        }
        call.Facts.Responses!.History = history;
        call.Facts.TextBytes += (int)bytes;
        call.Facts.MessageCount += history.Count;
        return null;
    }

    private async ValueTask<GatewayError?> ResolveReferencesAsync(GatewayCall call, CancellationToken cancellationToken)
    {
        var known = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        var asked = new HashSet<string>(StringComparer.Ordinal);
        foreach (var id in StoredInput.References(call))
        {
            // An item's id names its response.
            var at = id.IndexOf('_', StringComparison.Ordinal) + 1;
            if (known.ContainsKey(id) || at == 0 || id.Length < at + UlidLength) continue;
            var response = string.Concat(ResponseIds.Prefix, id.AsSpan(at, UlidLength));
            if (!asked.Add(response) || await FindAsync(call, response, cancellationToken) is not { } stored) continue;
            foreach (var item in Items(stored.Input).Concat(Items(stored.Output)))
            {
                if (!item.TryGetProperty("id", out var name) || name.ValueKind != JsonValueKind.String) continue;
                known[name.GetString()!] = item;
            }
            call.Facts.TextBytes += stored.Input.Length + stored.Output.Length;
        }
        call.Facts.Responses!.References = known;
        return null;
    }

    private static GatewayError NotFound(string id) =>
        GatewayError.Invalid("previous_response_id", $"Previous response with id '{Dialects.RequestErrors.Shown(id)}' not found.") with { OpenAiCode = "previous_response_not_found" };

    private static List<JsonElement> Items(byte[] json)
    {
        using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 1024 });
        return [.. document.RootElement.EnumerateArray().Select(item => item.Clone())];
    }
}
