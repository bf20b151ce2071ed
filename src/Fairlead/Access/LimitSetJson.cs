using System.Buffers;
using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;

namespace Fairlead.Access;

/// <summary>
/// Writes and reads the limits object of the admin API, which is also its form in the database. Reading is a JSON merge patch (RFC 7396): a
/// member that is given replaces, null removes, and classes merge by class. No rule concerns more than one member, so that a patch whose
/// members are valid gives valid limits.
/// </summary>
internal static class LimitSetJson
{
    private const string Burst = "burst";
    private const string Elastic = "elastic";
    private const string ElasticMin = "min";
    private const string ElasticMax = "max";
    private const string Classes = "classes";

    private static readonly string[] ElasticMembers = [ElasticMin, ElasticMax];

    /// <summary>The members of a class.</summary>
    public static IReadOnlyList<string> ClassMembers { get; } = [.. LimitField.All.Select(field => field.Name), Burst, Elastic];

    /// <summary>The members of the whole object.</summary>
    public static IReadOnlyList<string> Members { get; } = [.. ClassMembers, Classes];

    /// <summary>Writes one object with the members that are set.</summary>
    public static void Write(Utf8JsonWriter json, LimitSet limits)
    {
        json.WriteStartObject();
        foreach (var field in LimitField.All)
        {
            if (field.Get(limits) is { } units) json.WriteNumber(field.Name, Money.Trim(field.Number.ToDecimal(units)));
        }
        if (limits.Burst is { } burst) json.WriteNumber(Burst, Money.Trim(burst));
        if (limits.Elastic is { } elastic)
        {
            json.WriteStartObject(Elastic);
            json.WriteNumber(ElasticMin, Money.Trim(elastic.Min));
            json.WriteNumber(ElasticMax, Money.Trim(elastic.Max));
            json.WriteEndObject();
        }
        if (limits.Classes.Count > 0)
        {
            json.WriteStartObject(Classes);
            foreach (var name in CallClasses.All)
            {
                if (!limits.Classes.TryGetValue(name, out var values)) continue;
                json.WritePropertyName(name);
                Write(json, values);
            }
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    /// <summary>The stored form; null when there are no limits. Equal limits have equal texts.</summary>
    public static string? Text(LimitSet limits)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer)) Write(json, limits);
        return buffer.WrittenCount <= "{}".Length ? null : Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Reads the stored form.</summary>
    /// <exception cref="JsonException">It is not JSON.</exception>
    /// <exception cref="FormatException">It is not a limits object.</exception>
    public static LimitSet Parse(string? text)
    {
        if (text is null) return LimitSet.None;
        using var document = JsonDocument.Parse(text);
        return Merge(LimitSet.None, document.RootElement, "limits",
            (_, error) => throw new FormatException($"{error.Pointer}: {error.Detail}"));
    }

    /// <summary>As <see cref="Parse"/>, but null when the text was edited by hand to something else.</summary>
    public static LimitSet? ParseOrNull(string? text)
    {
        try
        {
            return Parse(text);
        }
        catch (Exception exception) when (exception is JsonException or FormatException)
        {
            return null;
        }
    }

    /// <summary>Applies a merge patch. Members with errors change nothing.</summary>
    /// <param name="target">What the patch changes.</param>
    /// <param name="patch">The limits object of a body; null removes all limits.</param>
    /// <param name="pointer">Where it is.</param>
    /// <param name="report">Gets every error.</param>
    public static LimitSet Merge(LimitSet target, JsonElement patch, string pointer, Action<ErrorCode, FieldError> report)
    {
        if (patch.ValueKind == JsonValueKind.Null) return LimitSet.None;
        return IsObject(patch, "an object or null", pointer, report) ? MergeMembers(target, patch, pointer, Members, report) : target;
    }

    private static LimitSet MergeMembers(
        LimitSet target, JsonElement patch, string pointer, IReadOnlyList<string> known, Action<ErrorCode, FieldError> report)
    {
        var result = target;
        foreach (var member in patch.EnumerateObject())
        {
            if (!IsKnown(member, known, pointer, report)) continue;
            var (value, at) = (member.Value, $"{pointer}/{member.Name}");
            switch (member.Name)
            {
                case Burst:
                    if (IsNull(value)) result = result with { Burst = null };
                    else if (Number(value, LimitNumber.Burst, at, report) is { } burst)
                        result = result with { Burst = LimitNumber.Burst.ToDecimal(burst) };
                    break;
                case Elastic:
                    result = result with { Elastic = MergeElastic(result.Elastic, value, at, report) };
                    break;
                case Classes:
                    result = result with { Classes = MergeClasses(result.Classes, value, at, report) };
                    break;
                default:
                    var field = LimitField.All.First(field => field.Name == member.Name);
                    if (IsNull(value)) result = field.Set(result, null);
                    else if (Number(value, field.Number, at, report) is { } number) result = field.Set(result, number);
                    break;
            }
        }
        return result;
    }

    private static ElasticRange? MergeElastic(ElasticRange? target, JsonElement patch, string pointer, Action<ErrorCode, FieldError> report)
    {
        if (patch.ValueKind == JsonValueKind.True) return ElasticRange.Default;
        if (patch.ValueKind is JsonValueKind.False or JsonValueKind.Null) return null;
        if (!IsObject(patch, "true, false, null or an object with min and max", pointer, report)) return target;
        var result = target ?? ElasticRange.Default;
        var isValid = true;
        foreach (var member in patch.EnumerateObject())
        {
            if (!IsKnown(member, ElasticMembers, pointer, report))
            {
                isValid = false;
                continue;
            }
            var isMin = member.Name == ElasticMin;
            var number = isMin ? LimitNumber.ElasticMin : LimitNumber.ElasticMax;
            decimal factor;
            if (IsNull(member.Value)) factor = isMin ? ElasticRange.Default.Min : ElasticRange.Default.Max;
            else if (Number(member.Value, number, $"{pointer}/{member.Name}", report) is { } units) factor = number.ToDecimal(units);
            else
            {
                isValid = false;
                continue;
            }
            result = isMin ? result with { Min = factor } : result with { Max = factor };
        }
        return isValid ? result : target;
    }

    private static IReadOnlyDictionary<string, LimitSet> MergeClasses(
        IReadOnlyDictionary<string, LimitSet> target, JsonElement patch, string pointer, Action<ErrorCode, FieldError> report)
    {
        if (IsNull(patch)) return LimitSet.None.Classes;
        if (!IsObject(patch, "an object or null", pointer, report)) return target;
        var result = new Dictionary<string, LimitSet>(target, StringComparer.Ordinal);
        foreach (var member in patch.EnumerateObject())
        {
            if (!IsKnown(member, CallClasses.All, pointer, report)) continue;
            var at = $"{pointer}/{member.Name}";
            if (IsNull(member.Value)) result.Remove(member.Name);
            else if (IsObject(member.Value, "an object or null", at, report))
            {
                var values = MergeMembers(result.GetValueOrDefault(member.Name) ?? LimitSet.None, member.Value, at, ClassMembers, report);
                // A class without limits is written like one that is not there.
                if (Text(values) is null) result.Remove(member.Name);
                else result[member.Name] = values;
            }
        }
        return result.Count == 0 ? LimitSet.None.Classes : result;
    }

    private static long? Number(JsonElement value, LimitNumber number, string pointer, Action<ErrorCode, FieldError> report)
    {
        if (value.ValueKind == JsonValueKind.Number)
        {
            if (number.TryRead(value.GetRawText(), out var units, out _)) return units;
            Invalid(pointer, $"Must be {number.Expected}.", report);
        }
        else Invalid(pointer, $"Must be {number.Expected}, not a JSON {JsonTypeNames.Of(value.ValueKind)}.", report);
        return null;
    }

    private static bool IsKnown(JsonProperty member, IReadOnlyList<string> known, string pointer, Action<ErrorCode, FieldError> report)
    {
        var name = JsonMemberNames.Of(member);
        if (name is not null && known.Contains(name)) return true;
        report(ErrorCode.UnsupportedParameter, new FieldError(pointer + JsonMemberNames.ShortStep(name),
            $"Unknown field; accepted here are {string.Join(", ", known)}."));
        return false;
    }

    private static bool IsObject(JsonElement value, string expected, string pointer, Action<ErrorCode, FieldError> report)
    {
        if (value.ValueKind == JsonValueKind.Object) return true;
        Invalid(pointer, $"Must be {expected}, not a JSON {JsonTypeNames.Of(value.ValueKind)}.", report);
        return false;
    }

    private static bool IsNull(JsonElement value) => value.ValueKind == JsonValueKind.Null;

    private static void Invalid(string pointer, string detail, Action<ErrorCode, FieldError> report) =>
        report(ErrorCode.InvalidParameter, new FieldError(pointer, detail));
}
