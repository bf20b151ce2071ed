using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Providers;
using Fairlead.Streaming;

namespace Fairlead.Configuration;

/// <summary>
/// The one table of keys. The reader, the schema for editors and the table in the documentation are all made from it, so they cannot differ.
/// </summary>
internal static class ConfigKeys
{
    private static readonly string[] None = [];

    private static readonly ConfigType Text = new ConfigText();
    private static readonly ConfigType Secret = new ConfigText(secret: true);
    private static readonly ConfigType Switch = new ConfigSwitch();
    private static readonly ConfigType Words = new ConfigListType<string>(Text);
    private static readonly ConfigType Tokens = new ConfigInteger(1, 1_000_000_000);
    private static readonly ConfigType Price = new ConfigNumber(0, 1_000_000);
    private static readonly ConfigType Wait = new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromHours(24));

    private static readonly ConfigObjectType<ProviderTimeouts> Timeouts = TimeoutsFrom(() => new ProviderTimeouts());

    // Zero stands for "not said": the reader then takes the provider's.
    private static readonly ConfigObjectType<ProviderTimeouts> DeploymentTimeouts = TimeoutsFrom(() =>
        new ProviderTimeouts { Connect = TimeSpan.Zero, FirstToken = TimeSpan.Zero, StreamIdle = TimeSpan.Zero, Response = TimeSpan.Zero, Total = TimeSpan.Zero });

    private static readonly ConfigObjectType<SimulationConfig> Simulation = new(() => new SimulationConfig(), None,
        new("seed", new ConfigInteger(0, long.MaxValue), s => s.Seed, (s, v) => s with { Seed = (long)v }, "Where its chance begins; the same seed and request give the same answer."),
        new("firstToken", new ConfigDuration(TimeSpan.Zero, TimeSpan.FromHours(1)), s => s.FirstToken, (s, v) => s with { FirstToken = (TimeSpan)v }, "Median time to the first token; each model's own when left out."),
        new("tokensPerSecond", new ConfigNumber(0.01m, 1_000_000), s => s.TokensPerSecond, (s, v) => s with { TokensPerSecond = (double)(decimal)v }, "Median pace; each model's own when left out."),
        new("faults", Text, s => s.Faults, (s, v) => s with { Faults = (string)v }, "Faults of every call, in the syntax of the Fairlead-Simulate header."));

    private static readonly ConfigObjectType<ProviderConfig> Provider = new(() => new ProviderConfig { Kind = "" }, ["breaker", "concurrency"],
        new("kind", new ConfigChoice("openai", "azure", "vllm", "ollama", "mistral", "deepseek", "openai-compatible", "anthropic", "gemini", "simulated") { Extensible = true }, p => p.Kind, (p, v) => p with { Kind = (string)v }, "The interface it speaks; `openai` for every server with an OpenAI-compatible one. Leave it out only where an environment variable switches on a provider of this very name, such as `openai` by `OPENAI_API_KEY`: the kind is known then."),
        new("enabled", Switch, p => p.Enabled, (p, v) => p with { Enabled = (bool)v }, "false switches it off, also when an environment variable switched it on."),
        new("baseUrl", new ConfigUrl(), p => p.BaseUrl, (p, v) => p with { BaseUrl = (string)v }, "Address up to and including the version segment; the maker's own when left out."),
        new("apiKey", Secret, p => p.ApiKey, (p, v) => p with { ApiKey = (string)v }, "Credential; best written as ${NAME}."),
        new("apiKeys", new ConfigListType<string>(Secret), p => p.ApiKeys, (p, v) => p with { ApiKeys = (IReadOnlyList<string>)v }, "Several credentials, used in turn."),
        new("headers", new ConfigMapType<string>(Secret, "header", HeaderRules.Fault), p => p.Headers, (p, v) => p with { Headers = (IReadOnlyDictionary<string, string>)v }, "Sent with every request to it."),
        new("apiVersion", Text, p => p.ApiVersion, (p, v) => p with { ApiVersion = (string)v }, "Azure only: asks for the dated form of its interface instead of v1."),
        new("reasoningField", new ConfigChoice("reasoning_content", "reasoning"), p => p.ReasoningField, (p, v) => p with { ReasoningField = (string)v }, "Name of the field in which clients of `/v1/chat/completions` get its reasoning when the answer is translated; `reasoning_content` when left out. Of OpenAI-compatible servers, whose answers are not translated, both are read and go through as they are."),
        new("timeouts", Timeouts, p => p.Timeouts, (p, v) => p with { Timeouts = (ProviderTimeouts)v }, "Bounds of one attempt."),
        new("simulation", Simulation, p => p.Simulation, (p, v) => p with { Simulation = (SimulationConfig)v }, "Behaviour of the simulated kind."));

    private static readonly ConfigObjectType<ModalitiesConfig> Modalities = new(() => new ModalitiesConfig(["text"], ["text"]), None,
        new("input", new ConfigListType<string>(new ConfigChoice("text", "image", "audio", "pdf", "video")), m => m.Input, (m, v) => m with { Input = (IReadOnlyList<string>)v }, "What it can be shown."),
        new("output", new ConfigListType<string>(new ConfigChoice("text", "audio", "embedding")), m => m.Output, (m, v) => m with { Output = (IReadOnlyList<string>)v }, "What it can make."));

    private static readonly ConfigObjectType<CapabilitiesConfig> Capabilities = new(() => new CapabilitiesConfig(), None,
        new("tools", Switch, c => c.Tools, (c, v) => c with { Tools = (bool)v }, "Calls tools."),
        new("jsonSchema", Switch, c => c.JsonSchema, (c, v) => c with { JsonSchema = (bool)v }, "Keeps to a JSON Schema."),
        new("reasoning", Switch, c => c.Reasoning, (c, v) => c with { Reasoning = (bool)v }, "Thinks before it answers, and takes an effort for it."),
        new("logprobs", Switch, c => c.Logprobs, (c, v) => c with { Logprobs = (bool)v }, "Reports log probabilities of tokens."),
        new("prefill", Switch, c => c.Prefill, (c, v) => c with { Prefill = (bool)v }, "Continues an assistant turn at the end of the conversation."),
        new("sampling", Switch, c => c.Sampling, (c, v) => c with { Sampling = (bool)v }, "Takes temperature and top_p."),
        new("multipleChoices", Switch, c => c.MultipleChoices, (c, v) => c with { MultipleChoices = (bool)v }, "Answers n > 1."));

    private static readonly ConfigObjectType<PriceTierConfig> PriceTier = new(() => new PriceTierConfig(0, 0, null, 0), None,
        new("aboveInputTokens", Tokens, t => t.AboveInputTokens, (t, v) => t with { AboveInputTokens = (int)(long)v }, "Size of input from which the whole request is charged so.") { Required = true },
        new("input", Price, t => t.Input, (t, v) => t with { Input = (decimal)v }, "USD per million input tokens.") { Required = true },
        new("cachedInput", Price, t => t.CachedInput, (t, v) => t with { CachedInput = (decimal)v }, "USD per million input tokens read from the provider's cache."),
        new("cacheWrite", Price, t => t.CacheWrite, (t, v) => t with { CacheWrite = (decimal)v }, "USD per million input tokens written to the provider's cache; when left out, the model's price raised as `input` is."),
        new("longCacheWrite", Price, t => t.LongCacheWrite, (t, v) => t with { LongCacheWrite = (decimal)v }, "USD per million input tokens written to the provider's cache for an hour; when left out, the model's price raised as `cacheWrite` is."),
        new("audioInput", Price, t => t.AudioInput, (t, v) => t with { AudioInput = (decimal)v }, "USD per million input tokens of audio; when left out, the model's price raised as `input` is."),
        new("audioOutput", Price, t => t.AudioOutput, (t, v) => t with { AudioOutput = (decimal)v }, "USD per million output tokens of audio; when left out, the model's price raised as `output` is."),
        new("output", Price, t => t.Output, (t, v) => t with { Output = (decimal)v }, "USD per million output tokens.") { Required = true });

    private static readonly ConfigObjectType<PricesConfig> Prices = new(() => new PricesConfig(), None,
        new("input", Price, p => p.Input, (p, v) => p with { Input = (decimal)v }, "USD per million input tokens.") { Required = true },
        new("cachedInput", Price, p => p.CachedInput, (p, v) => p with { CachedInput = (decimal)v }, "USD per million input tokens read from the provider's cache; the input price when left out."),
        new("cacheWrite", Price, p => p.CacheWrite, (p, v) => p with { CacheWrite = (decimal)v }, "USD per million input tokens written to the provider's cache; the input price when left out."),
        new("longCacheWrite", Price, p => p.LongCacheWrite, (p, v) => p with { LongCacheWrite = (decimal)v }, "USD per million input tokens written to the provider's cache for an hour; 1.6 times `cacheWrite` when left out."),
        new("audioInput", Price, p => p.AudioInput, (p, v) => p with { AudioInput = (decimal)v }, "USD per million input tokens of sound; the input price when left out."),
        new("output", Price, p => p.Output, (p, v) => p with { Output = (decimal)v }, "USD per million output tokens.") { Required = true },
        new("audioOutput", Price, p => p.AudioOutput, (p, v) => p with { AudioOutput = (decimal)v }, "USD per million output tokens of audio; the output price when left out."),
        new("tiers", new ConfigListType<PriceTierConfig>(PriceTier), p => p.Tiers, (p, v) => p with { Tiers = (IReadOnlyList<PriceTierConfig>)v }, "Dearer prices for large inputs."));

    private static readonly ConfigObjectType<LifecycleConfig> Lifecycle = new(() => new LifecycleConfig(), None,
        new("state", new ConfigChoice("active", "deprecated", "retired"), l => l.State, (l, v) => l with { State = (string)v }, "A retired model is refused with model_retired."),
        new("deprecatedAt", new ConfigDate(), l => l.DeprecatedAt, (l, v) => l with { DeprecatedAt = (DateTimeOffset)v }, "Since when it should no longer be used."),
        new("retiresAt", new ConfigDate(), l => l.RetiresAt, (l, v) => l with { RetiresAt = (DateTimeOffset)v }, "When it stops answering."),
        new("replacement", Text, l => l.Replacement, (l, v) => l with { Replacement = (string)v }, "The model to use instead."));

    private static readonly ConfigObjectType<DeploymentConfig> Deployment = new(() => new DeploymentConfig { Provider = "" }, ["prices", "region"],
        new("provider", Text, d => d.Provider, (d, v) => d with { Provider = (string)v }, "Name of the provider, as under `providers`.") { Required = true },
        new("model", Text, d => d.Model, (d, v) => d with { Model = (string)v }, "The model's name there; this model's own name when left out."),
        new("priority", new ConfigInteger(1, 1000), d => d.Priority, (d, v) => d with { Priority = (int)(long)v }, "1 is tried first."),
        new("weight", new ConfigInteger(1, 1000), d => d.Weight, (d, v) => d with { Weight = (int)(long)v }, "Share among deployments of equal priority."),
        new("maxConcurrency", new ConfigInteger(1, 1_000_000), d => d.MaxConcurrency, (d, v) => d with { MaxConcurrency = (int)(long)v }, "Attempts at once; unbounded when left out. While there are as many, other deployments are asked; where there is none, a call waits `timeouts.connect` for a place, and a job as long as it takes."),
        new("timeouts", DeploymentTimeouts, d => d.Timeouts, (d, v) => d with { Timeouts = (ProviderTimeouts)v }, "Bounds of one attempt here; the provider's for what is left out."));

    private static readonly ConfigObjectType<ModelConfig> Model = new(() => new ModelConfig(), ["limits", "route", "quality"],
        new("kind", new ConfigChoice("chat", "embedding"), m => m.Kind, (m, v) => m with { Kind = (string)v }, "What it does; chat unless the catalogue knows better."),
        new("contextWindow", Tokens, m => m.ContextWindow, (m, v) => m with { ContextWindow = (int)(long)v }, "Tokens of input and output together."),
        new("maxInputTokens", Tokens, m => m.MaxInputTokens, (m, v) => m with { MaxInputTokens = (int)(long)v }, "Tokens of input alone, where the maker bounds it below the window."),
        new("maxOutputTokens", Tokens, m => m.MaxOutputTokens, (m, v) => m with { MaxOutputTokens = (int)(long)v }, "Tokens of output."),
        new("modalities", Modalities, m => m.Modalities, (m, v) => m with { Modalities = (ModalitiesConfig)v }, "Kinds of content."),
        new("capabilities", Capabilities, m => m.Capabilities, (m, v) => m with { Capabilities = (CapabilitiesConfig)v }, "What it can do beyond text."),
        new("tokenizer", Text, m => m.Tokenizer, (m, v) => m with { Tokenizer = (string)v }, "o200k or cl100k (counted exactly), or the name of a family (estimated)."),
        new("prices", Prices, m => m.Prices, (m, v) => m with { Prices = (PricesConfig)v }, "What it costs."),
        new("aliases", Words, m => m.Aliases, (m, v) => m with { Aliases = (IReadOnlyList<string>)v }, "Other names clients may send."),
        new("lifecycle", Lifecycle, m => m.Lifecycle, (m, v) => m with { Lifecycle = (LifecycleConfig)v }, "Whether it is on its way out."),
        new("task", Text, m => m.Task, (m, v) => m with { Task = (string)v }, "What it is meant for, such as code."),
        new("deployments", new ConfigListType<DeploymentConfig>(Deployment), m => m.Deployments, (m, v) => m with { Deployments = (IReadOnlyList<DeploymentConfig>)v }, "Who can answer for it; the maker's provider when left out."));

    private static readonly ConfigObjectType<RequestBounds> Requests = new(() => new RequestBounds(), None,
        new("maxBodyBytes", new ConfigSize(1024, 1L << 30), r => r.MaxBodyBytes, (r, v) => r with { MaxBodyBytes = (long)v }, "Size of a request's body."),
        new("maxDepth", new ConfigInteger(8, 256), r => (long)r.MaxDepth, (r, v) => r with { MaxDepth = (int)(long)v }, "Nesting of a request's JSON."),
        new("maxMessages", new ConfigInteger(1, 1_000_000), r => (long)r.MaxMessages, (r, v) => r with { MaxMessages = (int)(long)v }, "Messages of a conversation."),
        new("maxMediaBytes", new ConfigSize(0, 1L << 30), r => r.MaxMediaBytes, (r, v) => r with { MaxMediaBytes = (long)v }, "Base64 bytes of all inline media of a request."),
        new("memoryBudget", new ConfigSize(1024 * 1024, 1L << 50), r => r.MemoryBudget, (r, v) => r with { MemoryBudget = (long)v }, "Bytes of requests and responses that this process holds in memory; a quarter of the memory that it may use when left out. When it is used up, new requests get 503 `overloaded`. A tenth of it is reserved for requests of up to 64 KiB."),
        new("maxMemoryPerKey", new ConfigSize(1024 * 1024, 1L << 50), r => r.MaxMemoryPerKey, (r, v) => r with { MaxMemoryPerKey = (long)v }, "What of `memoryBudget` the requests and responses of one key may hold; half of it when left out. More is refused with 503 `overloaded`, while other keys are served. Where all callers share one key, set it to `memoryBudget`."),
        new("maxSocketMessageTime", new ConfigDuration(TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1)), r => r.MaxSocketMessageTime, (r, v) => r with { MaxSocketMessageTime = (TimeSpan)v }, "Time from the first byte of a WebSocket message to its last; a slower one closes its connection."),
        new("maxSocketsPerKey", new ConfigInteger(1, 1_000_000), r => (long)r.MaxSocketsPerKey, (r, v) => r with { MaxSocketsPerKey = (int)(long)v }, "WebSockets that one key may have open on this node."));

    private static readonly ConfigObjectType<JobsConfig> Jobs = new(() => new JobsConfig(), None,
        new("workers", new ConfigInteger(0, 10_000), j => j.Workers, (j, v) => j with { Workers = (int)(long)v }, "Jobs and lines of batches that run at once on this node; 0 leaves them to other nodes."),
        new("maxRuns", new ConfigInteger(1, 100), j => j.MaxRuns, (j, v) => j with { MaxRuns = (int)(long)v }, "Runs of one generation, counting those that failed for a passing reason. A run that is lost because its process stops or dies does not count."),
        new("lease", new ConfigDuration(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10)), j => j.Lease, (j, v) => j with { Lease = (TimeSpan)v }, "Time without a sign of life after which a run counts as dead and another node takes over."),
        new("resultTtl", new ConfigDuration(TimeSpan.FromSeconds(1), TimeSpan.FromDays(365)), j => j.ResultTtl, (j, v) => j with { ResultTtl = (TimeSpan)v }, "How long a result is kept."),
        new("backoff", new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromHours(1)), j => j.Backoff, (j, v) => j with { Backoff = (TimeSpan)v }, "First pause before a failed generation is run again; doubles with every run."),
        new("maxQueuedPerProject", new ConfigInteger(1, 100_000_000), j => (long)j.MaxQueuedPerProject, (j, v) => j with { MaxQueuedPerProject = (int)(long)v }, "Jobs of one project that may wait; a further one is refused with 429 `queue_full`. Lines of batches do not count."),
        new("maxQueuedBytesPerProject", new ConfigSize(1024, 1L << 50), j => j.MaxQueuedBytesPerProject, (j, v) => j with { MaxQueuedBytesPerProject = (long)v }, "Bytes of the requests of those jobs together."));

    private static readonly ConfigObjectType<FilesConfig> Files = new(() => new FilesConfig(), None,
        new("maxFileBytes", new ConfigSize(1024, 1L << 40), f => f.MaxFileBytes, (f, v) => f with { MaxFileBytes = (long)v }, "Length of one file; a batch takes 200 MiB at most."),
        new("maxProjectBytes", new ConfigSize(1024, 1L << 50), f => f.MaxProjectBytes, (f, v) => f with { MaxProjectBytes = (long)v }, "All files of a project together."),
        new("ttl", new ConfigDuration(TimeSpan.FromHours(1), TimeSpan.FromDays(365)), f => f.Ttl, (f, v) => f with { Ttl = (TimeSpan)v }, "How long a file is kept whose sender did not say."));

    private static readonly ConfigObjectType<IdempotencyConfig> Idempotency = new(() => new IdempotencyConfig(), None,
        new ConfigKey<IdempotencyConfig>("ttl", new ConfigDuration(TimeSpan.FromMinutes(1), TimeSpan.FromDays(30)), i => i.Ttl, (i, v) => i with { Ttl = (TimeSpan)v }, "How long a key stands for its request, and the outcome is kept."));

    private static readonly ConfigObjectType<StreamConfig> Stream = new(() => new StreamConfig(), ["resumeWindow", "midStreamRescue"],
        new("keepAlive", new ConfigDuration(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5)), s => s.KeepAlive, (s, v) => s with { KeepAlive = (TimeSpan)v }, "Pause of a stream after which a comment is sent, so that proxies keep it open."),
        new("commitAfter", new ConfigDuration(TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(5)), s => s.CommitAfter, (s, v) => s with { CommitAfter = (TimeSpan)v }, "Wait for the first content after which status 200 is sent all the same; until then a failed attempt becomes a proper status."),
        new("batchTokens", new ConfigInteger(1, BatchSettings.MaxTokens), s => (long)s.BatchTokens, (s, v) => s with { BatchTokens = (int)(long)v }, "Tokens joined into one piece of a stream at most; 1 joins nothing. A key or a request may say otherwise."),
        new("batchDelay", new ConfigDuration(TimeSpan.Zero, TimeSpan.FromMilliseconds(BatchSettings.MaxDelayMs)), s => s.BatchDelay, (s, v) => s with { BatchDelay = (TimeSpan)v }, "Longest wait for them. The first token never waits, and none does while the model itself is slower."));

    private static readonly ConfigObjectType<RetryConfig> Retry = new(() => new RetryConfig(), ["budget"],
        new("maxRetries", new ConfigInteger(0, 10), r => (long)r.MaxRetries, (r, v) => r with { MaxRetries = (int)(long)v }, "Extra tries at one deployment before the next is asked."),
        new("baseDelay", new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(1)), r => r.BaseDelay, (r, v) => r with { BaseDelay = (TimeSpan)v }, "Wait before the first retry; it doubles, with jitter."),
        new("maxDelay", new ConfigDuration(TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(5)), r => r.MaxDelay, (r, v) => r with { MaxDelay = (TimeSpan)v }, "Longest wait; a provider that asks for more is left for the next one."));

    private static readonly ConfigObjectType<AuditConfig> Audit = new(() => new AuditConfig(), ["content"],
        new("durability", new ConfigChoice("spool", "fsync"), a => a.Durability == AuditDurability.Fsync ? "fsync" : "spool", (a, v) => a with { Durability = (string)v == "fsync" ? AuditDurability.Fsync : AuditDurability.Spool }, "What a record must survive before the answer's last byte leaves: the death of the process (spool) or of the machine (fsync)."),
        new("retention", new ConfigDuration(TimeSpan.FromDays(1), TimeSpan.FromDays(36500)) { Unbounded = true }, a => a.Retention, (a, v) => a with { Retention = (TimeSpan)v == TimeSpan.MaxValue ? null : (TimeSpan)v }, "How long records are kept."));

    private static readonly ConfigObjectType<ServerConfig> Server = new(() => new ServerConfig(), None,
        new("trustedProxies", new ConfigListType<System.Net.IPNetwork>(new ConfigNetwork()), s => s.TrustedProxies, (s, v) => s with { TrustedProxies = (IReadOnlyList<System.Net.IPNetwork>)v }, "Addresses or networks of the proxies in front of the server. Only their `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are believed; everybody else's are ignored."),
        new("corsOrigins", new ConfigListType<string>(new ConfigOriginName()), s => s.CorsOrigins, (s, v) => s with { CorsOrigins = (IReadOnlyList<string>)v }, "Origins whose pages may call the API from a browser; `\"*\"` for all."));

    private static readonly ConfigObjectType<TelemetryConfig> Telemetry = new(() => new TelemetryConfig(), None,
        new("otlpEndpoint", new ConfigUrl(), t => t.OtlpEndpoint, (t, v) => t with { OtlpEndpoint = (string)v }, "Where traces and metrics are sent by OTLP; nowhere when left out. `OTEL_EXPORTER_OTLP_ENDPOINT` sets it too."),
        new("metricsKey", Secret, t => t.MetricsKey, (t, v) => t with { MetricsKey = (string)v }, "Key that `GET /metrics` asks for, as `Authorization: Bearer`; nobody is asked when left out. Best written as ${NAME}."));

    private static readonly ConfigObjectType<StorageConfig> Storage = new(() => new StorageConfig(), None,
        new("provider", new ConfigChoice(StorageConfig.Sqlite, StorageConfig.Postgres), s => s.Provider, (s, v) => s with { Provider = (string)v }, "`postgres` when there is a connection string, else `sqlite`: one file in `dataDirectory`."),
        new("connectionString", new ConfigPostgres(), s => s.ConnectionString, (s, v) => s with { ConnectionString = (string)v }, "PostgreSQL 13 or later, as `postgres://user:password@host/database` or in keywords (`Host=…;Database=…;Username=…`); best written as ${NAME}."));

    private static readonly ConfigObjectType<WebhooksConfig> Webhooks = new(() => new WebhooksConfig(), None,
        new("allowedNetworks", new ConfigListType<System.Net.IPNetwork>(new ConfigNetwork()), w => w.AllowedNetworks, (w, v) => w with { AllowedNetworks = (IReadOnlyList<System.Net.IPNetwork>)v }, "Networks that are not public in which receivers may be, on any port; best only those that hold nothing else."),
        new("allowHttp", Switch, w => w.AllowHttp, (w, v) => w with { AllowHttp = (bool)v }, "Whether receivers may be spoken to without TLS."));

    /// <summary>Everything below <c>fairlead:</c>.</summary>
    public static readonly ConfigObjectType<GatewayConfiguration> Fairlead = new(() => new GatewayConfiguration(),
        ["redis", "limits", "cache", "coalescing", "scheduling", "contentPolicy", "prompts", "flags", "versions", "batches", "console", "oidc", "organizations", "projects", "keys"],
        new("dataDirectory", Text, c => c.DataDirectory, (c, v) => c with { DataDirectory = (string)v }, "Folder of everything kept on disk. `FAIRLEAD_DATA` sets it too."),
        new("storage", Storage, c => c.Storage, (c, v) => c with { Storage = (StorageConfig)v }, "The database of keys, audit and usage."),
        new("server", Server, c => c.Server, (c, v) => c with { Server = (ServerConfig)v }, "How clients reach the server."),
        new("publicUrl", new ConfigUrl(), c => c.PublicUrl, (c, v) => c with { PublicUrl = (string)v }, "Address by which clients reach this server, for links in answers (`doc_url`); what each request names when left out. State it behind a proxy."),
        new("drainTimeout", new ConfigDuration(TimeSpan.Zero, TimeSpan.FromHours(1)), c => c.DrainTimeout, (c, v) => c with { DrainTimeout = (TimeSpan)v }, "How long open calls may go on after SIGTERM."),
        new("providers", new ConfigMapType<ProviderConfig>(Provider, "provider"), c => c.Providers, (c, v) => c with { Providers = (IReadOnlyDictionary<string, ProviderConfig>)v }, "Companies and servers that have models."),
        new("models", new ConfigMapType<ModelConfig>(Model, "model"), c => c.Models, (c, v) => c with { Models = (IReadOnlyDictionary<string, ModelConfig>)v }, "Names that clients send. A model of the catalogue needs only its name."),
        new("requests", Requests, c => c.Requests, (c, v) => c with { Requests = (RequestBounds)v }, "What a single request may be at most."),
        new("jobs", Jobs, c => c.Jobs, (c, v) => c with { Jobs = (JobsConfig)v }, "Generations that outlive their request."),
        new("files", Files, c => c.Files, (c, v) => c with { Files = (FilesConfig)v }, "Files that callers upload, and those that batches make."),
        new("stream", Stream, c => c.Stream, (c, v) => c with { Stream = (StreamConfig)v }, "Streams."),
        new("idempotency", Idempotency, c => c.Idempotency, (c, v) => c with { Idempotency = (IdempotencyConfig)v }, "Requests that may be repeated by an `Idempotency-Key`."),
        new("retry", Retry, c => c.Retry, (c, v) => c with { Retry = (RetryConfig)v }, "Repeating what failed."),
        new("webhooks", Webhooks, c => c.Webhooks, (c, v) => c with { Webhooks = (WebhooksConfig)v }, "What callers are told by requests to servers of theirs."),
        new("audit", Audit, c => c.Audit, (c, v) => c with { Audit = (AuditConfig)v }, "The record of every call."),
        new("telemetry", Telemetry, c => c.Telemetry, (c, v) => c with { Telemetry = (TelemetryConfig)v }, "Traces and metrics."));

    /// <summary>The whole file.</summary>
    public static readonly ConfigObjectType<GatewayConfiguration> Root = new(() => new GatewayConfiguration(), None,
        new("fairlead", Fairlead, _ => null, (_, v) => (GatewayConfiguration)v, "Settings of Fairlead."),
        new("$schema", Text, _ => null, (c, _) => c, "Address of this schema, for editors."));

    private static ConfigObjectType<ProviderTimeouts> TimeoutsFrom(Func<ProviderTimeouts> seed) => new(seed, None,
        new("connect", Wait, t => t.Connect, (t, v) => t with { Connect = (TimeSpan)v }, "TCP and TLS."),
        new("firstToken", Wait, t => t.FirstToken, (t, v) => t with { FirstToken = (TimeSpan)v }, "From the request to the first content of a stream."),
        new("streamIdle", Wait, t => t.StreamIdle, (t, v) => t with { StreamIdle = (TimeSpan)v }, "Between two pieces of a stream."),
        new("response", Wait, t => t.Response, (t, v) => t with { Response = (TimeSpan)v }, "The whole response of an attempt that is not streamed. Keep it below `total`, so that another deployment can still be tried."),
        new("total", Wait, t => t.Total, (t, v) => t with { Total = (TimeSpan)v }, "The whole attempt."));
}
