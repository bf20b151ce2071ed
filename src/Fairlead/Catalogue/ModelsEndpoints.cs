using System.Globalization;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Catalogue;

/// <summary>
/// The models that a key may use: in OpenAI's format, in Anthropic's for clients that send <c>anthropic-version</c>, and with all facts in
/// v2.
/// </summary>
internal static class ModelsEndpoints
{
    private const int DefaultLimit = 20;
    private const int MaxLimit = 1000;

    internal static void MapModels(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapRead("/v1/models", (RequestDelegate)ListV1Async);
        // Ids may contain slashes and colons, so the rest of the path is the id.
        endpoints.MapRead("/v1/models/{**id}", (RequestDelegate)GetV1Async);
        endpoints.MapRead("/v2/models", (RequestDelegate)ListV2Async);
        endpoints.MapRead("/v2/models/{**id}", (RequestDelegate)GetV2Async);
    }

    private static async Task ListV1Async(HttpContext context)
    {
        var shape = ShapeOf(context);
        if (await AuthenticateAsync(context, shape) is not { } caller) return;
        var models = Allowed(context, caller);
        if (shape == ErrorShape.OpenAi)
        {
            await ModelsWriter.WriteAsync(context, json => ModelsWriter.OpenAiList(json, models));
            return;
        }
        if (ReadPage(context.Request.Query, models, out var page) is { } error)
        {
            await ErrorResponses.WriteAsync(context, error, shape);
            return;
        }
        await ModelsWriter.WriteAsync(context, json => ModelsWriter.AnthropicList(json, page.Models, page.HasMore));
    }

    private static async Task GetV1Async(HttpContext context)
    {
        var shape = ShapeOf(context);
        if (await AuthenticateAsync(context, shape) is not { } caller) return;
        if (IdOf(context) is not { } id)
        {
            await ListV1Async(context);
            return;
        }
        if (Find(context, caller, id) is not { } model)
        {
            await ErrorResponses.WriteAsync(context, ModelSuggestion.NotFound(Snapshot(context), caller, id, Shown(id)), shape);
            return;
        }
        await ModelsWriter.WriteAsync(context, json =>
        {
            if (shape == ErrorShape.OpenAi) ModelsWriter.OpenAi(json, model);
            else ModelsWriter.Anthropic(json, model);
        });
    }

    private static async Task ListV2Async(HttpContext context)
    {
        if (await AuthenticateAsync(context, ErrorShape.Problem) is not { } caller) return;
        if (ReadCursor(context.Request.Query, Allowed(context, caller), out var page) is { } error)
        {
            await ErrorResponses.WriteAsync(context, error, ErrorShape.Problem);
            return;
        }
        await ModelsWriter.WriteAsync(context, json => ModelsWriter.FullList(json, page.Models, page.HasMore));
    }

    private static async Task GetV2Async(HttpContext context)
    {
        if (await AuthenticateAsync(context, ErrorShape.Problem) is not { } caller) return;
        if (IdOf(context) is not { } id)
        {
            await ListV2Async(context);
            return;
        }
        if (Find(context, caller, id) is not { } model)
        {
            await ErrorResponses.WriteAsync(context, ModelSuggestion.NotFound(Snapshot(context), caller, id, Shown(id)),
                ErrorShape.Problem);
            return;
        }
        await ModelsWriter.WriteAsync(context, json => ModelsWriter.Full(json, model));
    }

    private static ErrorShape ShapeOf(HttpContext context) => context.Request.Headers.ContainsKey("anthropic-version")
        ? ErrorShape.Anthropic : ErrorShape.OpenAi;

    private static async ValueTask<Caller?> AuthenticateAsync(HttpContext context, ErrorShape shape)
    {
        var result = context.RequestServices.GetRequiredService<ICallerSource>().Authenticate(context, Scopes.Models);
        if (result.Caller is { } caller) return caller;
        await ErrorResponses.WriteAsync(context, result.Error!, shape);
        return null;
    }

    private static ICatalogueSnapshot Snapshot(HttpContext context) => context.RequestServices.GetRequiredService<ICatalogue>().Current;

    private static List<CatalogueModel> Allowed(HttpContext context, Caller caller) =>
        [.. Snapshot(context).Models.Where(model => model.Lifecycle.State != LifecycleState.Retired && MayUse(caller, model))];

    private static CatalogueModel? Find(HttpContext context, Caller caller, string id) =>
        Snapshot(context).Find(id) is { } model && MayUse(caller, model, id) ? model : null;

    // A key's list may name a model by an alias.
    private static bool MayUse(Caller caller, CatalogueModel model, string? asked = null) =>
        caller.Models is not { } allowed || allowed.Contains(model.Id) || (asked is not null && allowed.Contains(asked))
            || model.Aliases.Any(allowed.Contains);

    // The router leaves %2F as it is, because it cannot know whether it separates segments.
    private static string? IdOf(HttpContext context) =>
        context.Request.RouteValues["id"] is string { Length: > 0 } id ? id.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase)
            .TrimEnd('/') : null;

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
