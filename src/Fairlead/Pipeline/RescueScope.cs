using Fairlead.Catalogue;
using Fairlead.Streaming;

namespace Fairlead.Pipeline;

/// <summary>
/// Where a stream whose provider was lost may be continued. Set for calls whose stream is rescued; belongs to the call's logical flow.
/// </summary>
/// <param name="mode">What the configuration, the key and the request allow.</param>
internal sealed class RescueScope(RescueMode mode)
{
    private readonly List<Deployment> _lost = [];
    private bool _isNative;
    private string? _model;

    /// <summary>What the configuration, the key and the request allow; never off.</summary>
    public RescueMode Mode => mode;

    /// <summary>Rescues that were started.</summary>
    public int Count { get; private set; }

    /// <summary>Whether the attempts that follow rescue the stream.</summary>
    public bool IsRescuing { get; private set; }

    /// <summary>The next run of the stages starts a response.</summary>
    public void Reset() => IsRescuing = false;

    /// <summary>Whether another deployment than that of an attempt may continue its stream.</summary>
    public bool HasOther(GatewayCall call, Attempt lost)
    {
        var isNative = lost.Deployment.Provider.WireOf(call) is not null;
        return call.Model.Deployments.Any(deployment => deployment != lost.Deployment
            && MayContinue(call, deployment, lost.Deployment.UpstreamModel, isNative));
    }

    /// <summary>The attempts that follow rescue the stream of this one.</summary>
    /// <param name="call">The call.</param>
    /// <param name="lost">The attempt whose stream broke.</param>
    public void Begin(GatewayCall call, Attempt lost)
    {
        if (!IsRescuing)
        {
            _model = lost.Deployment.UpstreamModel;
            // What was forwarded can only be continued by what is forwarded, and the other way round.
            _isNative = lost.Deployment.Provider.WireOf(call) is not null;
            if (!_isNative) call.MustTranslate = true;
        }
        IsRescuing = true;
        Count++;
        if (!_lost.Contains(lost.Deployment)) _lost.Add(lost.Deployment);
    }

    /// <summary>
    /// The deployments that may continue the stream: those that the mode allows and that speak the same language, the lost ones last.
    /// </summary>
    public IReadOnlyList<Deployment> Select(GatewayCall call, IReadOnlyList<Deployment> order) =>
    [
        .. order.Where(deployment => MayContinue(call, deployment, _model, _isNative) && !_lost.Contains(deployment)),
        .. order.Where(deployment => MayContinue(call, deployment, _model, _isNative) && _lost.Contains(deployment)),
    ];

    private bool MayContinue(GatewayCall call, Deployment deployment, string? model, bool isNative) =>
        (mode == RescueMode.Any || deployment.UpstreamModel == model) && (!isNative || deployment.Provider.WireOf(call) is not null);
}
