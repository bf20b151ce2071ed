namespace Fairlead.Configuration;

/// <summary>
/// The whole configuration at one moment: checked, and with defaults. Each slice declares its section with its keys, and adds the property
/// that reads it, so that this folder refers to no slice. Immutable; thread-safe.
/// </summary>
internal sealed record GatewayConfiguration
{
    private object?[] Sections { get; init; } = [];

    /// <summary>Folder of everything that is stored on disk. Default <c>./data</c>.</summary>
    public string DataDirectory { get; init; } = "./data";

    /// <summary>Address by which clients reach this server, without a trailing slash; null for the address of each request.</summary>
    public string? PublicUrl { get; init; }

    /// <summary>How long open calls may continue after SIGTERM. Default 30 s.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The section of a slice; null for its defaults. It is read for every call, so it costs one array access.</summary>
    public T? Section<T>()
        where T : class
    {
        var slot = ConfigurationSlot<T>.Index;
        return slot < Sections.Length ? (T?)Sections[slot] : null;
    }

    /// <summary>The same configuration with another section.</summary>
    public GatewayConfiguration With<T>(T section)
        where T : class
    {
        var slot = ConfigurationSlot<T>.Index;
        var sections = new object?[Math.Max(Sections.Length, slot + 1)];
        Sections.CopyTo(sections, 0);
        sections[slot] = section;
        return this with { Sections = sections };
    }

    /// <summary>Declares the key of a section, for the reader, the schema and the documentation.</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="type">What may be written there.</param>
    /// <param name="read">Reads the section.</param>
    /// <param name="summary">One sentence for people.</param>
    /// <param name="needsRestart">Whether a change takes effect only at the next start.</param>
    public static ConfigKey<GatewayConfiguration> Key<T>(
        string name, ConfigType type, Func<GatewayConfiguration, T> read, string summary, bool needsRestart = false)
        where T : class => new(name, type, read, (c, v) => c.With((T)v), summary) { NeedsRestart = needsRestart };
}
