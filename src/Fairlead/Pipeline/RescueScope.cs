using Fairlead.Catalogue;
using Fairlead.Errors;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;

namespace Fairlead.Pipeline;

/// <summary>
/// Where a stream whose provider was lost may be continued. Set for calls whose stream is rescued; belongs to the call's logical flow.
/// </summary>
/// <param name="mode">What the configuration, the key and the request allow.</param>
internal sealed class RescueScope(RescueMode mode)
{
    // Once for each loss.
    private readonly List<Deployment> _lost = [];
    private readonly List<Deployment> _silent = [];
    private bool _isNative;
    private Func<Deployment, bool>? _accepts;
    private string? _model;
    private TimeSpan _needed;

    /// <summary>What the configuration, the key and the request allow; never off.</summary>
    public RescueMode Mode => mode;

    /// <summary>Rescues that were started.</summary>
    public int Count { get; private set; }

    /// <summary>Whether the attempts that follow rescue the stream.</summary>
    public bool IsRescuing { get; private set; }

    /// <summary>Whether the text of the call is kept, for a model that can continue it.</summary>
    public bool KeepsText { get; init; }

    /// <summary>Whether another run of the request is expected to give the same output, so that the same deployment may make it.</summary>
    public bool IsDeterministic { get; init; }

    /// <summary>The attempt that reproduces what the client has; null while none does.</summary>
    public Attempt? Running { get; set; }

    /// <summary>Tokens of the text that the attempts that follow get; 0 for none.</summary>
    public long PrefillTokens { get; private set; }

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
        PrefillTokens = 0;
    }

    /// <summary>The attempts that follow continue the text, at the deployments that accept that; null for none that does.</summary>
    public void UsePrefill(GatewayCall call, Func<Deployment, bool>? accepts, long tokens = 0)
    {
        _accepts = accepts;
        PrefillTokens = tokens;
        call.MustTranslate = accepts is not null || !_isNative;
    }

    /// <summary>Whether any deployment may continue the stream of the first attempt.</summary>
    /// <param name="call">The call.</param>
    /// <param name="lost">The attempt.</param>
    /// <param name="order">The deployments that the call may use now.</param>
    /// <param name="needed">How long another run needs to reach the same point.</param>
    /// <param name="accepts">Deployments that continue the text; null for none.</param>
    public bool HasOther(GatewayCall call, Attempt lost, IReadOnlyList<Deployment> order, TimeSpan needed, Func<Deployment, bool>? accepts)
    {
        var model = lost.Deployment.UpstreamModel;
        var isNative = lost.Deployment.Provider.WireOf(call) is not null;
        return order.Any(deployment => Allows(deployment, model)
            && ((accepts?.Invoke(deployment) ?? false) || CanRepeat(call, deployment, isNative, needed))
            && (deployment != lost.Deployment || (IsDeterministic && !IsSilence(lost))));
    }

    /// <summary>The attempts that follow rescue the stream of this one.</summary>
    /// <param name="call">The call.</param>
    /// <param name="lost">The attempt whose stream broke.</param>
    /// <param name="needed">How long another run needs to reach the same point.</param>
    public void Begin(GatewayCall call, Attempt lost, TimeSpan needed)
    {
        if (!IsRescuing)
        {
            _model = lost.Deployment.UpstreamModel;
            // What was forwarded can only be continued by what is forwarded, and the other way round.
            _isNative = lost.Deployment.Provider.WireOf(call) is not null;
        }
        UsePrefill(call, null);
        IsRescuing = true;
        Count++;
        _needed = needed;
        _lost.Add(lost.Deployment);
        if (IsSilence(lost)) _silent.Add(lost.Deployment);
    }

    /// <summary>Whether a deployment has lost the stream.</summary>
    public bool WasLost(Deployment deployment) => _lost.Contains(deployment);

    /// <summary>Measures the output of one attempt.</summary>
    public OutputDigest MakeDigest(GatewayCall call) =>
        new() { Kept = KeepsText && !IsRescuing ? new KeptText(call.Memory) : null };

    /// <summary>
    /// The deployments that may continue the stream: those that the mode allows and that speak the same language. Last those that lost it,
    /// except by silence: that would be waited for again.
    /// </summary>
    public IReadOnlyList<Deployment> Select(GatewayCall call, IReadOnlyList<Deployment> order) =>
    [
        .. order.Where(deployment => MayContinue(call, deployment) && !WasLost(deployment)),
        .. order.Where(deployment => MayContinue(call, deployment) && WasLost(deployment) && MayRepeat(deployment)),
    ];

    private static bool IsSilence(Attempt lost) => lost.Error?.Code == ErrorCode.ProviderTimeout;

    // An endpoint that just broke is likely to break again. It is tried once more where others broke too, or where it can only be the same.
    private bool MayRepeat(Deployment deployment) => !_silent.Contains(deployment) && _lost.Count(lost => lost == deployment) < 2
        && (IsPrefill || IsDeterministic || _lost.Any(lost => lost != deployment));

    private bool Allows(Deployment deployment, string? model) => mode == RescueMode.Any || deployment.UpstreamModel == model;

    private static bool CanRepeat(GatewayCall call, Deployment deployment, bool isNative, TimeSpan needed) =>
        deployment.Timeouts.Total > needed && (!isNative || deployment.Provider.WireOf(call) is not null);

    private bool MayContinue(GatewayCall call, Deployment deployment) => Allows(deployment, _model)
        && (_accepts?.Invoke(deployment) ?? CanRepeat(call, deployment, _isNative, _needed));
}
