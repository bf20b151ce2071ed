using System.Globalization;
using System.Text;

namespace Fairlead.Configuration;

/// <summary>What came of reading: a configuration, or all faults.</summary>
/// <param name="Configuration">Null when there are faults.</param>
/// <param name="Faults">In the order of the file.</param>
/// <param name="Path">The file read; null when there was none.</param>
internal sealed record ConfigurationResult(GatewayConfiguration? Configuration, IReadOnlyList<ConfigurationFault> Faults, string? Path);

/// <summary>Reads all sources into one checked configuration. Holds no state; thread-safe.</summary>
internal static class ConfigurationReader
{
    /// <summary>A configuration is read by people; a larger file is another file.</summary>
    internal const int MaxFileBytes = 4 * 1024 * 1024;

    /// <summary>Reads the file and all other sources.</summary>
    public static ConfigurationResult Read(ConfigurationInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var faults = new List<ConfigurationFault>();
        var path = input.Locate(faults);
        byte[]? content = null;
        if (path is not null && !TryReadFile(path, out content, out var fault)) faults.Add(fault!);
        return Read(input, path, content, faults);
    }

    /// <summary>The same, with the file's content at hand.</summary>
    internal static ConfigurationResult Read(ConfigurationInput input, string? path, byte[]? content, List<ConfigurationFault>? found = null)
    {
        var faults = found ?? [];
        var name = path is null ? "" : System.IO.Path.GetFileName(path);
        var root = content is null ? null : ConfigFileParser.Parse(name, DecodeText(content), faults);
        if (root is not null && input.StoreOnly) KeepStore(root);
        root = root is null ? new ConfigMap(default) : (ConfigMap)EnvironmentReferences.Replace(root, "", input.Environment, faults);

        Overlay(root, input);
        if (input.StoreOnly) KeepStore(root);
        else Underlay(root, input.Environment);

        var context = new ConfigReadContext(faults, input.ExtraProviderKinds);
        var configuration = (GatewayConfiguration?)ConfigKeys.Root.Read(root, "", context);
        // Not a required key of the table: a provider that a variable switched on has its kind already.
        foreach (var (provider, config) in configuration?.Providers ?? new Dictionary<string, ProviderConfig>())
        {
            if (config.Kind.Length == 0) Add(new($"fairlead.providers.{provider}.kind", null, "The key is required.", "Add 'kind', such as openai for every server with an OpenAI-compatible interface."));
        }
        switch (configuration?.Storage)
        {
            case { Provider: StorageConfig.Postgres, ConnectionString: null }:
                Add(new("fairlead.storage.connectionString", null, "The key is required for PostgreSQL.", "Add 'connectionString', such as postgres://user:password@host/database."));
                break;
            case { Provider: StorageConfig.Sqlite, ConnectionString: not null }:
                Add(new("fairlead.storage.connectionString", "(hidden)", "SQLite has no connection string.", "Remove it, or the provider; SQLite's file lies in dataDirectory."));
                break;
        }
        // Of what could be read when there are errors already: all of them are listed at once. A file that cannot be parsed has nothing to check.
        if (configuration is not null && !faults.Exists(fault => fault.Key == "(file)"))
        {
            configuration = Finish(configuration);
            foreach (var check in input.Checks)
            {
                foreach (var fault in check(configuration).ToArray()) Add(fault);
            }
        }
        return new(faults.Count == 0 ? configuration : null, [.. faults.OrderBy(f => f.Line ?? int.MaxValue)], path);

        void Add(ConfigurationFault fault)
        {
            if (!context.IsKnown(fault)) faults.Add(context.Locate(fault));
        }
    }

    // Commands on the store need nothing else of the file, whose other settings may be wrong or refer to variables that are not set here.
    private static void KeepStore(ConfigMap root)
    {
        foreach (var (name, node) in root.Entries.ToArray())
        {
            if (name != "fairlead") root.Remove(name);
            else if (node is ConfigMap fairlead) foreach (var (key, _) in fairlead.Entries.Where(e => e.Key is not ("dataDirectory" or "storage")).ToArray()) fairlead.Remove(key);
        }
    }

    internal static bool TryReadFile(string path, out byte[]? content, out ConfigurationFault? fault)
    {
        content = null;
        fault = null;
        var shown = System.IO.Path.GetFileName(path);
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > MaxFileBytes })
            {
                fault = new("(file)", path, "The configuration file is larger than 4 MiB.", "Check that it is the right file.") { Source = shown };
                return false;
            }
            content = File.ReadAllBytes(path);
            return true;
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            fault = new("(file)", path, "The configuration file does not exist.", "Check FAIRLEAD_CONFIG or the path given.") { Source = shown };
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            fault = new("(file)", path, "The configuration file cannot be read.", "Check that it is a file and that this user may read it.") { Source = shown };
        }
        return false;
    }

    private static string DecodeText(byte[] content)
    {
        using var reader = new StreamReader(new MemoryStream(content), Encoding.UTF8, detectEncodingFromByteOrderMarks: true);
        return reader.ReadToEnd();
    }

    private static void Overlay(ConfigMap root, ConfigurationInput input)
    {
        if (input.Settings is { } settings)
        {
            foreach (var section in settings.GetSection("Fairlead").GetChildren().SelectMany(Leaves))
            {
                Put(root, ConfigKeys.Root, section.Path.Split(':'), section.Value!, new("settings of the program"));
            }
        }
        // In a fixed order, so that list items come by their index and the outcome does not depend on the system.
        foreach (var (name, value) in input.Environment.OrderBy(e => e.Key, StringComparer.Ordinal))
        {
            if (value.Length > 0 && name.StartsWith("Fairlead__", StringComparison.OrdinalIgnoreCase)) Put(root, ConfigKeys.Root, name.Split("__"), value, new(name));
        }
        if (input.Environment.TryGetValue("FAIRLEAD_DATA", out var data) && data.Length > 0) Put(root, ConfigKeys.Root, ["fairlead", "dataDirectory"], data, new("FAIRLEAD_DATA"));

        static IEnumerable<Microsoft.Extensions.Configuration.IConfigurationSection> Leaves(Microsoft.Extensions.Configuration.IConfigurationSection section) =>
            section.Value is not null ? [section] : section.GetChildren().SelectMany(Leaves);
    }

    // Names of the environment come in any case; the table gives them their own. A value of the wrong shape stays, and is reported as such.
    private static ConfigNode Put(ConfigNode? node, ConfigType? type, ReadOnlySpan<string> segments, string value, ConfigOrigin origin)
    {
        if (segments.IsEmpty) return new ConfigScalar(value, origin);
        if (type is ConfigListType && int.TryParse(segments[0], NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < 1000)
        {
            var items = node is ConfigList list ? list.Items.ToList() : [];
            while (items.Count <= index) items.Add(new ConfigScalar(null, origin));
            items[index] = Put(items[index], type.Item, segments[1..], value, origin);
            return new ConfigList(items, origin);
        }
        if (node is not (null or ConfigMap or ConfigScalar { Value: null })) return node;
        var map = node as ConfigMap ?? new ConfigMap(origin);
        var segment = segments[0];
        var key = (type as ConfigObjectType)?.Keys.FirstOrDefault(k => string.Equals(k.Name, segment, StringComparison.OrdinalIgnoreCase));
        var name = key?.Name ?? segment;
        map.Set(name, Put(map.Find(name, StringComparison.OrdinalIgnoreCase), key?.Type ?? type?.Item, segments[1..], value, origin));
        return map;
    }

    // What the makers' variables switch on lies under the file. A provider that the file points elsewhere stands alone:
    // a key must not follow to an address its owner did not mean.
    private static void Underlay(ConfigMap root, IReadOnlyDictionary<string, string> environment)
    {
        var fairlead = Section(root, "fairlead");
        if (fairlead is null) return;
        if (Section(fairlead, "providers") is { } providers)
        {
            foreach (var (name, provider) in ProviderVariables.Read(environment))
            {
                var known = providers.Find(name);
                if (known is null or ConfigScalar { Value: null })
                {
                    // The file gave this credential to a provider of its own; a second one would offer the same models twice.
                    if (!ProviderVariables.IsUsed(name, provider, providers) || IsDeployed(fairlead, name)) providers.Set(name, provider);
                }
                else if (known is ConfigMap written && Agrees(written, provider, "kind") && Agrees(written, provider, "baseUrl"))
                {
                    foreach (var (key, value) in provider.Entries)
                    {
                        if (key == "apiKey" && written.Find("apiKeys") is not null) continue;
                        written.TryAdd(key, value);
                    }
                }
            }
        }
        if (environment.TryGetValue("OTEL_EXPORTER_OTLP_ENDPOINT", out var endpoint) && endpoint.Length > 0)
        {
            Section(fairlead, "telemetry")?.TryAdd("otlpEndpoint", new ConfigScalar(endpoint, new("OTEL_EXPORTER_OTLP_ENDPOINT")));
        }

        static bool IsDeployed(ConfigMap fairlead, string provider) =>
            fairlead.Find("models") is ConfigMap models
            && models.Entries.Any(model => model.Value is ConfigMap settings && settings.Find("deployments") is ConfigList deployments
                && deployments.Items.Any(one => one is ConfigMap deployment && deployment.Find("provider") is ConfigScalar { Value: { } name } && name == provider));

        static bool Agrees(ConfigMap written, ConfigMap known, string key) =>
            written.Find(key) is null
            || (written.Find(key) is ConfigScalar { Value: { } ours } && known.Find(key) is ConfigScalar { Value: { } theirs } && string.Equals(ours.TrimEnd('/'), theirs, StringComparison.Ordinal));

        static ConfigMap? Section(ConfigMap parent, string name)
        {
            var node = parent.Find(name);
            if (node is ConfigMap map) return map;
            if (node is not (null or ConfigScalar { Value: null })) return null;
            var made = new ConfigMap(node?.Origin ?? default);
            parent.Set(name, made);
            return made;
        }
    }

    private static GatewayConfiguration Finish(GatewayConfiguration configuration)
    {
        var providers = configuration.Providers.Where(p => p.Value.Enabled).ToDictionary(StringComparer.Ordinal);
        var models = configuration.Models.ToDictionary(m => m.Key, m => m.Value with { Deployments = [.. m.Value.Deployments.Select(Resolve)] }, StringComparer.Ordinal);
        var storage = configuration.Storage with { Provider = configuration.Storage.Provider ?? (configuration.Storage.ConnectionString is null ? StorageConfig.Sqlite : StorageConfig.Postgres) };
        return configuration with { Providers = providers, Models = models, Storage = storage };

        DeploymentConfig Resolve(DeploymentConfig deployment)
        {
            if (deployment.Timeouts is not { } own) return deployment;
            var inherited = providers.GetValueOrDefault(deployment.Provider)?.Timeouts ?? ProviderTimeouts.Default;
            return deployment with
            {
                Timeouts = new()
                {
                    Connect = Or(own.Connect, inherited.Connect),
                    FirstToken = Or(own.FirstToken, inherited.FirstToken),
                    StreamIdle = Or(own.StreamIdle, inherited.StreamIdle),
                    Response = Or(own.Response, inherited.Response),
                    Total = Or(own.Total, inherited.Total),
                },
            };
        }

        static TimeSpan Or(TimeSpan own, TimeSpan inherited) => own == TimeSpan.Zero ? inherited : own;
    }
}
