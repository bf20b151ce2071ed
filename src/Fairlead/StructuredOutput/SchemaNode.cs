using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Fairlead.StructuredOutput;

/// <summary>One schema of JSON Schema 2020-12, ready to check values with. Immutable once compiled; thread-safe.</summary>
internal sealed partial class SchemaNode
{
    /// <summary>Accepts every value.</summary>
    public static readonly SchemaNode Anything = new();

    /// <summary>Accepts no value.</summary>
    public static readonly SchemaNode Never = new() { IsNever = true };

    private const int MaxBranches = 64;

    /// <summary>Maximum schemas that are followed from one to the next without a step into the value.</summary>
    private const int MaxDepth = 200;

    public bool IsNever { get; private init; }

    public SchemaNode? Reference { get; set; }

    public IReadOnlyList<string> Types { get; set; } = [];

    public IReadOnlyDictionary<string, SchemaNode> Properties { get; set; } = new Dictionary<string, SchemaNode>();

    public IReadOnlyList<string> Required { get; set; } = [];

    // Not a field initializer, which would be missing in Anything itself.
    public SchemaNode Additional { get => field ?? Anything; set; }

    public int? MinProperties { get; set; }

    public int? MaxProperties { get; set; }

    public IReadOnlyList<SchemaNode> Prefix { get; set; } = [];

    public SchemaNode Items { get => field ?? Anything; set; }

    public int? MinItems { get; set; }

    public int? MaxItems { get; set; }

    /// <summary>Values of <c>enum</c>, or that of <c>const</c>; null for any.</summary>
    public IReadOnlyList<JsonElement>? Values { get; set; }

    public IReadOnlyList<SchemaNode> AnyOf { get; set; } = [];

    public IReadOnlyList<SchemaNode> OneOf { get; set; } = [];

    public IReadOnlyList<SchemaNode> AllOf { get; set; } = [];

    public decimal? Minimum { get; set; }

    public decimal? Maximum { get; set; }

    public decimal? ExclusiveMinimum { get; set; }

    public decimal? ExclusiveMaximum { get; set; }

    public decimal? MultipleOf { get; set; }

    public int? MinLength { get; set; }

    public int? MaxLength { get; set; }

    public SchemaPattern? Pattern { get; set; }

    public string? Format { get; set; }

    /// <summary>Schemas that also apply to a value of this one, without a step into it.</summary>
    public IEnumerable<SchemaNode> AtOneValue()
    {
        if (Reference is not null) yield return Reference;
        foreach (var one in AllOf) yield return one;
        foreach (var one in AnyOf) yield return one;
        foreach (var one in OneOf) yield return one;
    }

    /// <summary>The schema for a value one step inside a value of this schema.</summary>
    /// <param name="step">From a schema to that of its member or item; null when it has none there.</param>
    /// <param name="budget">Its cost is subtracted.</param>
    public SchemaNode Inside(Func<SchemaNode, SchemaNode?> step, ref int budget)
    {
        var known = new Dictionary<SchemaNode, SchemaNode>();
        var inside = Inside(step, known, 0);
        budget -= known.Count;
        return inside;
    }

    // Each schema is asked once. One that refers back to itself without a step accepts nothing; so does one that is too deep for the stack.
    private SchemaNode Inside(Func<SchemaNode, SchemaNode?> step, Dictionary<SchemaNode, SchemaNode> known, int depth)
    {
        if (IsNever || depth > MaxDepth) return Never;
        if (known.TryGetValue(this, out var answer)) return answer;
        known[this] = Never;
        return known[this] = Combine(step, known, depth + 1);
    }

    private SchemaNode Combine(Func<SchemaNode, SchemaNode?> step, Dictionary<SchemaNode, SchemaNode> known, int depth)
    {
        var own = step(this) ?? Never;
        if (Reference is null && AnyOf.Count == 0 && OneOf.Count == 0 && AllOf.Count == 0) return own;
        var all = new HashSet<SchemaNode> { own };
        if (Reference is not null) all.Add(Reference.Inside(step, known, depth));
        foreach (var one in AllOf) all.Add(one.Inside(step, known, depth));
        if (AnyOf.Count > 0) all.Add(Either(AnyOf, step, known, depth));
        if (OneOf.Count > 0) all.Add(Either(OneOf, step, known, depth));
        all.Remove(Anything);
        if (all.Any(one => one.IsNever)) return Never;
        return all.Count switch { 0 => Anything, 1 => all.First(), _ => new SchemaNode { AllOf = [.. all] } };
    }

    private static SchemaNode Either(
        IReadOnlyList<SchemaNode> branches, Func<SchemaNode, SchemaNode?> step, Dictionary<SchemaNode, SchemaNode> known, int depth)
    {
        var any = new HashSet<SchemaNode>();
        foreach (var branch in branches) any.Add(branch.Inside(step, known, depth));
        any.RemoveWhere(one => one.IsNever);
        // Too many to follow: nothing is returned before the end, when the whole is checked.
        if (any.Count > MaxBranches) return Never;
        if (any.Contains(Anything)) return Anything;
        return any.Count switch { 0 => Never, 1 => any.First(), _ => new SchemaNode { AnyOf = [.. any] } };
    }

    /// <summary>The schema for a member of an object of this schema; null when it has none of that name.</summary>
    public SchemaNode? Member(string name) => Properties.TryGetValue(name, out var property) ? property : Additional.IsNever ? null
        : Additional;

    /// <summary>The same for an array's item.</summary>
    public SchemaNode? Item(int index) => index < Prefix.Count ? Prefix[index] : Items.IsNever ? null : Items;

    /// <summary>
    /// Whether the value satisfies the schema. Also false when that would cost more than <paramref name="budget"/>, from which the cost is
    /// subtracted.
    /// </summary>
    public bool Accepts(JsonElement value, ref int budget)
    {
        var check = new SchemaCheck(1, budget);
        Check(value, null, check);
        budget -= check.Steps;
        return check.Violations.Count == 0;
    }

    public void Check(JsonElement value, OutputLocation? at, SchemaCheck check)
    {
        if (!check.Enter()) return;
        CheckAll(value, at, check);
        check.Leave();
    }

    private void CheckAll(JsonElement value, OutputLocation? at, SchemaCheck check)
    {
        if (IsNever)
        {
            check.Add(at, "No value is allowed here.");
            return;
        }
        Reference?.Check(value, at, check);
        if (Types.Count > 0 && !Types.Any(type => Is(value, type)))
        {
            check.Add(at, $"It is {Named(value)}, not {string.Join(" or ", Types.Select(WithArticle))}.");
            // A value of another type violates every rule of this one; one message is enough.
            return;
        }
        if (Values is { } values && !IsOneOf(values, value, check))
            check.Add(at, values.Count == 1 ? "It is not the only allowed value." : "It is not one of the allowed values.");
        switch (value.ValueKind)
        {
            case JsonValueKind.Object: CheckObject(value, at, check); break;
            case JsonValueKind.Array: CheckArray(value, at, check); break;
            case JsonValueKind.String: CheckText(value, at, check); break;
            case JsonValueKind.Number: CheckNumber(value, at, check); break;
        }
        foreach (var all in AllOf) all.Check(value, at, check);
        if (AnyOf.Count > 0 && Matches(AnyOf, value, at, check, 1) == 0) check.Add(at, "It satisfies none of the schemas of 'anyOf'.");
        if (OneOf.Count > 0 && Matches(OneOf, value, at, check, 2) is not 1 and var matches)
        {
            check.Add(at, matches == 0 ? "It satisfies none of the schemas of 'oneOf'."
                : "It satisfies more than one of the schemas of 'oneOf'.");
        }
    }

    private static int Matches(IReadOnlyList<SchemaNode> branches, JsonElement value, OutputLocation? at, SchemaCheck check, int enough)
    {
        var matches = 0;
        foreach (var branch in branches)
        {
            var trial = check.Trial();
            branch.Check(value, at, trial);
            check.Take(trial);
            if (trial.Violations.Count == 0 && ++matches == enough) break;
        }
        return matches;
    }

    private void CheckObject(JsonElement value, OutputLocation? at, SchemaCheck check)
    {
        var count = 0;
        // Looking up each of them would go through all members every time.
        var names = Required.Count > 8 ? new HashSet<string>(StringComparer.Ordinal) : null;
        foreach (var member in value.EnumerateObject())
        {
            count++;
            names?.Add(member.Name);
            var here = new OutputLocation(at, member.Name, count - 1);
            if (Member(member.Name) is { } schema) schema.Check(member.Value, here, check);
            else check.Add(here, "The property is not allowed.");
        }
        if (!check.Spend(count / 16 + Required.Count)) return;
        foreach (var name in Required)
        {
            if (!(names?.Contains(name) ?? value.TryGetProperty(name, out _))) check.Add(at, $"The property '{Shown(name)}' is missing.");
        }
        if (count < MinProperties)
        {
            check.Add(at, string.Create(CultureInfo.InvariantCulture,
                $"It has {count} properties; at least {MinProperties} are required."));
        }

        if (count > MaxProperties)
            check.Add(at, string.Create(CultureInfo.InvariantCulture, $"It has {count} properties; at most {MaxProperties} are allowed."));
    }

    private void CheckArray(JsonElement value, OutputLocation? at, SchemaCheck check)
    {
        var index = 0;
        foreach (var item in value.EnumerateArray())
        {
            var here = new OutputLocation(at, null, index);
            if (Item(index++) is { } schema) schema.Check(item, here, check);
            else check.Add(here, "The item is not allowed.");
        }
        if (index < MinItems)
            check.Add(at, string.Create(CultureInfo.InvariantCulture, $"It has {index} items; at least {MinItems} are required."));
        if (index > MaxItems)
            check.Add(at, string.Create(CultureInfo.InvariantCulture, $"It has {index} items; at most {MaxItems} are allowed."));
    }

    private void CheckText(JsonElement json, OutputLocation? at, SchemaCheck check)
    {
        // A caller may have one text examined by every schema of a large one. It is read even without a rule for it: text with half a
        // surrogate pair is not JSON.
        if (!check.Spend(JsonMarshal.GetRawUtf8Value(json).Length / 16)) return;
        var value = json.GetString()!;
        if (MinLength is not null || MaxLength is not null)
        {
            var length = 0;
            foreach (var _ in value.EnumerateRunes()) length++;
            if (length < MinLength)
            {
                check.Add(at, string.Create(CultureInfo.InvariantCulture,
                    $"It has {length} characters; at least {MinLength} are required."));
            }

            if (length > MaxLength)
                check.Add(at, string.Create(CultureInfo.InvariantCulture, $"It has {length} characters; at most {MaxLength} are allowed."));
        }
        if (Pattern is { } pattern) CheckPattern(pattern, value, at, check);
        if (Format is { } format && !IsOf(format, value)) check.Add(at, $"It does not have the format '{format}'.");
    }

    private static void CheckPattern(SchemaPattern pattern, string value, OutputLocation? at, SchemaCheck check)
    {
        // Matching takes a step for each letter, or one for each letter and state.
        if (!check.Spend((int)Math.Min(int.MaxValue, (long)value.Length * pattern.Size / 256))) return;
        switch (pattern.IsMatch(value))
        {
            case false: check.Add(at, "It does not match the pattern."); break;
            case null: check.GiveUp(); break;
        }
    }

    private void CheckNumber(JsonElement value, OutputLocation? at, SchemaCheck check)
    {
        if (Minimum is null && Maximum is null && ExclusiveMinimum is null && ExclusiveMaximum is null && MultipleOf is null) return;
        if (!value.TryGetDecimal(out var number))
        {
            // A number beyond the range of decimal is beyond every limit that can be stated.
            var large = value.TryGetDouble(out var any) && any < 0 ? decimal.MinValue : decimal.MaxValue;
            number = large;
        }
        if (number < Minimum) check.Add(at, string.Create(CultureInfo.InvariantCulture, $"It is less than {Minimum}."));
        if (number > Maximum) check.Add(at, string.Create(CultureInfo.InvariantCulture, $"It is more than {Maximum}."));
        if (number <= ExclusiveMinimum)
            check.Add(at, string.Create(CultureInfo.InvariantCulture, $"It is not more than {ExclusiveMinimum}."));
        if (number >= ExclusiveMaximum)
            check.Add(at, string.Create(CultureInfo.InvariantCulture, $"It is not less than {ExclusiveMaximum}."));
        if (MultipleOf is { } step && number % step != 0)
            check.Add(at, string.Create(CultureInfo.InvariantCulture, $"It is not a multiple of {step}."));
    }

    private static bool IsOneOf(IReadOnlyList<JsonElement> values, JsonElement value, SchemaCheck check)
    {
        var length = JsonMarshal.GetRawUtf8Value(value).Length / 16;
        foreach (var one in values)
        {
            if (!check.Spend(1 + (one.ValueKind == value.ValueKind ? Math.Min(length, JsonMarshal.GetRawUtf8Value(one).Length / 16) : 0)))
                return true;
            if (JsonElement.DeepEquals(one, value)) return true;
        }
        return false;
    }

    private static bool Is(JsonElement value, string type) => type switch
    {
        "object" => value.ValueKind == JsonValueKind.Object,
        "array" => value.ValueKind == JsonValueKind.Array,
        "string" => value.ValueKind == JsonValueKind.String,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "null" => value.ValueKind == JsonValueKind.Null,
        "number" => value.ValueKind == JsonValueKind.Number,
        // 1.0 is an integer too (JSON Schema 2020-12, validation 6.1.1).
        _ => value.ValueKind == JsonValueKind.Number
            && (value.TryGetDecimal(out var number) ? decimal.Truncate(number) == number : value.TryGetDouble(out var large)
            && Math.Truncate(large) == large),
    };

    private static bool IsOf(string format, string value) => format switch
    {
        "date-time" => DateTime().IsMatch(value)
            && DateTimeOffset.TryParse(value, CultureInfo.InvariantCulture, DateTimeStyles.None, out _),
        "date" => DateOnly.TryParseExact(value, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out _),
        "time" => Time().IsMatch(value),
        "duration" => Duration().IsMatch(value) && value[^1] is not ('P' or 'T'),
        "email" => Email().IsMatch(value),
        "hostname" => Uri.CheckHostName(value) == UriHostNameType.Dns,
        "ipv4" => IPAddress.TryParse(value, out var four) && four.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork
            && value.Count('.') == 3,
        "ipv6" => IPAddress.TryParse(value, out var six) && six.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6,
        "uuid" => Guid.TryParseExact(value, "D", out _),
        // Other formats are annotations (JSON Schema 2020-12, validation 7.2).
        _ => true,
    };

    private static string Named(JsonElement value) => WithArticle(value.ValueKind switch
    {
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        JsonValueKind.Number => "number",
        JsonValueKind.Null => "null",
        _ => "boolean",
    });

    private static string WithArticle(string type) => type switch
    {
        "null" => "null",
        "object" or "array" or "integer" => "an " + type,
        _ => "a " + type,
    };

    public static string Under(string at, string name) => $"{at}/{Escaped(name)}";

    /// <summary>A name as a step of a JSON Pointer (RFC 6901).</summary>
    public static string Escaped(string name) => name.Replace("~", "~0", StringComparison.Ordinal)
        .Replace("/", "~1", StringComparison.Ordinal);

    private static string Shown(string name) => name.Length > 64 ? name[..64] + "…" : name;

    [GeneratedRegex(@"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\z")]
    private static partial Regex DateTime();

    [GeneratedRegex(@"^([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)?\z")]
    private static partial Regex Time();

    [GeneratedRegex(@"^P(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)\z")]
    private static partial Regex Duration();

    [GeneratedRegex(@"^[^@\s]+@[^@\s]+\z")]
    private static partial Regex Email();
}
