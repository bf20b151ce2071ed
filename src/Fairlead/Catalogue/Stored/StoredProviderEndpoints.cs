using System.Data.Common;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Providers;
using Fairlead.Security;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue.Stored;

/// <summary>
/// <c>/admin/v1/providers</c>: all providers. Those of the configuration are shown and cannot be changed here; others are created, changed
/// and deleted. A change is in force on this node when the response is sent, on others within two seconds. Thread-safe.
/// </summary>
internal sealed class StoredProviderEndpoints(
    StoredProviders stored, IConfigurationSource configuration, CatalogueBuilder catalogue, ProviderKinds kinds, AccessChanges changes,
    IStorage storage, TimeProvider time, IAdminAudit audit, ILogger<StoredProviderEndpoints> logger) : IAdminEndpoints
{
    internal const string Path = "/providers";
    private const int MaxProviders = 100;
    private const int MaxName = 64;
    private const int MaxModels = 500;

    private static readonly FieldSet NewFields = new(["name", "kind", "base_url", "models", "enabled"]);
    private static readonly FieldSet ChangeFields = new(["base_url", "models", "enabled"], new Dictionary<string, string>
    {
        ["name"] = "A provider keeps its name, which is in the names of its deployments; create another one.",
        ["kind"] = "A provider keeps its kind; create another one.",
    });

    public void Map(EndpointRoutes read, EndpointRoutes write)
    {
        read.Read(Path, ListAsync);
        read.Read(Path + "/{id}", GetAsync);
        write.Post(Path, CreateAsync);
        write.Patch(Path + "/{id}", ChangeAsync);
        write.Delete(Path + "/{id}", DeleteAsync);
    }

    private async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query);
        if (query.Error is { } error) return error;
        await using var connection = await storage.OpenAsync(request.Cancellation);
        var rows = await StoredProviderTable.ListAsync(connection, request.Cancellation);
        var keys = await StoredProviderTable.KeysAsync(connection, null, request.Cancellation);
        var configured = configuration.Current.Providers;
        return EndpointResult.LargeJson(json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("data");
            foreach (var (name, config) in configured.OrderBy(one => one.Key, StringComparer.Ordinal)) Write(json, name, config);
            foreach (var row in rows) Write(json, row, keys.Count(key => key.Provider == row.Name));
            json.WriteEndArray();
            // All of them: there are at most a hundred, besides those of the configuration.
            json.WriteNull("next_cursor");
            json.WriteEndObject();
        });
    }

    private async Task<EndpointResult> GetAsync(EndpointRequest request)
    {
        if (configuration.Current.Providers.TryGetValue(request.Id, out var config))
            return EndpointResult.Json(json => Write(json, request.Id, config));
        await using var connection = await storage.OpenAsync(request.Cancellation);
        var row = await FindAsync(connection, request.Id, request.Cancellation);
        var keys = await StoredProviderTable.KeysAsync(connection, row.Name, request.Cancellation);
        return EndpointResult.Json(json => Write(json, row, keys.Count));
    }

    private async Task<EndpointResult> CreateAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, NewFields);
        var name = fields.RequiredText("name", MaxName);
        if (name is not null && !IsName(name)) fields.Invalid("name", "Must have only small letters, digits, '-' and '_'.");
        if (!fields.HasValue("kind")) fields.Missing("kind");
        var kind = fields.OneOf("kind", [.. kinds.All.Select(one => one.Name)]);
        var now = time.GetUtcNow();
        var row = Apply(fields, new StoredProviderRow { Name = name ?? "", Kind = kind ?? "", CreatedAt = now, UpdatedAt = now });
        fields.ThrowIfInvalid();
        CheckInCatalogue(fields, row, []);
        fields.ThrowIfInvalid();

        await using (var change = await changes.BeginAsync(request.Cancellation))
        {
            if (configuration.Current.Providers.ContainsKey(row.Name)
                || await StoredProviderTable.FindAsync(change.Connection, row.Name, request.Cancellation) is not null)
            {
                throw EndpointErrors.Conflict("There is a provider of this name.", "Choose another name, or change the provider that there is.");
            }
            if ((await StoredProviderTable.ListAsync(change.Connection, request.Cancellation)).Count >= MaxProviders)
                throw EndpointErrors.Conflict($"There are {MaxProviders} stored providers, which is the maximum.", "Delete one that is no longer needed.");
            await StoredProviderTable.SaveAsync(change.Connection, row, request.Cancellation);
            await StoredProviderTable.CountAsync(change.Connection, request.Cancellation);
            await RecordAsync(change.Connection, request, "create", null, row, 0);
            await change.CommitAsync(request.Cancellation);
        }
        audit.Committed();
        StoredProvidersLog.ProviderChanged(logger, "Created", row.Name, request.Caller.KeyId);
        await ApplyAsync();
        return EndpointResult.Created(request.Site, $"{AdminApi.Root}{Path}/{row.Name}", json => Write(json, row, 0));
    }

    private async Task<EndpointResult> ChangeAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, ChangeFields);
        int count;
        StoredProviderRow row;
        await using (var change = await changes.BeginAsync(request.Cancellation))
        {
            var before = await FindAsync(change.Connection, request.Id, request.Cancellation);
            row = Apply(fields, before with { UpdatedAt = time.GetUtcNow() });
            fields.ThrowIfInvalid();
            var keys = await StoredProviderTable.KeysAsync(change.Connection, row.Name, request.Cancellation);
            count = keys.Count;
            // Also disabled ones: enabled again, they would be sent there.
            if (count > 0 && AddressOf(row) != AddressOf(before)) throw KeysOfOtherServer(count);
            CheckInCatalogue(fields, row, keys);
            fields.ThrowIfInvalid();
            await StoredProviderTable.SaveAsync(change.Connection, row, request.Cancellation);
            await StoredProviderTable.CountAsync(change.Connection, request.Cancellation);
            await RecordAsync(change.Connection, request, "update", before, row, count);
            await change.CommitAsync(request.Cancellation);
        }
        audit.Committed();
        StoredProvidersLog.ProviderChanged(logger, "Changed", row.Name, request.Caller.KeyId);
        await ApplyAsync();
        return EndpointResult.Json(json => Write(json, row, count));
    }

    private async Task<EndpointResult> DeleteAsync(EndpointRequest request)
    {
        await using (var change = await changes.BeginAsync(request.Cancellation))
        {
            var row = await FindAsync(change.Connection, request.Id, request.Cancellation);
            var keys = await StoredProviderTable.KeysAsync(change.Connection, row.Name, request.Cancellation);
            await StoredProviderTable.DeleteAsync(change.Connection, row.Name, request.Cancellation);
            await StoredProviderTable.CountAsync(change.Connection, request.Cancellation);
            await RecordAsync(change.Connection, request, "delete", row, null, keys.Count);
            await change.CommitAsync(request.Cancellation);
        }
        audit.Committed();
        StoredProvidersLog.ProviderChanged(logger, "Deleted", request.Id, request.Caller.KeyId);
        await ApplyAsync();
        return EndpointResult.NoContent();
    }

    private Task RecordAsync(
        DbConnection connection, EndpointRequest request, string verb, StoredProviderRow? before, StoredProviderRow? after, int keys) =>
        audit.RecordAsync(connection, new AdminAction(request.Actor, "provider." + verb)
        {
            ResourceType = "provider",
            ResourceId = (after ?? before)!.Name,
            Before = before is null ? null : json => Write(json, before, keys),
            After = after is null ? null : json => Write(json, after, keys),
        }, request.Cancellation);

    private StoredProviderRow Apply(BodyFields fields, StoredProviderRow row)
    {
        if (fields.Has("base_url"))
        {
            row = row with { BaseUrl = fields.Text("base_url", OutboundUrl.MaxLength) };
            if (row.BaseUrl is { } address && AddressError(address) is { } error) fields.Invalid("base_url", error);
        }
        if (fields.Has("models"))
            row = row with { Models = fields.List("models", MaxModels, FieldLengths.Name) ?? [] };
        if (fields.HasValue("enabled"))
        {
            if (fields.Element("enabled") is { ValueKind: JsonValueKind.True or JsonValueKind.False } value)
                row = row with { Enabled = value.GetBoolean() };
            else fields.Invalid("enabled", "Must be true or false.");
        }
        return row;
    }

    private string? AddressError(string address)
    {
        var (url, fault) = OutboundUrl.Read(address, stored.Addresses, configuration.Current.StoredProviders.AllowHttp);
        if (fault is not null) return fault.Replace("webhooks.allowedNetworks", "storedProviders.allowedNetworks", StringComparison.Ordinal);
        return url!.Query.Length > 0 ? "Must not have a query, which requests would lose." : null;
    }

    /// <summary>
    /// Where the keys are sent; null for a kind without an address. With its path: one server may have paths of several owners.
    /// </summary>
    private string? AddressOf(StoredProviderRow row)
    {
        var address = kinds.Find(row.Kind)?.AddressOf(new ProviderConfig { Kind = row.Kind, BaseUrl = row.BaseUrl });
        return Uri.TryCreate(address, UriKind.Absolute, out var url) ? url.GetLeftPart(UriPartial.Path).TrimEnd('/') : null;
    }

    private static GatewayErrorException KeysOfOtherServer(int keys) => EndpointErrors.Conflict(
        $"The provider has {(keys == 1 ? "a key" : $"{keys} keys")}, which would be sent to the new address.",
        "Create a provider with the new address and its own keys, and delete this one; or delete the keys here first and add new ones after "
        + "the change.");

    // What the configuration file would be told of the same provider.
    private void CheckInCatalogue(BodyFields fields, StoredProviderRow row, IReadOnlyList<StoredProviderKeyRow> keys)
    {
        var config = configuration.Current;
        var all = new Dictionary<string, ProviderConfig>(config.Providers, StringComparer.Ordinal) { [row.Name] = stored.ConfigOf(row, keys) };
        foreach (var error in catalogue.Check(config.With<IReadOnlyDictionary<string, ProviderConfig>>(all)))
        {
            var at = $"providers.{row.Name}.";
            if (!error.Key.StartsWith(at, StringComparison.Ordinal)) continue;
            fields.Invalid(error.Key[at.Length..] is "baseUrl" ? "base_url" : "kind", error.Remedy);
        }
    }

    private Task ApplyAsync() => ApplyAsync(stored, logger);

    /// <summary>Puts a committed change in force on this node. If that fails, the next refresh does it.</summary>
    internal static async Task ApplyAsync(StoredProviders stored, ILogger logger)
    {
        try
        {
            // Not the request's token: a client that disconnects must not delay the change.
            await stored.RefreshAsync(CancellationToken.None);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            StoredProvidersLog.Unreadable(logger, StorageErrors.Describe(exception));
        }
    }

    private async Task<StoredProviderRow> FindAsync(DbConnection connection, string name, CancellationToken cancellationToken) =>
        await FindAsync(connection, configuration, storage, name, cancellationToken);

    /// <summary>A provider that can be changed.</summary>
    internal static async Task<StoredProviderRow> FindAsync(
        DbConnection connection, IConfigurationSource configuration, IStorage storage, string name, CancellationToken cancellationToken)
    {
        // One that was stored before the configuration had its name can be deleted.
        if (await StoredProviderTable.FindAsync(connection, storage.Sql.Storable(name), cancellationToken) is { } row) return row;
        throw configuration.Current.Providers.ContainsKey(name)
            ? EndpointErrors.Conflict(
                "The provider is in the configuration file, and so it cannot be changed here.", "Change the configuration file.")
            : EndpointErrors.NotFound("provider");
    }

    private static bool IsName(string name) =>
        name.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter is '-' or '_');

    internal static void Write(Utf8JsonWriter json, StoredProviderRow row, int keys) =>
        Write(json, row.Name, "stored", row.Kind, row.BaseUrl, row.Enabled, row.Models, keys, row.CreatedAt, row.UpdatedAt);

    private static void Write(Utf8JsonWriter json, string name, ProviderConfig config) =>
        Write(json, name, "configuration", config.Kind, config.BaseUrl, config.Enabled, [],
            config.ApiKeys.Count + (config.ApiKey is null ? 0 : 1), null, null);

    private static void Write(
        Utf8JsonWriter json, string name, string source, string kind, string? baseUrl, bool enabled, string[] models, int keys,
        DateTimeOffset? createdAt, DateTimeOffset? updatedAt)
    {
        json.WriteStartObject();
        json.WriteString("id", name);
        json.WriteString("object", "provider");
        json.WriteString("name", name);
        json.WriteString("source", source);
        json.WriteString("kind", kind);
        json.WriteString("base_url", baseUrl);
        json.WriteBoolean("enabled", enabled);
        json.WriteTexts("models", models);
        json.WriteNumber("keys", keys);
        json.WriteTime("created_at", createdAt);
        json.WriteTime("updated_at", updatedAt);
        json.WriteEndObject();
    }
}
