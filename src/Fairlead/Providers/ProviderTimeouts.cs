using Fairlead.Configuration;

namespace Fairlead.Providers;

/// <summary>Timeouts of one attempt.</summary>
public sealed record ProviderTimeouts
{
    public static readonly ProviderTimeouts Default = new();

    private static readonly ConfigType Wait = new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromHours(24));

    /// <summary>Its keys below a provider.</summary>
    internal static readonly ConfigObjectType<ProviderTimeouts> Keys = KeysFrom(() => new ProviderTimeouts());

    /// <summary>Its keys below a deployment. Zero means that the deployment has no value of its own, so the provider's applies.</summary>
    internal static readonly ConfigObjectType<ProviderTimeouts> DeploymentKeys = KeysFrom(() => new ProviderTimeouts
    {
        Connect = TimeSpan.Zero,
        FirstToken = TimeSpan.Zero,
        StreamIdle = TimeSpan.Zero,
        Response = TimeSpan.Zero,
        Total = TimeSpan.Zero,
    });

    /// <summary>TCP and TLS. Default 5 s.</summary>
    public TimeSpan Connect { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// From sending the request to the first content of a stream. Default 120 s: reasoning models think before they write.
    /// </summary>
    public TimeSpan FirstToken { get; init; } = TimeSpan.FromSeconds(120);

    /// <summary>Between two fragments of a stream. Default 60 s.</summary>
    public TimeSpan StreamIdle { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// The whole response of an attempt that is not streamed. Default 5 min: less than the total, so that another deployment can still be
    /// tried.
    /// </summary>
    public TimeSpan Response { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>The whole attempt. Default 10 min, as the official SDKs wait.</summary>
    public TimeSpan Total { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>These timeouts; zero is replaced by the value of <paramref name="inherited"/>.</summary>
    internal ProviderTimeouts Over(ProviderTimeouts inherited) => new()
    {
        Connect = Or(Connect, inherited.Connect),
        FirstToken = Or(FirstToken, inherited.FirstToken),
        StreamIdle = Or(StreamIdle, inherited.StreamIdle),
        Response = Or(Response, inherited.Response),
        Total = Or(Total, inherited.Total),
    };

    private static TimeSpan Or(TimeSpan own, TimeSpan inherited) => own == TimeSpan.Zero ? inherited : own;

    private static ConfigObjectType<ProviderTimeouts> KeysFrom(Func<ProviderTimeouts> seed) => new(seed, [],
        new("connect", Wait, t => t.Connect, (t, v) => t with { Connect = (TimeSpan)v }, "TCP and TLS."),
        new("firstToken", Wait, t => t.FirstToken, (t, v) => t with { FirstToken = (TimeSpan)v },
            "From the request to the first content of a stream."),
        new("streamIdle", Wait, t => t.StreamIdle, (t, v) => t with { StreamIdle = (TimeSpan)v }, "Between two pieces of a stream."),
        new("response", Wait, t => t.Response, (t, v) => t with { Response = (TimeSpan)v },
            "The whole response of an attempt that is not streamed. Keep it below `total`, so that another deployment can still be tried."),
        new("total", Wait, t => t.Total, (t, v) => t with { Total = (TimeSpan)v }, "The whole attempt."));
}
