using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Scheduling;
using Fairlead.Validation;

namespace Fairlead.Routing;

/// <summary>
/// Finds a deployment that responds: 1. count tokens without a provider if none can count them, 2. refuse a request that none of those it may
/// use can express, 3. take the next deployment; after all were passed, wait for a slot at any of those that had none, 4. skip it if it cannot
/// serve the request, 5. try it (<see cref="DeploymentTrial"/>) and return its response, 6. continue with a larger model if the request did
/// not fit, 7. return the error that helps the client most.
/// </summary>
internal sealed class RoutingStage(
    DeploymentSelector selector,
    DeploymentTrial trial,
    DeploymentAvailability availability,
    LocalTokenCount tokenCount,
    Scheduler scheduler,
    LargerModels larger) : IGatewayStage
{
    /// <summary>Shortest time until a job is started again for which every deployment was open.</summary>
    private static readonly TimeSpan MinPause = TimeSpan.FromSeconds(1);

    /// <summary>Time until a job is started again for which every deployment was drained.</summary>
    private static readonly TimeSpan DrainedPause = TimeSpan.FromSeconds(5);

    public async ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        // 1. A provider that counts in the caller's own dialect is more exact.
        if (call.Operation == Operation.CountTokens && !IsNativeAny(call, call.Model.Deployments)) return tokenCount.Count(call);

        // 2. Later, a stream that commits at acceptance has started. Without any deployment, nothing starts.
        var selection = selector.Select(call);
        if (call.Dialect.Streams is { CommitsAtAcceptance: true } && selection.Deployments.Count > 0
            && RefuseUntranslatable(call, selection.Deployments) is { } untranslatable)
            return new GatewayReply.Refused(untranslatable);

        // 3.
        var order = selection.Deployments;
        if (call.Rescue is { IsRescuing: true } rescue) order = rescue.Select(call, order);
        var search = new DeploymentSearch(selection.Reason);
        if (selection.HasDrained) search.AddDrained();
        for (var i = 0; i < order.Count || search.Full is { Count: > 0 }; i++)
        {
            var visit = new DeploymentVisit(i == 0);
            Deployment deployment;
            if (i < order.Count)
            {
                deployment = order[i];
                // It just lost the stream: rather wait for a slot elsewhere.
                if (search.Full is { Count: > 0 } && call.Rescue is { IsRescuing: true } lost && lost.WasLost(deployment)) continue;

                // 4.
                if ((deployment.Provider.Refuse(call) ?? deployment.Provider.RefuseUnknownValue(call)) is { } refusal)
                {
                    search.Last ??= refusal;
                    continue;
                }
            }
            else
            {
                var slot = await scheduler.WaitAsync(call, search.FullDeployments(), cancellationToken);
                if (slot.Deployment is null)
                {
                    if (slot.Error is { } noSlot) search.AddNoSlot(noSlot);
                    else if (!availability.AddClosed(search, mayWaitAgain: call.QueuedRun is null))
                    {
                        call.Turn?.KeepPlace();
                        continue;
                    }
                    break;
                }
                deployment = slot.Deployment;
                visit = visit with { HasWaited = true, Retries = search.RemoveFull(deployment) };
            }

            // 5.
            if (await trial.TryAsync(call, deployment, search, visit, cancellationToken) is not { } reply) continue;

            // 6. It has other deployments.
            return search.IsTooLarge && call.Rescue is not { IsRescuing: true } && larger.TryMove(call)
                ? await InvokeAsync(call, next, cancellationToken)
                : reply;
        }

        // 7.
        if (call.Operation == Operation.CountTokens && call.Attempts.Count == 0 && (search.UntilTest is not null || search.HasDrained))
            return tokenCount.Count(call);
        if ((search.IsAllOpen || search.IsAllDrained) && call.Attempts.Count == 0)
        {
            // Nothing was sent. Other jobs of its kind would only find out the same.
            var pause = search.UntilTest ?? DrainedPause;
            if (pause < MinPause) pause = MinPause;
            call.QueuedRun?.TryPostpone(call, new Postponement(pause, pause));
        }
        return new GatewayReply.Refused(search.ToError(call.Model.Id));
    }

    private static bool IsNativeAny(GatewayCall call, IReadOnlyList<Deployment> deployments) =>
        deployments.Any(deployment => deployment.Provider.Speaks(call.Dialect));

    /// <summary>
    /// A request without a translation is refused before the call counts as accepted, if no provider speaks the caller's own dialect.
    /// </summary>
    private static GatewayError? RefuseUntranslatable(GatewayCall call, IReadOnlyList<Deployment> deployments)
    {
        if (IsNativeAny(call, deployments)) return null;
        try
        {
            _ = call.Conversation;
            return null;
        }
        catch (GatewayErrorException refused)
        {
            return refused.Error;
        }
    }
}
