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
/// The state of the Responses dialect: stores responses, and finds those to which a later call refers, whatever deployments both use.
/// Thread-safe.
/// </summary>
internal sealed class ResponseKeeper(IResponseStore store, ResponseFiles files, TimeProvider time, ILogger<ResponseKeeper> logger)
{
    /// <summary>The same as at OpenAI.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(30);

    private static readonly TimeSpan MaxWriteTime = TimeSpan.FromSeconds(10);

    /// <summary>A longer chain would cost more reads than a model can use.</summary>
    private const int MaxChain = 1000;

    private const int UlidLength = 26;

    /// <summary>Loads into the facts what the request refers to: earlier responses, and items named by id.</summary>
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
            var error = found.PreviousResponseId is { } previous
                ? await ResolvePreviousAsync(call, previous, bounds, cancellationToken)
                : null;
            return error ?? (found.HasReferences ? await ResolveReferencesAsync(call, cancellationToken) : null);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception) || exception is IOException)
        {
            return Unavailable;
        }
    }

    public static readonly GatewayError Unavailable =
        new(ErrorCode.StoreUnavailable, "The database of responses is unavailable.") { RetryAfter = TimeSpan.FromSeconds(5) };

    /// <summary>
    /// Stores a finished response. If that fails, the response has <c>store: false</c> and a warning; withholding it would not store it.
    /// </summary>
    public async ValueTask KeepAsync(GatewayCall call, string status, Func<byte[]> response, Func<byte[]> output)
    {
        var found = call.Facts.Responses!;
        if (!found.Stores && call.Session is null) return;
        // Not the client's token: the response is stored even if the client is gone.
        using var limit = new CancellationTokenSource(MaxWriteTime, time);
        try
        {
            if (found.Stores) await store.SaveAsync(Create(), call.RunLease, limit.Token);
            else if (!call.Session!.TryKeep(Create()))
            {
                call.Warn(
                    "response_not_stored",
                    "The server has no memory to store the response for this connection: it cannot be named as 'previous_response_id'.");
            }
        }
        catch (Exception exception) when (IsExpected(exception))
        {
            ResponsesLog.NotKept(logger, call.RequestId, StorageErrors.Describe(exception));
            found.Stores = false;
            call.Warn(
                "response_not_stored", "The response could not be stored: it cannot be retrieved, or named as 'previous_response_id'.");
        }

        StoredResponse Create() => new(
            ResponseIds.Of(call),
            call.Caller.ProjectId,
            status,
            found.PreviousResponseId,
            call.StartedAt,
            time.GetUtcNow() + Lifetime,
            response(),
            StoredInput.Of(call),
            output())
        {
            KeyId = call.Caller.KeyId,
            EndUser = call.Facts.Labels?.EndUser,
        };

        // The last two: an input with duplicate members cannot be split into items, although a provider of the dialect may accept it.
        static bool IsExpected(Exception exception) => StorageErrors.IsStoreError(exception)
            || exception is IOException or JsonException or OperationCanceledException or ArgumentException or InvalidOperationException;
    }

    // Counted twice: as it is read, and in the request.
    private async ValueTask<StoredResponse?> FindAsync(GatewayCall call, string id, CancellationToken cancellationToken)
    {
        // The key of a connection may belong to another project at a later turn.
        if (call.Session?.Find(id) is not { } known || known.ProjectId != call.Caller.ProjectId)
        {
            return await store.FindAsync(
                call.Caller.ProjectId, id, StoredParts.Items, bytes => call.Body.Count(2 * bytes), cancellationToken);
        }
        call.Body.Count(2L * (known.Input.Length + known.Output.Length));
        return known;
    }

    private async ValueTask<GatewayError?> ResolvePreviousAsync(
        GatewayCall call, string previous, RequestBounds bounds, CancellationToken cancellationToken)
    {
        var steps = new List<StoredResponse>();
        var bytes = 0L;
        for (string? id = previous; id is not null; id = steps[^1].PreviousId)
        {
            if (await FindAsync(call, id, cancellationToken) is not { } stored) return NotFound(id);
            if (stored.Status is not ("completed" or "incomplete"))
            {
                var message = $"The response '{id}' has the status '{stored.Status}', so it cannot be continued.";
                return GatewayError.Invalid("previous_response_id", message) with { OpenAiCode = "invalid_value" };
            }
            steps.Add(stored);
            bytes += stored.Input.Length + stored.Output.Length;
            if (steps.Count > MaxChain || bytes > bounds.MaxBodyBytes)
            {
                return new GatewayError(
                    ErrorCode.PayloadTooLarge,
                    "The earlier responses are larger than a request may be. Start a new conversation with the parts that still matter.")
                {
                    Parameter = "previous_response_id",
                };
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
            // The id of an item contains that of its response.
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
        GatewayError.Invalid("previous_response_id", $"Previous response with id '{Dialects.RequestErrors.Shown(id)}' not found.") with
        {
            OpenAiCode = "previous_response_not_found",
        };

    private static List<JsonElement> Items(byte[] json)
    {
        using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 1024 });
        return [.. document.RootElement.EnumerateArray().Select(item => item.Clone())];
    }
}
