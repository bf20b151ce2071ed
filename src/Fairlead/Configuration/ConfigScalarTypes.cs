using System.Globalization;
using System.Text.Json.Nodes;

namespace Fairlead.Configuration;

/// <summary>Text as it is.</summary>
internal sealed class ConfigText(bool secret = false) : ConfigScalarType
{
    public override bool IsSecret => secret;

    protected override string Expected(ConfigReadContext context) =>
        secret ? "the secret as ${NAME} and set that environment variable" : "text";

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = secret ? "The value has spaces, line breaks or other characters that a header cannot contain." : "The value is empty.";
        if (string.IsNullOrWhiteSpace(text)) return null;
        if (secret) return text.Any(c => c is < ' ' or > '~') ? null : text;
        problem = "The value contains a line break or another control character.";
        // YAML block scalars end with a line break.
        text = text.TrimEnd('\n');
        return text.Any(char.IsControl) ? null : text;
    }

    public override JsonObject Schema() => new() { ["type"] = "string", ["minLength"] = 1 };

    public override string Describe() => secret ? "secret" : "text";

    public override string? Format(object? value) => secret ? null : value as string;
}

/// <summary>One value of a fixed list.</summary>
internal sealed class ConfigChoice(params string[] words) : ConfigScalarType
{
    /// <summary>Whether the schema accepts other values too: editors use one schema for several versions and programs.</summary>
    public bool Extensible { get; init; }

    protected override string Expected(ConfigReadContext context) => "one of " + string.Join(", ", words);

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = Suggestion.For(text, words) is { } meant ? $"Unknown value; did you mean '{meant}'?" : "Unknown value.";
        return words.Contains(text, StringComparer.Ordinal) ? text : null;
    }

    public override JsonObject Schema()
    {
        var known = new JsonObject { ["enum"] = new JsonArray([.. words.Select(w => (JsonNode)w)]) };
        return Extensible ? new() { ["anyOf"] = new JsonArray(known, new JsonObject { ["type"] = "string" }) } : known;
    }

    public override string Describe() => "one of " + string.Join(", ", words.Select(w => $"`{w}`"));

    public override string? Format(object? value) => value as string;
}

/// <summary>true or false.</summary>
internal sealed class ConfigSwitch : ConfigScalarType
{
    protected override string Expected(ConfigReadContext context) => "true or false";

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "Not true or false.";
        return bool.TryParse(text, out var value) ? value : null;
    }

    public override JsonObject Schema() => new() { ["type"] = "boolean" };

    public override string Describe() => "`true` or `false`";

    public override string? Format(object? value) => value is bool on ? on ? "true" : "false" : null;
}

/// <summary>A whole number, read as <see cref="long"/>.</summary>
internal sealed class ConfigInteger(long min, long max) : ConfigScalarType
{
    protected override string Expected(ConfigReadContext context) =>
        string.Create(CultureInfo.InvariantCulture, $"a whole number from {min} to {max}");

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "Not an integer.";
        // People write large numbers in YAML as 1_000_000.
        if (!long.TryParse(text.Replace("_", "", StringComparison.Ordinal), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture,
            out var value))
        {
            return null;
        }
        problem = "Out of range.";
        return value < min || value > max ? null : value;
    }

    public override JsonObject Schema() => new() { ["type"] = "integer", ["minimum"] = min, ["maximum"] = max };

    public override string Describe() => string.Create(CultureInfo.InvariantCulture, $"whole number, {min:N0} to {max:N0}");

    public override string? Format(object? value) =>
        value is IFormattable number ? number.ToString(null, CultureInfo.InvariantCulture) : null;
}

/// <summary>A number, read as <see cref="decimal"/>.</summary>
internal sealed class ConfigNumber(decimal min, decimal max) : ConfigScalarType
{
    protected override string Expected(ConfigReadContext context) =>
        string.Create(CultureInfo.InvariantCulture, $"a number from {min} to {max}");

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "Not a number.";
        if (!decimal.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture,
            out var value))
        {
            return null;
        }
        problem = "Out of range.";
        return value < min || value > max ? null : value;
    }

    public override JsonObject Schema() => new() { ["type"] = "number", ["minimum"] = min, ["maximum"] = max };

    public override string Describe() => string.Create(CultureInfo.InvariantCulture, $"number, {min:N0} to {max:N0}");

    public override string? Format(object? value) =>
        value is IFormattable number ? number.ToString(null, CultureInfo.InvariantCulture) : null;
}

/// <summary>A number with the unit ms, s, m, h or d, read as <see cref="TimeSpan"/>.</summary>
internal sealed class ConfigDuration(TimeSpan min, TimeSpan max) : ConfigScalarType
{
    private static readonly (string Unit, double Milliseconds)[] Units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000),
        ("d", 86_400_000)];

    /// <summary>Whether the value <c>forever</c> is accepted, read as <see cref="TimeSpan.MaxValue"/>.</summary>
    public bool Unbounded { get; init; }

    protected override string Expected(ConfigReadContext context) =>
        $"a duration from {Text(min)} to {Text(max)}, such as 500ms, 10s, 2m, 1h or 7d" + (Unbounded ? ", or forever" : "");

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "";
        if (Unbounded && text == "forever") return TimeSpan.MaxValue;
        problem = "Not a duration: a number and a unit are expected.";
        var digits = text.AsSpan().TrimEnd("abcdefghijklmnopqrstuvwxyz");
        var unit = text[digits.Length..];
        if (!decimal.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)) return null;
        var known = Array.FindIndex(Units, u => u.Unit == unit);
        if (known < 0)
        {
            problem = unit.Length == 0 ? "The unit is missing." : "The unit is not known.";
            return null;
        }
        problem = "Out of range.";
        var milliseconds = (double)number * Units[known].Milliseconds;
        return milliseconds < min.TotalMilliseconds || milliseconds > max.TotalMilliseconds ? null
            : TimeSpan.FromMilliseconds(milliseconds);
    }

    public override JsonObject Schema() =>
        new() { ["type"] = "string", ["pattern"] = @"^(\d+(\.\d+)?(ms|s|m|h|d)" + (Unbounded ? "|forever)$" : ")$") };

    public override string Describe() => $"duration, {Text(min)} to {Text(max)}" + (Unbounded ? ", or `forever`" : "");

    public override string? Format(object? value) => value is TimeSpan { Ticks: > 0 } span ? Text(span) : Unbounded ? "forever" : null;

    private static string Text(TimeSpan span)
    {
        if (span == TimeSpan.Zero) return "0s";
        var milliseconds = span.TotalMilliseconds;
        var (unit, size) = Units.Last(u => milliseconds % u.Milliseconds == 0 || u.Milliseconds == 1);
        return (milliseconds / size).ToString(CultureInfo.InvariantCulture) + unit;
    }
}

/// <summary>Bytes, with an optional unit KiB, MiB, GiB, kB, MB or GB; read as <see cref="long"/>.</summary>
internal sealed class ConfigSize(long min, long max) : ConfigScalarType
{
    private static readonly (string Unit, long Bytes)[] Units =
        [("", 1), ("B", 1), ("kB", 1000), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("KiB", 1L << 10), ("MiB", 1L << 20),
            ("GiB", 1L << 30)];

    protected override string Expected(ConfigReadContext context) => $"a size from {Text(min)} to {Text(max)}, such as 512KiB or 32MiB";

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "Not a size: a number and a unit are expected.";
        var digits = text.AsSpan().TrimEnd("BkKMGi");
        var unit = text[digits.Length..];
        if (!decimal.TryParse(digits.TrimEnd(' '), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
        {
            return null;
        }
        var known = Array.FindIndex(Units, u => u.Unit == unit);
        if (known < 0) return null;
        problem = "Out of range.";
        if (number > max) return null;
        var bytes = (long)(number * Units[known].Bytes);
        return bytes < min || bytes > max ? null : bytes;
    }

    public override JsonObject Schema() => new()
    {
        ["anyOf"] = new JsonArray(
            new JsonObject { ["type"] = "string", ["pattern"] = @"^\d+(\.\d+)? ?(B|kB|KB|MB|GB|KiB|MiB|GiB)?$" },
            new JsonObject { ["type"] = "integer", ["minimum"] = min, ["maximum"] = max }),
    };

    public override string Describe() => $"size, {Text(min)} to {Text(max)}";

    public override string? Format(object? value) => value is long bytes ? Text(bytes) : null;

    private static string Text(long bytes)
    {
        if (bytes == 0) return "0";
        var (unit, size) = Units.Where(u => u.Unit is "B" or "KiB" or "MiB" or "GiB").Last(u => bytes % u.Bytes == 0);
        return (bytes / size).ToString(CultureInfo.InvariantCulture) + unit;
    }
}

/// <summary>A day or a moment with offset, read as <see cref="DateTimeOffset"/>.</summary>
internal sealed class ConfigDate : ConfigScalarType
{
    protected override string Expected(ConfigReadContext context) => "a date such as 2026-11-23 or 2026-11-23T12:00:00Z";

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "Not a date.";
        string[] formats = ["yyyy-MM-dd", "yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK"];
        return DateTimeOffset.TryParseExact(text, formats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var date)
            ? date : null;
    }

    public override JsonObject Schema() => new() { ["type"] = "string", ["pattern"] = @"^\d{4}-\d{2}-\d{2}(T.*)?$" };

    public override string Describe() => "date";
}

/// <summary>An absolute http or https address without credentials, query or fragment.</summary>
internal sealed class ConfigUrl : ConfigScalarType
{
    protected override string Expected(ConfigReadContext context) => "an address such as https://api.example.com/v1";

    protected override object? Parse(string text, ConfigReadContext context, out string problem)
    {
        problem = "Not an absolute http or https address.";
        if (!Uri.TryCreate(text, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https")
            || address.Host.Length == 0)
        {
            return null;
        }
        problem = "The address has a query or a fragment, which requests would lose.";
        if (address.Query.Length > 0 || address.Fragment.Length > 0) return null;
        return text.TrimEnd('/');
    }

    public override object? Read(ConfigNode node, string path, ConfigReadContext context)
    {
        // Reported here so that the error does not show the password as part of the value.
        if (node is ConfigScalar { Value: { } text } && Uri.TryCreate(text, UriKind.Absolute, out var address)
            && address.UserInfo.Length > 0)
        {
            context.Error(node, path, "(hidden)", "The address contains a user name or password.",
                "Put the credential into apiKey or headers.");
            return null;
        }
        return base.Read(node, path, context);
    }

    public override JsonObject Schema() => new() { ["type"] = "string", ["format"] = "uri" };

    public override string Describe() => "address";

    public override string? Format(object? value) => value as string;
}
