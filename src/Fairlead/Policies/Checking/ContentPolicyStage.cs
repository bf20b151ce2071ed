using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Checking;

/// <summary>
/// Finds the content policies of the caller and checks the request with them: a rule blocks the call, or what it redacts is gone before any
/// other stage sees the request. Almost no call has a policy; the others pass without an extra step. Thread-safe.
/// </summary>
internal sealed class ContentPolicyStage(PolicyBook policies, InputCheck input, PlaceholderShelf shelf) : IGatewayStage
{
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken) =>
        policies.Of(call.Caller) is { } rules ? CheckAsync(call, rules, next, cancellationToken) : Pass(call, next, cancellationToken);

    private static ValueTask<GatewayReply> Pass(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        call.HasPassedPolicies = true;
        return next(call, cancellationToken);
    }

    private async ValueTask<GatewayReply> CheckAsync(
        GatewayCall call, CompiledPolicies rules, GatewayStep next, CancellationToken cancellationToken)
    {
        var policy = call.Policy;
        // Another policy may be in force since the call was accepted. What was redacted then has its placeholders already.
        if (policy is null || policy.Rules.Identity != rules.Identity)
        {
            policy = new CallPolicy(rules, policies.Judge) { Placeholders = policy?.Placeholders ?? PlaceholdersOf(call) };
            call.Policy = policy;
            call.CheckedInput?.TryApply(policy);
        }
        if (rules.HasInput)
        {
            var since = call.Timings.Now();
            var error = policy.IsInputChecked
                ? await input.RunAgainAsync(call, policy, cancellationToken)
                : await input.RunAsync(call, policy, cancellationToken);
            call.Timings.Add(Phase.Policy, since);
            if (error is not null) return new GatewayReply.Refused(error);
            policy.IsInputChecked = true;
        }
        call.HasPassedPolicies = true;
        // A provider's own bytes are not parsed. An embedding has no text.
        if (policy.ReadsOutput && call.Operation == Operation.Chat) call.MustTranslate = true;
        return await next(call, cancellationToken);
    }

    // A conversation that goes on has the placeholders of its earlier turns.
    private Placeholders PlaceholdersOf(GatewayCall call) => shelf.Find(call.GenerationId, call.Caller.KeyId)?.Placeholders
        ?? shelf.FindOfResponse(call.Facts.Responses?.PreviousResponseId, call.Caller.KeyId)?.Placeholders.Copy()
        ?? new Placeholders();
}
