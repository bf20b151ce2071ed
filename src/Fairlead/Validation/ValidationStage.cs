using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Simulated;
using Fairlead.TokenCounting;

namespace Fairlead.Validation;

/// <summary>
/// Refuses what cannot succeed: features that the model does not have, conflicting fields, and more tokens than its window, unless a larger
/// model takes over. The format was checked while the body was read.
/// </summary>
internal sealed class ValidationStage(TokenCounter counter, LargerModels larger, HostCheck hosts) : IGatewayStage
{
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        var since = call.Timings.Now();
        var fault = Check(call);
        while (fault is { Code: ErrorCode.ContextLengthExceeded } && larger.TryMove(call)) fault = Check(call);
        if (fault is null && call.Facts.Hosts is { } named) return CheckHostsAsync(call, named, since, next, cancellationToken);
        call.Timings.Add(Phase.Validate, since);
        return fault is null ? next(call, cancellationToken) : new(new GatewayReply.Refused(fault));
    }

    private async ValueTask<GatewayReply> CheckHostsAsync(
        GatewayCall call, RequestHosts named, long since, GatewayStep next, CancellationToken cancellationToken)
    {
        var fault = await hosts.CheckAsync(named, cancellationToken);
        call.Timings.Add(Phase.Validate, since);
        return fault is null ? await next(call, cancellationToken) : new GatewayReply.Refused(fault);
    }

    private GatewayError? Check(GatewayCall call)
    {
        if (call.Simulate is { Length: > 0 } simulate && !SimulationDirectives.TryParse(simulate, out _, out var problem))
        {
            return GatewayError.Invalid("Fairlead-Simulate", problem!);
        }
        if ((call.Facts.UnknownValueError ?? call.Facts.LongToolName) is { } word && call.Model.Deployments.Count > 0
            && call.Model.Deployments.All(deployment => deployment.Provider.RefuseUnknownValue(call) is not null))
        {
            return word;
        }

        if (call.Facts.Extension.Route is { } hints
            && RouteFilter.Check(call.Model, hints, call.StartedAt, call.Dialect.RouteField) is { } noneLeft)
        {
            return noneLeft;
        }
        if (CapabilityRules.Check(call.Operation, call.Facts, call.Model) is { } contradiction) return contradiction;
        if (call.Facts.Structured?.Prepare() is { } wrong) return wrong;

        call.MaxInputTokens = TokenCounter.Bound(call);
        // A token count is requested to learn how far beyond the window a request is.
        if (call.Operation == Operation.CountTokens || WindowRule.FitsFor(call.MaxInputTokens, call.Facts, call.Model))
        {
            // Good enough for the checkpoint of a killed process; a real charge by estimate counts first.
            call.InputEstimate = TokenCounter.Guess(call.Facts);
            return null;
        }
        call.InputEstimate = counter.CountOrGuess(call);
        // Each of several prompts has the whole window; their sum does not matter.
        if (call.Facts.PromptCount > 1) return null;
        return WindowRule.Check(call.InputEstimate, call.Facts, call.Model) is { } excess
            ? excess with { Parameter = call.Dialect.InputField } : null;
    }
}
