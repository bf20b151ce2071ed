using System.Globalization;
using System.Text;

namespace Fairlead.Configuration;

/// <summary>Result of reading: a configuration, or all errors.</summary>
/// <param name="Configuration">Null when there are errors.</param>
/// <param name="Errors">In the order of the file.</param>
/// <param name="Path">The file read; null when there was none.</param>
internal sealed record ConfigurationResult(GatewayConfiguration? Configuration, IReadOnlyList<ConfigurationError> Errors, string? Path);

/// <summary>Reads all sources into one checked configuration. Holds no state; thread-safe.</summary>
internal static class ConfigurationReader
{
    /// <summary>A larger file is not a configuration.</summary>
    internal const int MaxFileBytes = 4 * 1024 * 1024;

    /// <summary>Reads the file and all other sources.</summary>
    public static ConfigurationResult Read(ConfigurationInput input, ConfigKeys keys)
    {
        ArgumentNullException.ThrowIfNull(input);
        var errors = new List<ConfigurationError>();
        var path = input.Locate(errors);
        byte[]? content = null;
        if (path is not null && !TryReadFile(path, out content, out var error)) errors.Add(error!);
        return Read(input, keys, path, content, errors);
    }

    /// <summary>The same, with the content of the file.</summary>
    internal static ConfigurationResult Read(ConfigurationInput input, ConfigKeys keys, string? path, byte[]? content,
        List<ConfigurationError>? found = null)
    {
        var errors = found ?? [];
        var name = path is null ? "" : System.IO.Path.GetFileName(path);
        var root = content is null ? null : ConfigFileParser.Parse(name, DecodeText(content), errors);
        if (root is not null && input.StoreOnly) KeepStore(root);
        root = root is null ? new ConfigMap(default) : (ConfigMap)EnvironmentReferences.Replace(root, "", input.Environment, errors);

        Overlay(root, input, keys);
        if (input.StoreOnly) KeepStore(root);
        else if (root.Section("fairlead") is { } fairlead)
        {
            foreach (var rules in keys.Rules) rules.AddFromEnvironment(fairlead, input.Environment);
        }

        var context = new ConfigReadContext(errors);
        var configuration = (GatewayConfiguration?)keys.Root.Read(root, "", context);
        if (configuration is not null)
        {
            foreach (var error in keys.Rules.SelectMany(rules => rules.Check(configuration))) Add(error);
        }
        // Check what could be read even if there are errors already, so that all errors are listed at once. A file that cannot be parsed
        // has nothing to check.
        if (configuration is not null && !errors.Exists(error => error.Key == "(file)"))
        {
            configuration = keys.Rules.Aggregate(configuration, (current, rules) => rules.Complete(current));
            foreach (var check in input.Checks)
            {
                foreach (var error in check(configuration).ToArray()) Add(error);
            }
        }
        return new(errors.Count == 0 ? configuration : null, [.. errors.OrderBy(f => f.Line ?? int.MaxValue)], path);

        void Add(ConfigurationError error)
        {
            if (!context.IsKnown(error)) errors.Add(context.Locate(error));
        }
    }

    // Commands on the database need no other settings. Those may be wrong or refer to variables that are not set here.
    private static void KeepStore(ConfigMap root)
    {
        foreach (var (name, node) in root.Entries.ToArray())
        {
            if (name != "fairlead") root.Remove(name);
            else if (node is ConfigMap fairlead)
            {
                foreach (var (key, value) in fairlead.Entries.ToArray())
                {
                    // Of the audit only the file of its key, which belongs to the store.
                    if (key == "audit" && value is ConfigMap audit)
                        foreach (var (other, _) in audit.Entries.Where(e => e.Key != "keyFile").ToArray()) audit.Remove(other);
                    else if (key is not ("dataDirectory" or "storage")) fairlead.Remove(key);
                }
            }
        }
    }

    internal static bool TryReadFile(string path, out byte[]? content, out ConfigurationError? error)
    {
        content = null;
        error = null;
        var shown = System.IO.Path.GetFileName(path);
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > MaxFileBytes })
            {
                error = new("(file)", path, "The configuration file is larger than 4 MiB.",
                    "Check that it is the right file.") { Source = shown };
                return false;
            }
            content = File.ReadAllBytes(path);
            return true;
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            error = new("(file)", path, "The configuration file does not exist.",
                "Check FAIRLEAD_CONFIG or the path given.") { Source = shown };
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            error = new("(file)", path, "The configuration file cannot be read.",
                "Check that it is a file and that this user may read it.") { Source = shown };
        }
        return false;
    }

    private static string DecodeText(byte[] content)
    {
        using var reader = new StreamReader(new MemoryStream(content), Encoding.UTF8, detectEncodingFromByteOrderMarks: true);
        return reader.ReadToEnd();
    }

    private static void Overlay(ConfigMap root, ConfigurationInput input, ConfigKeys keys)
    {
        if (input.Settings is { } settings)
        {
            foreach (var section in settings.GetSection("Fairlead").GetChildren().SelectMany(Leaves))
            {
                Put(root, keys.Root, section.Path.Split(':'), section.Value!, new("settings of the program"));
            }
        }
        // In a fixed order, so that list items are ordered by index and the result does not depend on the system.
        foreach (var (name, value) in input.Environment.OrderBy(e => e.Key, StringComparer.Ordinal))
        {
            if (value.Length > 0 && name.StartsWith("Fairlead__", StringComparison.OrdinalIgnoreCase))
            {
                Put(root, keys.Root, name.Split("__"), value, new(name));
            }
        }
        if (input.Environment.TryGetValue("FAIRLEAD_DATA", out var data) && data.Length > 0)
        {
            Put(root, keys.Root, ["fairlead", "dataDirectory"], data, new("FAIRLEAD_DATA"));
        }

        static IEnumerable<Microsoft.Extensions.Configuration.IConfigurationSection> Leaves(
            Microsoft.Extensions.Configuration.IConfigurationSection section) =>
            section.Value is not null ? [section] : section.GetChildren().SelectMany(Leaves);
    }

    // Environment variables have names in any case; the table gives the canonical case. A value of the wrong shape stays and is reported.
    private static ConfigNode Put(ConfigNode? node, ConfigType? type, ReadOnlySpan<string> segments, string value, ConfigOrigin origin)
    {
        if (segments.IsEmpty) return new ConfigScalar(value, origin);
        var isIndex = int.TryParse(segments[0], NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < 1000;
        if (isIndex && (type is ConfigListType || (type is ConfigOneOrMany && node is null or ConfigList or ConfigScalar { Value: null })))
        {
            var items = node is ConfigList list ? list.Items.ToList() : [];
            while (items.Count <= index) items.Add(new ConfigScalar(null, origin));
            items[index] = Put(items[index], type.Item, segments[1..], value, origin);
            return new ConfigList(items, origin);
        }
        // A section that is switched on in one word can get keys as well.
        if (node is not (null or ConfigMap or ConfigScalar { Value: null }) && !(type is ConfigSwitchedSection && node is ConfigScalar))
            return node;
        // Without an index, the one section is meant.
        if (type is ConfigOneOrMany) type = type.Item;
        var map = node as ConfigMap ?? new ConfigMap(origin);
        var segment = segments[0];
        var section = type as ConfigObjectType ?? (type as ConfigSwitchedSection)?.Section;
        var key = section?.Keys.FirstOrDefault(k => string.Equals(k.Name, segment, StringComparison.OrdinalIgnoreCase)
            || string.Equals(k.Alias, segment, StringComparison.OrdinalIgnoreCase));
        // The file may have either name; the value replaces it.
        var name = key?.Alias is { } alias && map.Find(alias) is not null ? alias : key?.Name ?? segment;
        map.Set(name, Put(map.Find(name, StringComparison.OrdinalIgnoreCase), key?.Type ?? type?.Item, segments[1..], value, origin));
        return map;
    }
}
