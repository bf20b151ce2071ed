using Fairlead.Access;
using Fairlead.Auditing;
using Fairlead.Caching;
using Fairlead.Catalogue;
using Fairlead.Catalogue.Stored;
using Fairlead.Coalescing;
using Fairlead.Files;
using Fairlead.Generations;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Configuration;
using Fairlead.Limits;
using Fairlead.Limits.Redis;
using Fairlead.Pipeline;
using Fairlead.Policies;
using Fairlead.Providers;
using Fairlead.Routing;
using Fairlead.Scheduling;
using Fairlead.Storage;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Fairlead.Webhooks;

namespace Fairlead;

/// <summary>The sections of the configuration and their order. A new section is one line here; everything else is in its slice.</summary>
internal static class ConfigurationSections
{
    private static readonly string[] Later =
    [
        "prompts", "flags", "versions", "batches",
        "console", "oidc", "organizations", "projects", "keys",
    ];

    /// <summary>The keys of a program that adds no provider kinds.</summary>
    public static readonly ConfigKeys BuiltIn = Of(ProviderKinds.BuiltIn);

    /// <summary>The keys of a program with these kinds of providers.</summary>
    public static ConfigKeys Of(ProviderKinds kinds) => new(
        [
            new("dataDirectory", ConfigTypes.Text, c => c.DataDirectory, (c, v) => c with { DataDirectory = (string)v },
                "Folder of everything that is stored on disk. `FAIRLEAD_DATA` also sets it.") { NeedsRestart = true },
            StorageConfig.Section,
            RedisConfig.Section,
            ServerConfig.Section,
            AuthenticationConfig.Section,
            new("publicUrl", new ConfigUrl(), c => c.PublicUrl, (c, v) => c with { PublicUrl = (string)v },
                "Address by which clients reach this server, for links in responses (`doc_url`). Default: the host of each request. Set it "
                + "behind a proxy."),
            new("drainTimeout", new ConfigDuration(TimeSpan.Zero, TimeSpan.FromHours(1)), c => c.DrainTimeout,
                (c, v) => c with { DrainTimeout = (TimeSpan)v },
                "How long open calls may continue after SIGTERM."),
            ProviderConfig.SectionFor(kinds),
            StoredProvidersConfig.Section,
            ModelConfig.Section,
            LimitsConfig.Section,
            SchedulingConfig.Section,
            CoalescingConfig.Section,
            CacheConfig.Section,
            ContentPolicyConfig.Section,
            RequestBounds.Section,
            JobsConfig.Section,
            FilesConfig.Section,
            StreamConfig.Section,
            IdempotencyConfig.Section,
            RetryConfig.Section,
            BreakerConfig.Section,
            WebhooksConfig.Section,
            AuditConfig.Section,
            TelemetryConfig.Section,
        ],
        Later,
        // Deployments inherit the timeouts of the providers that remain.
        [new ProviderConfigRules(kinds), new StorageConfigRules(), new DeploymentConfigRules(), new TelemetryConfigRules(), new PolicyConfigRules(),
            new AuthenticationConfigRules(), new AuditConfigRules()]);
}
