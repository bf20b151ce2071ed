using Fairlead.Auditing;
using Fairlead.Catalogue;
using Fairlead.Files;
using Fairlead.Generations;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Routing;
using Fairlead.Storage;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Fairlead.Webhooks;

namespace Fairlead.Configuration;

/// <summary>
/// The whole configuration at one moment: checked, and with defaults. Each slice declares its section beside its keys. Immutable.
/// </summary>
public sealed record GatewayConfiguration
{
    /// <summary>Folder of everything that is stored on disk. Default <c>./data</c>.</summary>
    public string DataDirectory { get; init; } = "./data";

    /// <summary>Address by which clients reach this server, without a trailing slash; null for the address of each request.</summary>
    public string? PublicUrl { get; init; }

    public StorageConfig Storage { get; init; } = new();

    public ServerConfig Server { get; init; } = new();

    public IReadOnlyDictionary<string, ProviderConfig> Providers { get; init; } = new Dictionary<string, ProviderConfig>();

    public IReadOnlyDictionary<string, ModelConfig> Models { get; init; } = new Dictionary<string, ModelConfig>();

    public RequestBounds Requests { get; init; } = new();

    public JobsConfig Jobs { get; init; } = new();

    public FilesConfig Files { get; init; } = new();

    public StreamConfig Stream { get; init; } = new();

    public IdempotencyConfig Idempotency { get; init; } = new();

    public RetryConfig Retry { get; init; } = new();

    public WebhooksConfig Webhooks { get; init; } = new();

    public AuditConfig Audit { get; init; } = new();

    public TelemetryConfig Telemetry { get; init; } = new();

    /// <summary>How long open calls may continue after SIGTERM. Default 30 s.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(30);
}
