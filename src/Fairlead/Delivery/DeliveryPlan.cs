using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>How a response reaches its client.</summary>
internal enum DeliveryKind
{
    /// <summary>The whole response in one body.</summary>
    Sync,

    /// <summary>Server-sent events of a generation that is not stored.</summary>
    Stream,

    /// <summary>Server-sent events of a stored generation. It continues without its client, and its events can be read again.</summary>
    KeptStream,

    /// <summary>An immediate response; the generation waits in the queue.</summary>
    Queued,

    /// <summary>The whole response if it is ready in time; otherwise an immediate response, and the same generation continues.</summary>
    Hybrid,

    /// <summary>The same for a generation that is stored from its start. The wait may be infinite.</summary>
    Stored,
}

/// <summary>How one call is delivered. The decision is made once, after the request was read and before anything runs.</summary>
/// <param name="Kind">The delivery.</param>
internal readonly record struct DeliveryPlan(DeliveryKind Kind)
{
    /// <summary>
    /// How long the client of a <see cref="DeliveryKind.Hybrid"/> or <see cref="DeliveryKind.Stored"/> delivery waits; zero for all
    /// others.
    /// </summary>
    public TimeSpan Wait { get; private init; }

    /// <summary>Whether the <c>Prefer</c> header chose the delivery. The response must confirm that (RFC 7240).</summary>
    public bool IsPreferred { get; private init; }

    /// <summary>Whether a stored generation ends when its client leaves, or leaves before it has a 202.</summary>
    public bool EndsWithClient { get; private init; }

    /// <summary>The part of the dialect that shows a stored stream; null unless it is a <see cref="DeliveryKind.KeptStream"/>.</summary>
    public IStoredStreams? StoredStreams { get; private init; }

    /// <summary>The part of the dialect that writes the immediate response; null where that is the gateway's own format.</summary>
    public IBackgroundRequests? Background { get; private init; }

    /// <summary>Whether the client reads events. A job that is read later is not streamed, whatever its request says.</summary>
    public bool Streams => Kind is DeliveryKind.Stream or DeliveryKind.KeptStream;

    /// <summary>Whether the generation continues after its request has ended.</summary>
    public bool OutlivesRequest => Kind is DeliveryKind.KeptStream or DeliveryKind.Queued or DeliveryKind.Hybrid or DeliveryKind.Stored;

    /// <summary>
    /// Decides. 1. A dialect's stored stream, unless the <c>Prefer</c> header asks for something else. 2. A dialect's background request.
    /// 3. A dialect's own choice of delivery. 4. The <c>Prefer</c> header, where the dialect allows it. 5. Otherwise the client waits; then
    /// there can be no webhook.
    /// </summary>
    /// <param name="call">The call. Its request was read without an error.</param>
    /// <param name="headers">The headers of the request.</param>
    /// <returns>The plan, and the error that refuses it or null.</returns>
    public static (DeliveryPlan Plan, GatewayError? Error) Of(GatewayCall call, IHeaderDictionary headers)
    {
        var dialect = call.Dialect;

        // 1. Before 2: a background request that is streamed is both.
        var preferred = PreferredOf(call, headers);
        if (preferred is null && dialect.StoredStreams is { } stored && stored.IsStored(call))
        {
            return (new DeliveryPlan(DeliveryKind.KeptStream)
            {
                StoredStreams = stored,
                EndsWithClient = stored.EndsWithClient(call),
            }, null);
        }

        // 2.
        if (dialect.Background is { } background && background.IsBackground(call))
        {
            return (new DeliveryPlan(DeliveryKind.Queued) { Background = background }, null);
        }

        // 3.
        var stores = dialect.Delivery?.Stores(call) == true;
        if (dialect.Delivery?.Of(call) is { } chosen) return (JobOf(call, chosen, stores), null);

        // 4.
        if (preferred is not null) return (JobOf(call, preferred.Value, stores) with { IsPreferred = true }, null);

        // 5.
        if (stores && !call.Streams)
        {
            return (new DeliveryPlan(DeliveryKind.Stored)
            {
                Wait = Timeout.InfiniteTimeSpan,
                EndsWithClient = !call.ContinuesWithoutClient,
            }, null);
        }
        var live = new DeliveryPlan(call.Streams ? DeliveryKind.Stream : DeliveryKind.Sync);
        return (live, call.Facts.Extension.Webhook is null ? null : NoWebhook());
    }

    private static Preference? PreferredOf(GatewayCall call, IHeaderDictionary headers)
    {
        var allowsPrefer = call.Dialect.Delivery?.AllowsPreferHeader(call) ?? !call.Streams;
        return allowsPrefer && call.Operation != Operation.CountTokens && headers.TryGetValue("Prefer", out var prefer)
            && Preference.Of(prefer) is { RespondAsync: true } preferred ? preferred : null;
    }

    private static DeliveryPlan JobOf(GatewayCall call, Preference preference, bool stores) => preference.Wait is > 0 and var seconds
        ? new DeliveryPlan(stores ? DeliveryKind.Stored : DeliveryKind.Hybrid)
        {
            Wait = TimeSpan.FromSeconds(seconds),
            EndsWithClient = stores && !call.ContinuesWithoutClient,
        }
        : new DeliveryPlan(DeliveryKind.Queued);

    private static GatewayError NoWebhook() => GatewayError.Unsupported(
        "fairlead.webhook",
        "The field 'fairlead.webhook' is for generations that outlive their request. "
        + "Send the header 'Prefer: respond-async' and no 'stream', or leave it out.");
}
