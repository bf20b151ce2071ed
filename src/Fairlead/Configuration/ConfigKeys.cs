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
/// Joins the tables of keys that the slices declare. The reader, the schema for editors and the table in the documentation are generated
/// from it, so they cannot differ. Immutable; thread-safe.
/// </summary>
internal sealed class ConfigKeys
{
    /// <summary>The keys of a program that adds no provider kinds.</summary>
    public static readonly ConfigKeys BuiltIn = new(ProviderKinds.BuiltIn);

    /// <param name="kinds">The kinds of providers that the configuration may name.</param>
    public ConfigKeys(ProviderKinds kinds)
    {
        Fairlead = new(() => new GatewayConfiguration(),
            [
                "redis", "limits", "cache", "coalescing", "scheduling", "contentPolicy", "prompts", "flags", "versions", "batches",
                "console", "oidc", "organizations", "projects", "keys",
            ],
            new("dataDirectory", ConfigTypes.Text, c => c.DataDirectory, (c, v) => c with { DataDirectory = (string)v },
                "Folder of everything that is stored on disk. `FAIRLEAD_DATA` also sets it.") { NeedsRestart = true },
            new("storage", StorageConfig.Keys, c => c.Storage, (c, v) => c with { Storage = (StorageConfig)v },
                "The database of keys, audit and usage.") { NeedsRestart = true },
            new("server", ServerConfig.Keys, c => c.Server, (c, v) => c with { Server = (ServerConfig)v }, "How clients reach the server."),
            new("publicUrl", new ConfigUrl(), c => c.PublicUrl, (c, v) => c with { PublicUrl = (string)v },
                "Address by which clients reach this server, for links in responses (`doc_url`). Default: the host of each request. Set it "
                + "behind a proxy."),
            new("drainTimeout", new ConfigDuration(TimeSpan.Zero, TimeSpan.FromHours(1)), c => c.DrainTimeout,
                (c, v) => c with { DrainTimeout = (TimeSpan)v },
                "How long open calls may continue after SIGTERM."),
            new("providers", new ConfigMapType<ProviderConfig>(ProviderConfig.KeysFor(kinds), "provider"), c => c.Providers,
                (c, v) => c with { Providers = (IReadOnlyDictionary<string, ProviderConfig>)v },
                "Model providers: vendors and servers."),
            new("models", new ConfigMapType<ModelConfig>(ModelConfig.Keys, "model"), c => c.Models,
                (c, v) => c with { Models = (IReadOnlyDictionary<string, ModelConfig>)v },
                "Models by the names that clients send. A built-in model needs only its name."),
            new("requests", RequestBounds.Keys, c => c.Requests, (c, v) => c with { Requests = (RequestBounds)v },
                "Limits of a single request."),
            new("jobs", JobsConfig.Keys, c => c.Jobs, (c, v) => c with { Jobs = (JobsConfig)v }, "Background generations (jobs)."),
            new("files", FilesConfig.Keys, c => c.Files, (c, v) => c with { Files = (FilesConfig)v },
                "Files that callers upload and files that batches produce."),
            new("stream", StreamConfig.Keys, c => c.Stream, (c, v) => c with { Stream = (StreamConfig)v }, "Streamed responses."),
            new("idempotency", IdempotencyConfig.Keys, c => c.Idempotency, (c, v) => c with { Idempotency = (IdempotencyConfig)v },
                "Requests that repeat an `Idempotency-Key`."),
            new("retry", RetryConfig.Keys, c => c.Retry, (c, v) => c with { Retry = (RetryConfig)v }, "Retries of failed attempts."),
            new("webhooks", WebhooksConfig.Keys, c => c.Webhooks, (c, v) => c with { Webhooks = (WebhooksConfig)v },
                "Webhooks to the callers' servers."),
            new("audit", AuditConfig.Keys, c => c.Audit, (c, v) => c with { Audit = (AuditConfig)v }, "The record of every call."),
            new("telemetry", TelemetryConfig.Keys, c => c.Telemetry, (c, v) => c with { Telemetry = (TelemetryConfig)v },
                "Traces and metrics."));
        Root = new(() => new GatewayConfiguration(), [],
            new("fairlead", Fairlead, _ => null, (_, v) => (GatewayConfiguration)v, "Settings of Fairlead."),
            new("$schema", ConfigTypes.Text, _ => null, (c, _) => c, "Address of this schema, for editors."));
        Rules = [new ProviderConfigRules(kinds), new StorageConfigRules(), new DeploymentConfigRules(), new TelemetryConfigRules()];
    }

    /// <summary>Everything below <c>fairlead:</c>.</summary>
    public ConfigObjectType<GatewayConfiguration> Fairlead { get; }

    /// <summary>The whole file.</summary>
    public ConfigObjectType<GatewayConfiguration> Root { get; }

    /// <summary>In the order in which they run. Deployments inherit the timeouts of the providers that remain.</summary>
    public IReadOnlyList<ConfigRules> Rules { get; }
}
