using Fairlead.Configuration;

namespace Fairlead.Files;

/// <summary>Files that callers upload, and files that batches produce.</summary>
internal sealed record FilesConfig
{
    internal static readonly FilesConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<FilesConfig> Keys = new(() => new FilesConfig(), [],
        new("maxFileBytes", new ConfigSize(1024, 1L << 40), f => f.MaxFileBytes, (f, v) => f with { MaxFileBytes = (long)v },
            "Maximum size of one file. Input files of batches are limited to 200 MiB."),
        new("maxProjectBytes", new ConfigSize(1024, 1L << 50), f => f.MaxProjectBytes, (f, v) => f with { MaxProjectBytes = (long)v },
            "Maximum size of all files of a project together."),
        new("ttl", new ConfigDuration(TimeSpan.FromHours(1), TimeSpan.FromDays(365)), f => f.Ttl, (f, v) => f with { Ttl = (TimeSpan)v },
            "How long a file is stored if the upload does not say."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("files", Keys, c => c.Files,
        "Files that callers upload and files that batches produce.");

    /// <summary>Maximum size of one file. Default 512 MiB, as OpenAI; input files of batches are limited to 200 MiB.</summary>
    public long MaxFileBytes { get; init; } = 512L * 1024 * 1024;

    /// <summary>Maximum size of all files of a project together. Default 10 GiB.</summary>
    public long MaxProjectBytes { get; init; } = 10L * 1024 * 1024 * 1024;

    /// <summary>How long a file is stored if the upload does not say. Default 30 days.</summary>
    public TimeSpan Ttl { get; init; } = TimeSpan.FromDays(30);
}

/// <summary>The section in the whole configuration.</summary>
internal static class FilesConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Files that callers upload and files that batches produce.</summary>
        public FilesConfig Files => configuration.Section<FilesConfig>() ?? FilesConfig.Default;
    }
}
