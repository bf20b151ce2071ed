using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Providers;

namespace Fairlead.Configuration;

// What was written, already checked and with defaults filled in. The reader of files, environment and code makes it;
// the catalogue turns it into running models and providers. Names on the wire of the file are camelCase of these.

/// <summary>The whole configuration at one moment. Immutable.</summary>
public sealed record GatewayConfiguration
{
    /// <summary>Folder of everything kept on disk. Default <c>./data</c>.</summary>
    public string DataDirectory { get; init; } = "./data";

    /// <summary>Address by which clients reach this server, without a trailing slash; null for what each request names.</summary>
    public string? PublicUrl { get; init; }

    public StorageConfig Storage { get; init; } = new();

    /// <summary>How clients reach the server.</summary>
    public ServerConfig Server { get; init; } = new();

    public IReadOnlyDictionary<string, ProviderConfig> Providers { get; init; } = new Dictionary<string, ProviderConfig>();

    public IReadOnlyDictionary<string, ModelConfig> Models { get; init; } = new Dictionary<string, ModelConfig>();

    public RequestBounds Requests { get; init; } = new();

    /// <summary>Generations that outlive their request.</summary>
    public JobsConfig Jobs { get; init; } = new();

    /// <summary>Files that callers upload, and those that batches make.</summary>
    public FilesConfig Files { get; init; } = new();

    public StreamConfig Stream { get; init; } = new();

    public IdempotencyConfig Idempotency { get; init; } = new();

    public RetryConfig Retry { get; init; } = new();

    public WebhooksConfig Webhooks { get; init; } = new();

    public AuditConfig Audit { get; init; } = new();

    public TelemetryConfig Telemetry { get; init; } = new();

    /// <summary>How long open calls may go on after SIGTERM. Default 30 s.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>How clients reach the server: through which proxies, and from which pages.</summary>
public sealed record ServerConfig
{
    /// <summary>Proxies whose <c>X-Forwarded-For</c>, <c>-Proto</c> and <c>-Host</c> are believed. Default none.</summary>
    public IReadOnlyList<System.Net.IPNetwork> TrustedProxies { get; init; } = [];

    /// <summary>Origins whose pages may call the API from a browser; <c>*</c> for all. Default none.</summary>
    public IReadOnlyList<string> CorsOrigins { get; init; } = [];
}

/// <summary>Where records are kept.</summary>
public sealed record StorageConfig
{
    public const string Sqlite = "sqlite";

    public const string Postgres = "postgres";

    /// <summary><see cref="Sqlite"/> or <see cref="Postgres"/>; null follows from whether there is a connection string.</summary>
    public string? Provider { get; init; }

    /// <summary>Of PostgreSQL. Holds a password.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>Without the password.</summary>
    public override string ToString() => $"{nameof(StorageConfig)} {{ Provider = {Provider} }}";
}

public sealed record ProviderConfig
{
    /// <summary>openai, azure, anthropic, gemini, simulated, or one that the embedding program registered.</summary>
    public required string Kind { get; init; }

    /// <summary>False switches the provider and the models only it can answer off. Default true.</summary>
    public bool Enabled { get; init; } = true;

    /// <summary>Up to and including the version segment where the API has one (https://api.openai.com/v1).</summary>
    public string? BaseUrl { get; init; }

    public string? ApiKey { get; init; }

    /// <summary>Several keys, used in turn.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>Sent with every request to it.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; init; } = new Dictionary<string, string>();

    /// <summary>Dated form of Azure's API; null for the v1 form.</summary>
    public string? ApiVersion { get; init; }

    /// <summary>Field that carries its reasoning in chat answers translated for OpenAI clients: reasoning_content (default) or reasoning.</summary>
    public string? ReasoningField { get; init; }

    public ProviderTimeouts Timeouts { get; init; } = ProviderTimeouts.Default;

    /// <summary>Settings of the simulated kind.</summary>
    public SimulationConfig Simulation { get; init; } = new();
}

/// <summary>Bounds of one attempt.</summary>
public sealed record ProviderTimeouts
{
    public static readonly ProviderTimeouts Default = new();

    /// <summary>TCP and TLS. Default 5 s.</summary>
    public TimeSpan Connect { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>From sending the request to the first content of a stream. Default 120 s: reasoning models think before they speak.</summary>
    public TimeSpan FirstToken { get; init; } = TimeSpan.FromSeconds(120);

    /// <summary>Between two pieces of a stream. Default 60 s.</summary>
    public TimeSpan StreamIdle { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The whole response of an attempt that is not streamed. Default 5 min: less than the total, so that another deployment can still be tried.</summary>
    public TimeSpan Response { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>The whole attempt. Default 10 min, as the official SDKs wait.</summary>
    public TimeSpan Total { get; init; } = TimeSpan.FromMinutes(10);
}

/// <summary>Behaviour of the simulated provider where the request does not say otherwise.</summary>
public sealed record SimulationConfig
{
    public long Seed { get; init; } = 1;

    /// <summary>Median time to the first token; null for each model's own.</summary>
    public TimeSpan? FirstToken { get; init; }

    /// <summary>Median tokens per second; null for each model's own.</summary>
    public double? TokensPerSecond { get; init; }

    /// <summary>Faults in the syntax of the Fairlead-Simulate header, applied to every call.</summary>
    public string? Faults { get; init; }
}

public sealed record ModelConfig
{
    public string? Kind { get; init; }

    public int? ContextWindow { get; init; }

    public int? MaxInputTokens { get; init; }

    public int? MaxOutputTokens { get; init; }

    public ModalitiesConfig? Modalities { get; init; }

    public CapabilitiesConfig? Capabilities { get; init; }

    /// <summary>o200k, cl100k or the name of an estimated family.</summary>
    public string? Tokenizer { get; init; }

    public PricesConfig? Prices { get; init; }

    public IReadOnlyList<string> Aliases { get; init; } = [];

    public LifecycleConfig? Lifecycle { get; init; }

    public string? Task { get; init; }

    /// <summary>Own length of the vectors of an embedding model.</summary>
    public int? EmbeddingDimensions { get; init; }

    public IReadOnlyList<DeploymentConfig> Deployments { get; init; } = [];
}

public sealed record ModalitiesConfig(IReadOnlyList<string> Input, IReadOnlyList<string> Output);

public sealed record CapabilitiesConfig
{
    public bool? Tools { get; init; }

    public bool? JsonSchema { get; init; }

    public bool? Reasoning { get; init; }

    public bool? Logprobs { get; init; }

    public bool? Prefill { get; init; }

    public bool? Sampling { get; init; }

    public bool? MultipleChoices { get; init; }

    /// <summary>Vectors of a chosen length.</summary>
    public bool? Dimensions { get; init; }
}

/// <summary>US dollars per million tokens.</summary>
public sealed record PricesConfig
{
    public decimal Input { get; init; }

    public decimal? CachedInput { get; init; }

    public decimal? CacheWrite { get; init; }

    /// <summary>Cache writes that live an hour; 1.6 times <see cref="CacheWrite"/> when null.</summary>
    public decimal? LongCacheWrite { get; init; }

    public decimal? AudioInput { get; init; }

    public decimal Output { get; init; }

    public decimal? AudioOutput { get; init; }

    public IReadOnlyList<PriceTierConfig> Tiers { get; init; } = [];
}

public sealed record PriceTierConfig(int AboveInputTokens, decimal Input, decimal? CachedInput, decimal Output)
{
    public decimal? CacheWrite { get; init; }

    public decimal? LongCacheWrite { get; init; }

    public decimal? AudioInput { get; init; }

    public decimal? AudioOutput { get; init; }
}

public sealed record LifecycleConfig
{
    /// <summary>active, deprecated or retired.</summary>
    public string State { get; init; } = "active";

    public DateTimeOffset? DeprecatedAt { get; init; }

    public DateTimeOffset? RetiresAt { get; init; }

    public string? Replacement { get; init; }
}

public sealed record DeploymentConfig
{
    public required string Provider { get; init; }

    /// <summary>The model's name at the provider; the configured model's own name when null.</summary>
    public string? Model { get; init; }

    public int Priority { get; init; } = 1;

    public int Weight { get; init; } = 1;

    public int? MaxConcurrency { get; init; }

    public ProviderTimeouts? Timeouts { get; init; }
}

/// <summary>What a single request may be at most.</summary>
public sealed record RequestBounds
{
    /// <summary>Default 32 MiB, as Anthropic's API.</summary>
    public long MaxBodyBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>Nesting of JSON. Default 64, as System.Text.Json.</summary>
    public int MaxDepth { get; init; } = 64;

    /// <summary>Default 10,000.</summary>
    public int MaxMessages { get; init; } = 10_000;

    /// <summary>Base64 bytes of all inline media of a request. Default 24 MiB.</summary>
    public long MaxMediaBytes { get; init; } = 24 * 1024 * 1024;

    /// <summary>Bytes of requests and responses that the process holds in memory. Null, the default, is a quarter of what the runtime may use.</summary>
    public long? MemoryBudget { get; init; }

    /// <summary>What of <see cref="MemoryBudget"/> is held for one key at most. Null, the default, is half of it.</summary>
    public long? MaxMemoryPerKey { get; init; }

    /// <summary>From the first byte of a WebSocket message to its last. Default 60 s.</summary>
    public TimeSpan MaxSocketMessageTime { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>WebSockets that one key may have open on this node. Default 100.</summary>
    public int MaxSocketsPerKey { get; init; } = 100;
}

public sealed record StreamConfig
{
    /// <summary>Pause of a stream after which a comment is sent. Default 15 s.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Wait for first content after which 200 is committed all the same. Default 10 s.</summary>
    public TimeSpan CommitAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Tokens joined into one piece of a stream at most, 1 to 64; 1 joins nothing. Default 4.</summary>
    public int BatchTokens { get; init; } = 4;

    /// <summary>Longest wait for them. Default 20 ms.</summary>
    public TimeSpan BatchDelay { get; init; } = TimeSpan.FromMilliseconds(20);
}

/// <summary>Requests that may be repeated by an <c>Idempotency-Key</c>.</summary>
public sealed record IdempotencyConfig
{
    /// <summary>How long a key stands for its request, and the outcome is kept. Default 24 h.</summary>
    public TimeSpan Ttl { get; init; } = TimeSpan.FromHours(24);
}

/// <summary>Generations that outlive their request.</summary>
public sealed record JobsConfig
{
    /// <summary>Runs at once on this node. Default 8.</summary>
    public int Workers { get; init; } = 8;

    /// <summary>Runs of one generation, counting those that failed for a passing reason, but not those lost because their process stopped or died. Default 3.</summary>
    public int MaxRuns { get; init; } = 3;

    /// <summary>Time without a sign of life after which a run counts as dead. Default 30 s.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a result is kept. Default 24 h.</summary>
    public TimeSpan ResultTtl { get; init; } = TimeSpan.FromHours(24);

    /// <summary>First pause before a failed generation is run again; doubles with every run. Default 1 s.</summary>
    public TimeSpan Backoff { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Jobs of one project that may wait. Default 10,000.</summary>
    public int MaxQueuedPerProject { get; init; } = 10_000;

    /// <summary>Bytes of the requests of those. Default 1 GiB.</summary>
    public long MaxQueuedBytesPerProject { get; init; } = 1024L * 1024 * 1024;
}

/// <summary>Files that callers upload, and those that batches make.</summary>
public sealed record FilesConfig
{
    /// <summary>Length of one file. Default 512 MiB, as OpenAI; a batch takes 200 MiB at most.</summary>
    public long MaxFileBytes { get; init; } = 512L * 1024 * 1024;

    /// <summary>All files of a project together. Default 10 GiB.</summary>
    public long MaxProjectBytes { get; init; } = 10L * 1024 * 1024 * 1024;

    /// <summary>How long a file is kept whose sender did not say. Default 30 days.</summary>
    public TimeSpan Ttl { get; init; } = TimeSpan.FromDays(30);
}

public sealed record RetryConfig
{
    /// <summary>Extra tries on one deployment before the next is tried. Default 2.</summary>
    public int MaxRetries { get; init; } = 2;

    /// <summary>Default 200 ms.</summary>
    public TimeSpan BaseDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Default 5 s; a provider that asks for more is left for the next one.</summary>
    public TimeSpan MaxDelay { get; init; } = TimeSpan.FromSeconds(5);
}

public enum AuditDurability
{
    /// <summary>In the operating system's cache: survives the death of the process.</summary>
    Spool,

    /// <summary>On the disk: survives the death of the machine.</summary>
    Fsync,
}

public sealed record AuditConfig
{
    public AuditDurability Durability { get; init; }

    /// <summary>How long records are kept; null for ever. Default 90 days.</summary>
    public TimeSpan? Retention { get; init; } = TimeSpan.FromDays(90);
}

/// <summary>Where webhooks may go.</summary>
public sealed record WebhooksConfig
{
    /// <summary>Networks that are not public in which receivers may be. Default none.</summary>
    public IReadOnlyList<System.Net.IPNetwork> AllowedNetworks { get; init; } = [];

    /// <summary>Whether receivers may be spoken to without TLS. Default false.</summary>
    public bool AllowHttp { get; init; }
}

public sealed record TelemetryConfig
{
    /// <summary>OTLP endpoint; null when nothing is exported. OTEL_EXPORTER_OTLP_ENDPOINT sets it too.</summary>
    public string? OtlpEndpoint { get; init; }

    /// <summary>Key that <c>GET /metrics</c> asks for; null for none.</summary>
    public string? MetricsKey { get; init; }

    /// <summary>Without the key.</summary>
    public override string ToString() => $"{nameof(TelemetryConfig)} {{ OtlpEndpoint = {OtlpEndpoint} }}";
}

/// <summary>The present configuration; swapped whole by a reload that passed every check. Thread-safe.</summary>
internal interface IConfigurationSource
{
    GatewayConfiguration Current { get; }

    /// <summary>Raised after <see cref="Current"/> changed, on one thread at a time.</summary>
    event Action<GatewayConfiguration>? Changed;
}
