using System.Globalization;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Catalogue;

/// <summary>
/// The models that a key may use: in OpenAI's format, in Anthropic's for clients that send <c>anthropic-version</c>, and with all facts in
/// v2. Thread-safe.
/// </summary>
internal sealed class ModelsEndpoints(ICatalogue catalogue, TimeProvider time)
{
    private const int DefaultLimit = 20;
    private const int MaxLimit = 1000;

    internal static void Map(IEndpointRouteBuilder endpoints)
    {
        var models = new ModelsEndpoints(
            endpoints.ServiceProvider.GetRequiredService<ICatalogue>(), endpoints.ServiceProvider.GetRequiredService<TimeProvider>());
        var v1 = new EndpointRoutes(endpoints, "/v1/models", new EndpointPolicy(Scopes.Models, ErrorShape.OpenAi)
        {
            ServesAnthropicClients = true,
        });
        v1.Read("", models.ListV1Async);
        // Ids may contain slashes and colons, so the rest of the path is the id.
        v1.Read("/{**id}", models.GetV1Async);

        var v2 = new EndpointRoutes(endpoints, "/v2/models", new EndpointPolicy(Scopes.Models, ErrorShape.Problem));
        v2.Read("", models.ListV2Async);
        v2.Read("/{**id}", models.GetV2Async);
    }

    private Task<EndpointResult> ListV1Async(EndpointRequest request) => Task.FromResult(ListV1(request));

    private Task<EndpointResult> GetV1Async(EndpointRequest request) => Task.FromResult(
        IdOf(request) is { } id
            ? Get(request, id, request.Shape == ErrorShape.Anthropic ? ModelsWriter.Anthropic : ModelsWriter.OpenAi)
            : ListV1(request));

    private Task<EndpointResult> ListV2Async(EndpointRequest request) => Task.FromResult(ListV2(request));

    private Task<EndpointResult> GetV2Async(EndpointRequest request) =>
        Task.FromResult(IdOf(request) is { } id ? Get(request, id, (json, model) => ModelsWriter.Full(json, model, time.GetUtcNow()))
            : ListV2(request));

    private EndpointResult ListV1(EndpointRequest request)
    {
        var models = Allowed(request.Caller);
        if (request.Shape == ErrorShape.OpenAi) return Result(request, json => ModelsWriter.OpenAiList(json, models));
        return ReadPage(request.Query, models, out var page) is { } error
            ? error
            : Result(request, json => ModelsWriter.AnthropicList(json, page.Models, page.HasMore));
    }

    private EndpointResult ListV2(EndpointRequest request) => ReadCursor(request.Query, Allowed(request.Caller), out var page) is { } error
        ? error
        : Result(request, json => ModelsWriter.FullList(json, page.Models, page.HasMore, time.GetUtcNow()));

    private EndpointResult Get(EndpointRequest request, string id, Action<Utf8JsonWriter, CatalogueModel> write)
    {
        var snapshot = catalogue.Current;
        return snapshot.Find(id) is { } model && MayUse(request.Caller, model, id)
            ? Result(request, json => write(json, model))
            : ModelSuggestion.NotFound(snapshot, request.Caller, id, Shown(id));
    }

    private static EndpointResult Result(EndpointRequest request, Action<Utf8JsonWriter> write)
    {
        // The two formats of one address differ by this header.
        var result = EndpointResult.LargeJson(write).WithHeader("Vary", "anthropic-version");
        return request.Headers.ContainsKey("anthropic-version") ? result.WithHeader("request-id", request.RequestId) : result;
    }

    private List<CatalogueModel> Allowed(Caller caller) =>
        [.. catalogue.Current.Models.Where(model => model.Lifecycle.State != LifecycleState.Retired && MayUse(caller, model))];

    // A key's list may name a model by an alias.
    private static bool MayUse(Caller caller, CatalogueModel model, string? requested = null) =>
        caller.Models is not { } allowed || allowed.Contains(model.Id) || (requested is not null && allowed.Contains(requested))
            || model.Aliases.Any(allowed.Contains);

    // The router leaves %2F as it is, because it cannot know whether it separates segments.
    private static string? IdOf(EndpointRequest request) => request.Id.Length > 0
        ? request.Id.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase).TrimEnd('/')
        : null;

    private static string Shown(string id)
    {
        var shown = id.Length > 128 ? id[..128] : id;
        return string.Concat(shown.Where(c => !char.IsControl(c) && !char.IsSurrogate(c)));
    }

    private static GatewayError? ReadPage(IQueryCollection query, List<CatalogueModel> models,
        out (List<CatalogueModel> Models, bool HasMore) page)
    {
        page = ([], false);
        if (ReadLimit(query, out var limit) is { } error) return error;
        var (after, before) = (query["after_id"].ToString(), query["before_id"].ToString());
        if (after.Length > 0 && before.Length > 0)
            return GatewayError.Invalid("before_id", "'after_id' and 'before_id' cannot both be given.");
        if (before.Length > 0)
        {
            var end = models.FindIndex(m => m.Id == before);
            if (end < 0) return GatewayError.Invalid("before_id", "The value of 'before_id' is not an id in this list.");
            var start = Math.Max(0, end - limit);
            page = (models[start..end], start > 0);
            return null;
        }
        return Forward(models, after, "after_id", limit, out page);
    }

    private static GatewayError? ReadCursor(IQueryCollection query, List<CatalogueModel> models,
        out (List<CatalogueModel> Models, bool HasMore) page)
    {
        page = ([], false);
        return ReadLimit(query, out var limit) ?? Forward(models, query["cursor"].ToString(), "cursor", limit, out page);
    }

    private static GatewayError? Forward(List<CatalogueModel> models, string after, string name, int limit,
        out (List<CatalogueModel> Models, bool HasMore) page)
    {
        page = ([], false);
        var from = 0;
        if (after.Length > 0)
        {
            from = models.FindIndex(m => m.Id == after) + 1;
            if (from == 0) return GatewayError.Invalid(name, $"The value of '{name}' is not an id in this list.");
        }
        var to = Math.Min(models.Count, from + limit);
        page = (models[from..to], to < models.Count);
        return null;
    }

    private static GatewayError? ReadLimit(IQueryCollection query, out int limit)
    {
        limit = DefaultLimit;
        if (!query.TryGetValue("limit", out var value) || string.IsNullOrEmpty(value)) return null;
        return int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out limit) && limit is >= 1 and <= MaxLimit
            ? null
            : GatewayError.Invalid("limit", $"'limit' must be an integer from 1 to {MaxLimit}.");
    }
}
