using System.Data.Common;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue.Stored;

/// <summary>
/// <c>/admin/v1/providers/{id}/keys</c>: the keys of a stored provider. All enabled ones are used in turn; one that the provider rejects is
/// left out and tested again. A secret is written and never read. Thread-safe.
/// </summary>
internal sealed class StoredProviderKeyEndpoints(
    StoredProviders stored, ICatalogue catalogue, IConfigurationSource configuration, AccessChanges changes, IStorage storage,
    TimeProvider time, IAdminAudit audit, ILogger<StoredProviderKeyEndpoints> logger) : IAdminEndpoints
{
    private const string Prefix = "pkey_";
    private const string Path = StoredProviderEndpoints.Path + "/{id}/keys";
    private const int MaxKeys = 20;

    /// <summary>Tokens of cloud vendors are the longest.</summary>
    private const int MaxSecret = 4096;

    private static readonly FieldSet NewFields = new(["name", "secret", "enabled"]);
    private static readonly FieldSet ChangeFields = new(["name", "enabled"], new Dictionary<string, string>
    {
        ["secret"] = "Replace the secret with POST …/rotate.",
    });
    private static readonly FieldSet RotationFields = new(["secret"]);

    public void Map(EndpointRoutes read, EndpointRoutes write)
    {
        read.Read(Path, ListAsync);
        write.Post(Path, CreateAsync);
        write.Patch(Path + "/{key}", ChangeAsync);
        write.Post(Path + "/{key}/rotate", RotateAsync);
        write.Delete(Path + "/{key}", DeleteAsync);
    }

    private async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query);
        if (query.Error is { } error) return error;
        await using var connection = await storage.OpenAsync(request.Cancellation);
        var provider = await ProviderAsync(connection, request);
        var keys = await StoredProviderTable.KeysAsync(connection, provider.Name, request.Cancellation);
        var states = StatesOf(provider.Name, keys);
        return EndpointResult.Json(json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("data");
            foreach (var key in keys) Write(json, key, states.GetValueOrDefault(key.Id));
            json.WriteEndArray();
            json.WriteNull("next_cursor");
            json.WriteEndObject();
        });
    }

    private async Task<EndpointResult> CreateAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, NewFields);
        var name = fields.RequiredText("name", FieldLengths.Name);
        var secret = ReadSecret(fields);
        var enabled = ReadEnabled(fields) ?? true;
        fields.ThrowIfInvalid();

        StoredProviderKeyRow row;
        await using (var change = await changes.BeginAsync(request.Cancellation))
        {
            var provider = await ProviderAsync(change.Connection, request);
            var keys = await StoredProviderTable.KeysAsync(change.Connection, provider.Name, request.Cancellation);
            if (keys.Count >= MaxKeys)
                throw EndpointErrors.Conflict($"The provider has {MaxKeys} keys, which is the maximum.", "Delete one that is no longer used.");
            var now = time.GetUtcNow();
            row = new StoredProviderKeyRow
            {
                Id = Ids.New(Prefix, time), Provider = provider.Name, Name = name!, Enabled = enabled, CreatedAt = now, UpdatedAt = now,
                Secret = await stored.ProtectAsync(change.Connection, secret!, request.Cancellation),
            };
            await SaveAsync(change, null, row, "create", request);
        }
        StoredProvidersLog.KeyChanged(logger, "Created", row.Id, row.Provider, request.Caller.KeyId);
        await StoredProviderEndpoints.ApplyAsync(stored, logger);
        return EndpointResult.Created(request.Site, $"{AdminApi.Root}{StoredProviderEndpoints.Path}/{row.Provider}/keys/{row.Id}",
            json => Write(json, row, row.Enabled ? "usable" : null));
    }

    private async Task<EndpointResult> ChangeAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, ChangeFields);
        var name = fields.OptionalText("name", FieldLengths.Name);
        var enabled = ReadEnabled(fields);
        fields.ThrowIfInvalid();
        return await UpdateAsync(request, "Changed",
            (_, row) => Task.FromResult(row with { Name = name ?? row.Name, Enabled = enabled ?? row.Enabled }));
    }

    /// <summary>Replaces the secret. Requests that are in progress keep the old one.</summary>
    private async Task<EndpointResult> RotateAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, RotationFields);
        var secret = ReadSecret(fields);
        fields.ThrowIfInvalid();
        return await UpdateAsync(request, "Rotated", async (connection, row) =>
            row with { Secret = await stored.ProtectAsync(connection, secret!, request.Cancellation) });
    }

    private async Task<EndpointResult> UpdateAsync(
        EndpointRequest request, string action, Func<DbConnection, StoredProviderKeyRow, Task<StoredProviderKeyRow>> change)
    {
        StoredProviderKeyRow row;
        await using (var transaction = await changes.BeginAsync(request.Cancellation))
        {
            var before = await KeyAsync(transaction.Connection, request);
            row = await change(transaction.Connection, before) with { UpdatedAt = time.GetUtcNow() };
            await SaveAsync(transaction, before, row, action == "Rotated" ? "rotate" : "update", request);
        }
        StoredProvidersLog.KeyChanged(logger, action, row.Id, row.Provider, request.Caller.KeyId);
        await StoredProviderEndpoints.ApplyAsync(stored, logger);
        return EndpointResult.Json(json => Write(json, row, row.Enabled ? "usable" : null));
    }

    private async Task<EndpointResult> DeleteAsync(EndpointRequest request)
    {
        StoredProviderKeyRow row;
        await using (var change = await changes.BeginAsync(request.Cancellation))
        {
            row = await KeyAsync(change.Connection, request);
            await StoredProviderTable.DeleteKeyAsync(change.Connection, row.Id, request.Cancellation);
            await StoredProviderTable.CountAsync(change.Connection, request.Cancellation);
            await RecordAsync(change, row, null, "delete", request);
            await change.CommitAsync(request.Cancellation);
        }
        audit.Committed();
        StoredProvidersLog.KeyChanged(logger, "Deleted", row.Id, row.Provider, request.Caller.KeyId);
        await StoredProviderEndpoints.ApplyAsync(stored, logger);
        return EndpointResult.NoContent();
    }

    private async Task SaveAsync(
        AccessChange change, StoredProviderKeyRow? before, StoredProviderKeyRow row, string verb, EndpointRequest request)
    {
        await StoredProviderTable.SaveAsync(change.Connection, row, request.Cancellation);
        await StoredProviderTable.CountAsync(change.Connection, request.Cancellation);
        await RecordAsync(change, before, row, verb, request);
        await change.CommitAsync(request.Cancellation);
        audit.Committed();
    }

    // The JSON of a key has no secret.
    private Task RecordAsync(
        AccessChange change, StoredProviderKeyRow? before, StoredProviderKeyRow? after, string verb, EndpointRequest request) =>
        audit.RecordAsync(change.Connection, new AdminAction(request.Actor, "provider_key." + verb)
        {
            ResourceType = "provider_key",
            ResourceId = (after ?? before)!.Id,
            Before = before is null ? null : json => Write(json, before, null),
            After = after is null ? null : json => Write(json, after, null),
        }, request.Cancellation);

    private static string? ReadSecret(BodyFields fields)
    {
        var secret = fields.RequiredText("secret", MaxSecret);
        if (secret is null || secret.All(letter => letter is > ' ' and < '\u007f')) return secret;
        fields.Invalid("secret", "Must have only visible ASCII characters, as a header can carry.");
        return null;
    }

    private static bool? ReadEnabled(BodyFields fields)
    {
        if (!fields.Has("enabled")) return null;
        if (fields.Element("enabled") is { ValueKind: JsonValueKind.True or JsonValueKind.False } value) return value.GetBoolean();
        fields.Invalid("enabled", "Must be true or false.");
        return null;
    }

    private Task<StoredProviderRow> ProviderAsync(DbConnection connection, EndpointRequest request) =>
        StoredProviderEndpoints.FindAsync(connection, configuration, storage, request.Id, request.Cancellation);

    private async Task<StoredProviderKeyRow> KeyAsync(DbConnection connection, EndpointRequest request)
    {
        var provider = await ProviderAsync(connection, request);
        var keys = await StoredProviderTable.KeysAsync(connection, provider.Name, request.Cancellation);
        return keys.Find(key => key.Id == request.RouteValue("key")) ?? throw EndpointErrors.NotFound("provider key");
    }

    // The ring of a provider has its keys in the order of the configuration, without repetitions.
    private Dictionary<string, string> StatesOf(string name, List<StoredProviderKeyRow> keys)
    {
        var states = new Dictionary<string, string>(StringComparer.Ordinal);
        if (catalogue.Current.Models.SelectMany(model => model.Deployments).FirstOrDefault(one => one.ProviderName == name)?.Provider
            is not { } provider)
        {
            return states;
        }
        StoredProviderKeyRow[] enabled = [.. keys.Where(key => key.Enabled)];
        var (ids, usable) = (provider.KeyIds, provider.UsableKeyIds);
        if (ids.Length != enabled.Length) return states;
        for (var i = 0; i < ids.Length; i++) states[enabled[i].Id] = usable.Contains(ids[i]) ? "usable" : "rejected";
        return states;
    }

    private static void Write(Utf8JsonWriter json, StoredProviderKeyRow row, string? state)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("object", "provider_key");
        json.WriteString("provider", row.Provider);
        json.WriteString("name", row.Name);
        json.WriteBoolean("enabled", row.Enabled);
        json.WriteString("state", state);
        json.WriteTime("created_at", row.CreatedAt);
        json.WriteTime("updated_at", row.UpdatedAt);
        json.WriteEndObject();
    }
}
