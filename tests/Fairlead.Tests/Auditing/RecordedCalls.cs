using System.Net;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Memory;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Auditing;

/// <summary>Calls as they reach the spool.</summary>
internal static class RecordedCalls
{
    private static readonly Dialect Dialect = OpenAiChatDialect.Create();

    private static readonly Deployment Deployment = new()
    {
        Name = "acme/large-1",
        ProviderName = "acme",
        UpstreamModel = "large-1",
        Prices = new ModelPrices(2m, 8m),
    };

    public static GatewayCall New(TimeProvider? time = null, string project = "proj_1", string key = "key_1", string? id = null, string model = "large", MemoryBudget? memory = null, ContentRecording? recording = null)
    {
        time ??= TimeProvider.System;
        var caller = new Caller
        {
            OrganizationId = "org_of_" + project,
            OrganizationName = "Org",
            ProjectId = project,
            ProjectName = "Project",
            KeyId = key,
            KeyName = "Key",
            Scopes = [.. Scopes.Default],
            Recording = recording,
        };
        var request = Ids.New("req_", time);
        return new GatewayCall(request, id ?? Ids.Sibling("gen_", request), Dialect, caller, time)
        {
            Memory = memory,
            Address = IPAddress.Parse("192.0.2.7"),
            Endpoint = "/v1/chat/completions",
            Facts = new RequestFacts { Model = model, Stream = true, Temperature = 0.5, MessageCount = 2 },
            InputEstimate = new TokenEstimate(100, Basis.Estimated),
            Model = new CatalogueModel { Id = model, OwnedBy = "acme" },
        };
    }

    public static Attempt Try(this GatewayCall call)
    {
        var number = call.Attempts.Count + 1;
        var attempt = new Attempt(Attempt.IdOf(call, number), number, Deployment) { Sent = true };
        call.Attempts.Add(attempt);
        return attempt;
    }

    /// <summary>Ends it with 100 input tokens and <paramref name="output"/> output tokens: 0.0002 and 0.000008 USD each.</summary>
    public static GatewayCall End(this GatewayCall call, long output = 10, Outcome outcome = Outcome.Complete, GatewayError? error = null)
    {
        var (usage, cost) = (default(Usage), default(Cost));
        if (call.Attempts.Count > 0)
        {
            var attempt = call.Attempts[^1];
            usage = attempt.Usage = new Usage(100, output);
            cost = attempt.Cost = AttemptCharge.CostOf(call, attempt, usage);
            attempt.Outcome = outcome.ToWire();
            if (outcome == Outcome.Complete) call.Answering = attempt;
        }
        call.Ending = new CallEnding(outcome, usage, cost) { Error = error };
        return call;
    }
}
