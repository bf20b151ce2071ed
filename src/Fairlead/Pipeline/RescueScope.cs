using Fairlead.Catalogue;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;

namespace Fairlead.Pipeline;

/// <summary>
/// Where a stream whose provider was lost may be continued. Set for calls whose stream is rescued; belongs to the call's logical flow.
/// </summary>
/// <param name="mode">What the configuration, the key and the request allow.</param>
internal sealed class RescueScope(RescueMode mode)
{
    private readonly List<Deployment> _lost = [];
    private bool _isNative;
    private Func<Deployment, bool>? _accepts;
    private string? _model;

    /// <summary>What the configuration, the key and the request allow; never off.</summary>
    public RescueMode Mode => mode;

    /// <summary>Rescues that were started.</summary>
    public int Count { get; private set; }

    /// <summary>Whether the attempts that follow rescue the stream.</summary>
    public bool IsRescuing { get; private set; }

    /// <summary>Whether the text of the call is kept, for a model that can continue it.</summary>
    public bool KeepsText { get; init; }

    /// <summary>Whether the attempts that follow get what was sent as the start of the answer.</summary>
    public bool IsPrefill => _accepts is not null;

    /// <summary>The attempt whose text the answering one continues; null for none.</summary>
    public Attempt? Continued { get; set; }

    /// <summary>Whether the lost stream was forwarded.</summary>
    public bool IsNative => _isNative;

    /// <summary>The next run of the stages starts a response.</summary>
    public void Reset()
    {
        IsRescuing = false;
        _accepts = null;
    }

    /// <summary>The attempts that follow continue the text, at the deployments that accept that; null for none that does.</summary>
    public void UsePrefill(GatewayCall call, Func<Deployment, bool>? accepts)
    {
        _accepts = accepts;
        call.MustTranslate = accepts is not null || !_isNative;
    }

    /// <summary>Whether another deployment than that of an attempt may continue its stream.</summary>
    public bool HasOther(GatewayCall call, Attempt lost)
    {
        var isNative = lost.Deployment.Provider.WireOf(call) is not null;
        return call.Model.Deployments.Any(deployment => deployment != lost.Deployment
            && (KeepsText || MayContinue(call, deployment, lost.Deployment.UpstreamModel, isNative)));
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
            call.MustTranslate = !_isNative;
        }
        IsRescuing = true;
        Count++;
        if (!_lost.Contains(lost.Deployment)) _lost.Add(lost.Deployment);
    }

    /// <summary>Whether any deployment may continue the stream now.</summary>
    public bool HasCandidates(GatewayCall call) => Select(call, call.Model.Deployments).Count > 0;

    /// <summary>Measures the output of one attempt.</summary>
    public OutputDigest MakeDigest(GatewayCall call) =>
        new() { Kept = KeepsText && !IsRescuing ? new KeptText(call.Memory) : null };

    /// <summary>
    /// The deployments that may continue the stream: those that the mode allows and that speak the same language, the lost ones last.
    /// </summary>
    public IReadOnlyList<Deployment> Select(GatewayCall call, IReadOnlyList<Deployment> order) =>
    [
        .. order.Where(deployment => MayContinue(call, deployment, _model, _isNative) && !_lost.Contains(deployment)),
        .. order.Where(deployment => MayContinue(call, deployment, _model, _isNative) && _lost.Contains(deployment)),
    ];

    private bool MayContinue(GatewayCall call, Deployment deployment, string? model, bool isNative) =>
        (mode == RescueMode.Any || deployment.UpstreamModel == model)
        && (_accepts?.Invoke(deployment) ?? (!isNative || deployment.Provider.WireOf(call) is not null));
}
