using System.Runtime.CompilerServices;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Rescue;

/// <summary>
/// Continues the stream of a provider that was lost after content had been sent. Another run of the request must first reproduce all that
/// was sent; what follows goes to the client.
/// </summary>
internal sealed class RescueStage(IConfigurationSource configuration, RescueStarter starter) : IGatewayStage
{
    /// <summary>Deployments that are compared with each other on every call; of more, the result is kept.</summary>
    private const int FewDeployments = 4;

    private static readonly ConditionalWeakTable<IReadOnlyList<Deployment>, StrongBox<bool>> Twins = [];

    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        if (!call.Streams || call.Operation != Operation.Chat) return next(call, cancellationToken);
        var mode = ModeOf(call);
        return mode != RescueMode.Off && (call.Facts.IsDeterministic || HasOther(call.Model.Deployments, mode))
            ? WatchAsync(call, mode, next, cancellationToken)
            : next(call, cancellationToken);
    }

    /// <summary>
    /// Whether a deployment could stand in for another. A stream with a single one is not even measured, unless a second run there is
    /// expected to give the same output.
    /// </summary>
    private static bool HasOther(IReadOnlyList<Deployment> deployments, RescueMode mode) => deployments.Count > 1
        && (mode == RescueMode.Any || (deployments.Count <= FewDeployments ? HasTwins(deployments)
            : Twins.GetValue(deployments, static all => new StrongBox<bool>(HasTwins(all))).Value));

    private static bool HasTwins(IReadOnlyList<Deployment> deployments)
    {
        for (var i = 1; i < deployments.Count; i++)
        {
            for (var j = 0; j < i; j++)
            {
                if (deployments[i].UpstreamModel == deployments[j].UpstreamModel) return true;
            }
        }
        return false;
    }

    /// <summary>What the configuration allows; a key and a request can only narrow it.</summary>
    private RescueMode ModeOf(GatewayCall call) =>
        configuration.Current.Stream.MidStreamRescue.Narrow(call.Caller.Rescue).Narrow(call.Facts.Extension.Rescue);

    // What an attempt that failed has sent, nobody has seen.
    private static void DropTexts(GatewayCall call, Attempt? except)
    {
        foreach (var attempt in call.Attempts)
        {
            if (attempt != except) attempt.Meter.Digest?.Kept?.Drop();
        }
    }

    private async ValueTask<GatewayReply> WatchAsync(GatewayCall call, RescueMode mode, GatewayStep next,
        CancellationToken cancellationToken)
    {
        // A repair of the output runs this stage again.
        var scope = call.Rescue ??= new RescueScope(mode) 
        {
            KeepsText = PrefillRules.MayContinue(call),
            IsDeterministic = call.Facts.IsDeterministic,
        };
        scope.Reset();
        GatewayReply? reply = null;
        try
        {
            reply = await next(call, cancellationToken);
        }
        finally
        {
            if (scope.KeepsText) DropTexts(call, except: reply is GatewayReply.Streaming ? call.Answering : null);
        }
        return reply is GatewayReply.Streaming streaming && call.Answering is { } first
            ? new GatewayReply.Streaming(new RescuedEvents(call, first, streaming.Events, next, starter))
            : reply;
    }
}
