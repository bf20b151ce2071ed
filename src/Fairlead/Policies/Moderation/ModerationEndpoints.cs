using System.Text.Json;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Policies.Moderation;

/// <summary>
/// <c>POST /v1/moderations</c> in OpenAI's form: 1. by the deployments of the model that the request names, if it is configured, as far as
/// the policies of the caller let the input pass, 2. else by the policy rules of the caller. Each request is a call
/// (<see cref="ModerationCalls"/>). Thread-safe.
/// </summary>
internal sealed class ModerationEndpoints(PolicyBook policies, ICatalogue catalogue, ModerationCalls calls, TimeProvider time)
{
    private static readonly EndpointPolicy Policy = new(Scopes.Chat, ErrorShape.OpenAi);

    internal static void Map(IEndpointRouteBuilder endpoints)
    {
        var moderations = endpoints.ServiceProvider.GetRequiredService<ModerationEndpoints>();
        new EndpointRoutes(endpoints, ModerationDialect.Path, Policy).Post("", moderations.PostAsync);
    }

    private Task<EndpointResult> PostAsync(EndpointRequest request) => calls.RunAsync(request, call => AnswerAsync(request, call));

    private async Task<EndpointResult> AnswerAsync(EndpointRequest request, GatewayCall call)
    {
        using var body = await request.ReadJsonAsync();
        var input = ModerationInput.Read(body.RootElement);
        ModerationCalls.Note(call, input);

        // 1.
        if (input.Model is { } name && catalogue.Current.Find(name) is not null)
        {
            await calls.FindModelAsync(call);
            return await CheckAndSendAsync(call, body.RootElement);
        }

        // 2.
        if (policies.Of(request.Caller) is not { HasInput: true } rules) throw new GatewayErrorException(NothingJudges(input.Model));
        await calls.ReserveAsync(call);
        call.Policy = new CallPolicy(rules, policies.Judge);
        return await RuleModeration.RunAsync(
            input, call.Policy, time, Ids.Sibling("modr-", call.GenerationId), call.Cancellation.Token);
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
    private async Task<EndpointResult> CheckAndSendAsync(GatewayCall call, JsonElement body)
    {
        if (policies.Of(call.Caller) is not { HasInput: true } rules) return await SendAsync(call, body);
        var policy = call.Policy = new CallPolicy(rules, policies.Judge);
        using var check = new ContentCheck(rules, policy.Tally, policy.Placeholders);
        var json = System.Text.Encoding.UTF8.GetBytes(body.GetRawText());
        var (changed, block) = check.Check(json, isOwn: false, () => new PooledBuffer(json.Length + 64));
        using (changed)
        {
            block ??= await check.JudgeAsync(policies.Judge, time, call.Cancellation.Token);
            if (block is not null) throw new GatewayErrorException(ContentBlocked.Of(block));
            if (changed is null) return await SendAsync(call, body);
            using var passed = JsonDocument.Parse(changed.WrittenMemory);
            return await SendAsync(call, passed.RootElement);
        }
    }

    private async Task<EndpointResult> SendAsync(GatewayCall call, JsonElement body)
    {
        await calls.ReserveAsync(call);
        using var response = await calls.SendAsync(call, new ModerationSender(body));
        return EndpointResult.Bytes("application/json", response.WrittenSpan.ToArray());
    }
}
