using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;
using Fairlead.Providers;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Policies.Moderation;

/// <summary>
/// <c>POST /v1/moderations</c> in OpenAI's form: 1. by the deployments of the model that the request names, if it is configured, as far as
/// the policies of the caller let the input pass, 2. else by
/// the policy rules of the caller. Thread-safe.
/// </summary>
internal sealed class ModerationEndpoints(PolicyBook policies, ICatalogue catalogue, TimeProvider time)
{
    private static readonly EndpointPolicy Policy = new(Scopes.Chat, ErrorShape.OpenAi);

    internal static void Map(IEndpointRouteBuilder endpoints)
    {
        var moderations = endpoints.ServiceProvider.GetRequiredService<ModerationEndpoints>();
        new EndpointRoutes(endpoints, "/v1/moderations", Policy).Post("", moderations.PostAsync);
    }

    private async Task<EndpointResult> PostAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var input = ModerationInput.Read(body.RootElement);
        var id = Ids.New("modr-", time);

        // 1.
        if (input.Model is { } name && catalogue.Current.Find(name) is { } model)
        {
            if (request.Caller.Models is { } allowed && !allowed.Contains(name) && !allowed.Contains(model.Id))
                return new GatewayError(ErrorCode.ModelNotAllowed, $"This key may not use the model `{name}`.") { Parameter = "model" };
            return await CheckAndForwardAsync(request, model, body.RootElement, id);
        }

        // 2.
        if (policies.Of(request.Caller) is { HasInput: true } rules)
            return await RuleModeration.RunAsync(input, rules, policies.Judge, time, id, request.Cancellation);
        return NothingJudges(input.Model);
    }

    private static GatewayError NothingJudges(string? model) =>
        new(ErrorCode.ModelNotFound, model is null
            ? "No content policy with rules for input applies to this key, so nothing judges the input."
            : "The model is not configured, and no content policy with rules for input applies to this key.")
        {
            Parameter = "model",
            Remedy = "Name a configured moderation model, or ask an administrator for a content policy.",
        };

    // The model is another party: it gets what the policies let pass.
    private async Task<EndpointResult> CheckAndForwardAsync(EndpointRequest request, CatalogueModel model, JsonElement body, string id)
    {
        if (policies.Of(request.Caller) is not { HasInput: true } rules) return await ForwardAsync(request, model, body, id);
        using var check = new ContentCheck(rules, new PolicyTally(), new Placeholders());
        var json = System.Text.Encoding.UTF8.GetBytes(body.GetRawText());
        var (changed, block) = check.Check(json, isOwn: false, () => new PooledBuffer(json.Length + 64));
        using (changed)
        {
            block ??= await check.JudgeAsync(policies.Judge, time, request.Cancellation);
            if (block is not null) return ContentBlocked.Of(block);
            if (changed is null) return await ForwardAsync(request, model, body, id);
            using var passed = JsonDocument.Parse(changed.WrittenMemory);
            return await ForwardAsync(request, model, passed.RootElement, id);
        }
    }

    private static async Task<EndpointResult> ForwardAsync(EndpointRequest request, CatalogueModel model, JsonElement body, string id)
    {
        GatewayError? error = null;
        foreach (var deployment in model.Deployments.OrderBy(deployment => deployment.Priority))
        {
            var reply = await deployment.Provider.ModerateAsync(
                BodyFor(body, deployment.UpstreamModel), deployment.Timeouts.Response, request.Cancellation);
            if (reply is not { } answered)
            {
                error ??= GatewayError.Unsupported("model", $"The provider of the model `{model.Id}` has no moderation API.");
                continue;
            }
            if (answered.Status is >= 200 and < 300 && Read(answered.Body) is { } response)
            {
                response["id"] = id;
                response["model"] = model.Id;
                return EndpointResult.LargeJson(json => response.WriteTo(json));
            }
            error = ErrorOf(answered);
            // The request is wrong wherever it is sent.
            if (answered.Status is 400 or 413 or 422) break;
        }
        return error ?? new GatewayError(ErrorCode.ProviderUnavailable, "The model has no deployment.");
    }

    private static byte[] BodyFor(JsonElement body, string upstreamModel)
    {
        var sent = JsonObject.Create(body)!;
        sent["model"] = upstreamModel;
        return JsonSerializer.SerializeToUtf8Bytes(sent, ModerationJson.Default.JsonObject);
    }

    private static JsonObject? Read(byte[] body)
    {
        try
        {
            return JsonNode.Parse(body) is JsonObject response && response["results"] is JsonArray ? response : null;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            return null;
        }
    }

    // No text of the provider: it may repeat the input.
    private static GatewayError ErrorOf(ModerationReply reply) => reply.Status switch
    {
        null => new GatewayError(ErrorCode.ProviderTimeout, "The model's provider did not respond in time."),
        400 or 413 or 422 => new GatewayError(ErrorCode.ProviderRejected, "The model's provider rejected the request."),
        429 or 503 => new GatewayError(ErrorCode.ProviderUnavailable, "The model's provider has no capacity now."),
        _ => new GatewayError(ErrorCode.ProviderError, "The model's provider failed."),
    };
}
