using System.Net;
using Fairlead.Configuration;

namespace Fairlead.Pipeline;

/// <summary>Limits of a single request.</summary>
internal sealed record RequestBounds
{
    internal static readonly RequestBounds Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<RequestBounds> Keys = new(() => new RequestBounds(), [],
        new("maxBodyBytes", new ConfigSize(1024, 1L << 30), r => r.MaxBodyBytes, (r, v) => r with { MaxBodyBytes = (long)v },
            "Size of a request's body."),
        new("maxDepth", new ConfigInteger(8, 256), r => (long)r.MaxDepth, (r, v) => r with { MaxDepth = (int)(long)v },
            "Nesting of a request's JSON."),
        new("maxMessages", new ConfigInteger(1, 1_000_000), r => (long)r.MaxMessages, (r, v) => r with { MaxMessages = (int)(long)v },
            "Messages of a conversation."),
        new("maxMediaBytes", new ConfigSize(0, 1L << 30), r => r.MaxMediaBytes, (r, v) => r with { MaxMediaBytes = (long)v },
            "Base64 bytes of all inline media of a request."),
        new("memoryBudget", new ConfigSize(1024 * 1024, 1L << 50), r => r.MemoryBudget, (r, v) => r with { MemoryBudget = (long)v },
            "Bytes of requests and responses that this process holds in memory; a quarter of the memory that it may use when left out. "
            + "When it is used up, new requests get 503 `overloaded`. A tenth of it is reserved for requests of up to 64 KiB."),
        new("maxMemoryPerKey", new ConfigSize(1024 * 1024, 1L << 50), r => r.MaxMemoryPerKey,
            (r, v) => r with { MaxMemoryPerKey = (long)v },
            "What of `memoryBudget` the requests and responses of one key may hold; half of it when left out. "
            + "More is refused with 503 `overloaded`, while other keys are served. "
            + "Where all callers share one key, set it to `memoryBudget`."),
        new("maxSocketMessageTime", new ConfigDuration(TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1)), r => r.MaxSocketMessageTime,
            (r, v) => r with { MaxSocketMessageTime = (TimeSpan)v },
            "Time from the first byte of a WebSocket message to its last; a slower one closes its connection."),
        new("maxSocketsPerKey", new ConfigInteger(1, 1_000_000), r => (long)r.MaxSocketsPerKey,
            (r, v) => r with { MaxSocketsPerKey = (int)(long)v },
            "WebSockets that one key may have open on this node."),
        new("allowedNetworks", new ConfigListType<IPNetwork>(new ConfigNetwork()), r => r.AllowedNetworks,
            (r, v) => r with { AllowedNetworks = (IReadOnlyList<IPNetwork>)v },
            "Non-public networks to which URLs in requests (images, files, audio, video) may lead. A model server in your network fetches "
            + "such URLs itself, so best list only networks that contain nothing else."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("requests", Keys, c => c.Requests,
        "Limits of a single request.");

    /// <summary>Default 32 MiB, as Anthropic's API.</summary>
    public long MaxBodyBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>Nesting of JSON. Default 64, as in System.Text.Json.</summary>
    public int MaxDepth { get; init; } = 64;

    /// <summary>Messages of a conversation. Default 10,000.</summary>
    public int MaxMessages { get; init; } = 10_000;

    /// <summary>Base64 bytes of all inline media of a request. Default 24 MiB.</summary>
    public long MaxMediaBytes { get; init; } = 24 * 1024 * 1024;

    /// <summary>
    /// Bytes of requests and responses that the process holds in memory. Null, the default, is a quarter of what the runtime may use.
    /// </summary>
    public long? MemoryBudget { get; init; }

    /// <summary>
    /// Bytes of <see cref="MemoryBudget"/> that the requests and responses of one key may hold. Null, the default, is half of it.
    /// </summary>
    public long? MaxMemoryPerKey { get; init; }

    /// <summary>From the first byte of a WebSocket message to its last. Default 60 s.</summary>
    public TimeSpan MaxSocketMessageTime { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>WebSockets that one key may have open on this node. Default 100.</summary>
    public int MaxSocketsPerKey { get; init; } = 100;

    /// <summary>Non-public networks to which URLs in requests may lead. Default none.</summary>
    public IReadOnlyList<IPNetwork> AllowedNetworks { get; init; } = [];
}

/// <summary>The section in the whole configuration.</summary>
internal static class RequestBoundsSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Limits of a single request.</summary>
        public RequestBounds Requests => configuration.Section<RequestBounds>() ?? RequestBounds.Default;
    }
}
